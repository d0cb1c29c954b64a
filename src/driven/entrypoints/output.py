"""Standard output, kept for what a verb tells: what handlers print meanwhile goes to standard error.

::

                      before and after      inside
    descriptor 1      standard output       standard error: print() here and in workers, which have our descriptors
    yielded           -                     standard output

For verbs that run handlers and whose output programs read. It is held as long as handlers can run.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def kept_clean() -> Iterator[IO[bytes]]:
    """Yield standard output as a stream of bytes; whoever prints meanwhile prints to standard error."""
    sys.stdout.flush()
    output = sys.stdout.buffer
    try:
        descriptor = sys.stdout.fileno()
    except OSError:  # it is no file: there is nothing that workers could have of it
        with contextlib.redirect_stdout(sys.stderr):
            yield output
        return
    with os.fdopen(os.dup(descriptor), "wb") as kept:
        try:
            os.dup2(sys.stderr.fileno(), descriptor)
            yield kept
        finally:
            sys.stdout.flush()
            os.dup2(kept.fileno(), descriptor)
