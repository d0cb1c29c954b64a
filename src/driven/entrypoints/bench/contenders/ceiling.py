"""The ceiling, as contenders: what pure Python can do when it promises nothing, and next to nothing."""

from __future__ import annotations

import os
import platform
from typing import Final

from driven.entrypoints.bench.bare.bus import open_bare_bus
from driven.entrypoints.bench.bare.pair import open_pair
from driven.entrypoints.bench.contenders.port import Contender


def _version() -> str:
    is_there = hasattr(os, "eventfd") and hasattr(os, "memfd_create")
    return platform.python_version() if is_there else ""


RINGS: Final = Contender(
    key="bare-rings",
    name="ceiling: bare rings",
    version=_version,
    open=open_pair,
    remark="a ring pair and two eventfds per worker, msgspec; no order, no checks, no promise",
    is_bound=True,
)
BUS: Final = Contender(
    key="bare-bus",
    name="ceiling: bare ordered bus",
    version=_version,
    open=open_bare_bus,
    remark="positions, futures and strict order over bare rings with CRC-32; no other promise",
    is_bound=True,
)
