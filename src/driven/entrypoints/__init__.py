"""Ways into Driven from outside. Each stands on its own, and nothing below imports any of it.

::

    http           an API of an application on an event loop: commands, receipts, queries, OpenAPI
    aws_lambda     an application as a function of AWS Lambda
    cli            `driven`: what was typed, what is shown, the exit code
    |- verbs         what can be typed
    |  |- loading      from ``module:app`` to an application
    |  |- configured   file, environment and what was typed to settings
    |  |- reports, log, schema, parked, rebuild, verify   what is found out: frozen records, also the JSON output
    |  |- running, dispatching   commands from outside: over HTTP, from a shell
    |  `- drawing      records as pages, pages as plain text or in colour
    |- showing       where a page goes
    `- bench         what Driven costs on this machine, beside rivals: a package of its own, imported by its verb only
    joblib_backend Driven's workers as a backend of joblib
"""
