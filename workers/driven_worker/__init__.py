"""The program at the far end of the ring: ``python -m driven_worker``, started by the pool and by nobody else.

::

    __main__     the one argument, the process around everything else, the exit code
    |- lifeline    it dies with its bus, children included
    |- startup     from an empty process to a worker that is ready: channel, CPUs, application
    |- cores       which CPUs it runs on
    |- memory      how much memory it may have
    |- loop        record by record: takes what comes, has one thing done at a time
    `- commands    what is done with a command: run it, tell its outcome

It imports domain, service, wire and ring, and the user's application; never the bus (W1).
"""
