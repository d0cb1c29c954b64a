"""What the framework knows about each handler, reaction and projector: made when a bus opens, never changed."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from driven.domain.aggregate import Aggregate
from driven.domain.messages import Command, Event
from driven.placement import Placement
from driven.service.signature import Signature


class OnExhausted(enum.Enum):
    """What happens to an internal command that failed as often as it may (F2)."""

    PARK = "park"
    """Set it aside, and every later message of its key behind it, in order."""
    SKIP = "skip"
    """Record the failure and go on."""
    HALT = "halt"
    """Stop the bus."""


class HandlerOptions(msgspec.Struct, frozen=True):
    """What ``@app.handles(...)`` was given, as it was given; the registry's examination says whether it makes sense."""

    key: str | None = None
    placement: Placement = Placement.INLINE
    loads: Mapping[type[Aggregate], str] = {}
    emits: Collection[type[Event]] = ()
    timeout_s: float | None = None
    max_attempts: int | None = None
    retries: int | None = None
    on_exhausted: OnExhausted | None = None
    """None: `OnExhausted.PARK`."""
    on_failure: type[Event] | None = None
    group: str = "default"
    sticky: bool = False
    detached: bool = False
    exposed: bool = False


class Handler(msgspec.Struct, frozen=True):
    """A command handler: a function, or a class to construct."""

    name: str
    target: Any
    command: type[Command]
    signature: Signature
    constructor: Signature | None
    """What a handler class is constructed with; None: the target is a function."""
    emits: frozenset[type[Event]]
    options: HandlerOptions
    is_stateful: bool
    """Whether a unit of work reaches it, directly or through what is injected: the root of its hazards (O4)."""


class WarmUp(msgspec.Struct, frozen=True):
    """A function that each worker calls once, before its first command."""

    name: str
    target: Any
    signature: Signature


class Reaction(msgspec.Struct, frozen=True):
    """From one event to commands, and nothing else (R2)."""

    name: str
    target: Callable[..., Any]
    event: type[Event]
    signature: Signature


class Projector(msgspec.Struct, frozen=True):
    """From one event to a read model, in the main process."""

    name: str
    target: Callable[..., Any]
    event: type[Event]
    signature: Signature
