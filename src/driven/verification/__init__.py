"""Verification replay: recorded commands, run again by today's code, and what came of it compared with the log (X2).

::

    log --Recording--> Run, one per command that retired --Replay--> worker --> Outcome --compare--> Report
                        `-- what it changed --> Past (aggregates as they were)  --^ reads

It writes nothing and constructs neither reactions, projectors nor notifiers: nothing here knows them. It needs the
reading half of a store only, so a bus may be writing to the same log.
"""
