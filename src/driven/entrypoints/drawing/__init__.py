"""How reports look: from a record to a page of blocks, and from a page to plain text or to a terminal.

Pure but for `terminal`, which writes. `rich` is imported there only, and only when it is used.
"""
