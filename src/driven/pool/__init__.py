"""Worker lifetimes, seen from the main process.

::

    worker_lane      the bus's port `Lane` for worker processes; bus thread
    |- link            one worker's channel, in messages: what is on its way there; bus thread
    `- worker_pool     starts, watches, ends and buries them; a thread of its own
       |- worker           what a worker is to its pool, of whatever kind
       `- process_worker   one process and all that is held of it
          |- launch          command line, environment, where the program is found
          `- vitals          signs of life and of death
    cpus             how many CPUs this process may use, and which limit says so
"""
