"""`driven bench`: what Driven costs on the user's own machine, beside what else there is for the same work.

::

    runner        rounds, rotation, time; starts one process per visit and lets nothing of it live on
    |- plan         who is visited, how often, for how long
    |- custody      whatever a visit starts is gone after it
    `- visit        the process: opens one contender, measures, closes, ends
       |- contenders  one module per family, behind one port
       |- measures    what is done with an open contender
       `- work        the tasks; `application` is the same for a bus

    calibration   CPU work in iterations, the usable cores, how noisy the machine is
    samples       what a visit hands over
    figures       percentiles, spread, METG: pure
    report        samples as tables, Markdown and charts

Every contender gets a fresh process for every visit, so that none inherits threads, memory or helpers of another.
"""
