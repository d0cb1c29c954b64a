"""What Driven costs, beside rivals: thin benchmarks for development, over the contenders of `driven bench`.

::

    test_*.py    one number at a time, with pytest-benchmark: `make bench`
    soak         millions of commands, and the memory of all processes meanwhile: `make soak`
    model        what many cores can expect, from measured costs; the charts of docs/explanation/scaling.md
    dispatching  what scheduler and traffic cost the bus thread, per worker command
    scheduling   the scheduler against simpler ones, in simulated time
    page         the figures of docs/explanation/performance.md, from a report

`make bench-quick` is `driven bench --quick`, which is for users and measures everything.
"""
