"""The ceiling: how fast pure Python can be at all, by programs that promise nothing; to compare with, not to use.

::

    ring     a ring in shared memory, as plain as one can be: cursors, lengths, bodies
    crew     worker processes, each with a pair of such rings and a pair of eventfds     <~~~>  worker
    pair     sends tasks and counts answers                                 the contender ``bare-rings``
    bus      positions, futures, answers in the order of positions          the contender ``bare-bus``

Nobody notices here when a worker dies; nothing is logged, nothing can be refused, timed out or replaced; a task that
raises ends its worker, and what overwrites a ring is believed. That is what makes it a bound: whatever keeps promises
does all of this and more. Only Linux has what this is made of.
"""
