"""Limits of this process for a while: the real condition behind "no memory" and "no descriptors"."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def limited(kind: int, most: int) -> Iterator[None]:
    """Allow at most so much, as `resource.setrlimit` counts it."""
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))
