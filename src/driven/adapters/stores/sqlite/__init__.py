"""The SQLite store: a log, the aggregates and all that follows them, in one file (Python's own sqlite3).

::

    store thread                                              any thread
    ------------                                              ----------
    store    append(batch)                                    load, read, retired, find
      |- lease     who may write: a lock beside the file,       |
      |            and a generation inside it (U7)              '- reading  connections that only read, one per call
      |- opening   the connection that writes and checkpoints      '- rows  rows to records
      |- schema    the tables, their version, the steps to it
      '- writing   one transaction per batch
           |- rows        records to rows
           |- changes     what became of aggregates
           |- standing    what stands aside
           |- statements  one statement for many rows
           '- blame       what was wrong with a batch that was refused

    address    sqlite:///folder/file.db as a path
    faults     what SQLite says, as a `StoreFailed` that names file and remedy

One connection writes and checkpoints; it belongs to the store thread from `open` on. That is also what keeps clear of a
bug in SQLite 3.7.0 to 3.51.2, where two connections that checkpoint and write at once could lose a transaction. No SQL
here is newer than SQLite 3.34. The tables are described in docs/reference/log-schema.md.
"""
