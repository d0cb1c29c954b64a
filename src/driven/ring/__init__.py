"""Bytes between two processes: shared memory, the rings in it, and how a reader sleeps until there is work.

::

    channel        one end of a worker's pair of rings: what the bus and the worker hold
    |- segment       a piece of shared memory, known by its descriptor
    |- ring_buffer   records in one direction, one writer and one reader
    |- large_bodies  what does not fit into the ring, beside it
    |- status        what the worker says about itself
    |- progress      what its handler says about the command it runs
    |- waiting       the doorbell, and sleeping until it rings
    `- layout        where everything lies in the segment
    bulletin       what one process shows to others, whole or not at all

The ring knows bytes and nothing else: what a record means is the business of the wire above it. Nothing here imports
more than the standard library and `driven.errors`.
"""
