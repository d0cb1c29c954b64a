"""`Executor`: a `concurrent.futures.Executor` over the pool and its rings, for plain callables.

::

    caller's threads                 driven-executor (manager)              driven-pool         workers
    ----------------                 -------------------------              -----------         -------
    executor   submit, map,          manager   sleeps, drains, settles      WorkerPool  ----->  python -m driven_worker
      |        shutdown                |       futures, asks for workers                          calling
      |                                |                                                            ^
      `------------> desk <------------'                                                               |
                     one lock: what waits, who has what, who gets the next  ~~~~~~~ ring ~~~~~~~~~~~'
                     |- call_link   one worker's channel, in calls
                     `- estimates   how long calls of a name take

    settling   a result becomes what its future says
    exits      what happens at interpreter exit, and in a forked copy of this process
    errors     what a future or a submit may raise beside what the call itself raises

Bytes are made in the thread that submits, and written into the ring of a worker at once when one has room: between
`submit` and the worker there is no other thread, and between the worker and the future there is one.
"""
