"""Ways into Driven from outside: the command line. Each stands on its own, and nothing below imports any of it.

::

    cli          `driven`: what was typed, what is shown, the exit code
    |- verbs       what can be typed
    |  |- loading    from ``module:app`` to an application
    |  |- reports    what is found out: frozen records, also the JSON output
    |  `- drawing    records as pages, pages as plain text or in colour
    |- showing     where a page goes
    `- bench       what Driven costs on this machine, beside rivals: a package of its own, imported by its verb only
"""
