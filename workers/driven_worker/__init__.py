"""The program at the far end of the ring: ``python -m driven_worker``, started by the pool and by nobody else.

::

    __main__     the one argument, the process around everything else, the exit code
    |- lifeline    it dies with its bus, children included
    |- process     what only a worker process does at its startup
    |- thread      the same for a worker thread, which a bus starts by itself
    |- startup     from nothing to a worker that is ready: channel, CPUs, what it is to do
    |- cores       which CPUs it runs on
    |- memory      how much memory it may have
    |- loop        record by record: takes what comes, has one thing done at a time
    `- what the loop has done
       |- serving     an application is made ready, for the worker of a bus
       |- commands    one of its commands is run, and its outcome told
       `- calling     a plain call is run, and its result told, in the worker of an executor

It imports domain, service, wire and ring, and the user's application; never the bus (W1).
"""
