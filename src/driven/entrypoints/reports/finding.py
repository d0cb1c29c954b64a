"""One thing that was looked at on this machine, and what it means for Driven: a line of `driven doctor`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

Verdict: TypeAlias = Literal["ok", "note", "problem"]
"""``note``: Driven works, and something is worth knowing. ``problem``: it does not work, or not with workers."""

Topic: TypeAlias = Literal["python", "libraries", "cpus", "shared memory", "workers", "limits", "guarantees"]

Fact: TypeAlias = bool | int | float | str | tuple[int, ...] | None
"""None: it cannot be known here, or there is no such thing."""


class Machine(msgspec.Struct, frozen=True):
    """Where to look: the running system, or, in tests, a folder that looks like one."""

    root: Path = Path("/")
    """The folder that holds `/proc`, `/sys` and `/dev`."""
    environ: Mapping[str, str] = msgspec.field(default_factory=lambda: os.environ)
    """The variables of the environment."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one place."""

    topic: Topic
    name: str
    """What it is about, in snake_case; several may share a name, as each `cpu_limit` and each `guarantee` does."""
    verdict: Verdict
    summary: str
    """For people."""
    remedy: str = ""
    """What to do about it; empty when there is nothing to do."""
    facts: dict[str, Fact] = {}
    """For programs: sizes in bytes."""
