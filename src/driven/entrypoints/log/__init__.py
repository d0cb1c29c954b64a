"""`driven log`: what a log holds, as lines, as the tree of what a message led to, or as one digest. It only reads.

::

    Asked --(walking)--> records that are wanted --(entries)--> LogEntry --(printing)--> lines, JSON
      `----(tree)------> what one message led to --(drawing)--> branches
"""
