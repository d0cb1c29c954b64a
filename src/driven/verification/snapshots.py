"""Snapshots that a verification takes for itself: those in a log are of the code of then, and these of today's.

They save time and nothing else: without them each command would be handed all that its stream had come to. Where one
cannot be taken the stream is handed over whole, and whatever is wrong with it shows where the handler meets it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from driven.service.sourcing import rehydrated
from driven.wire import AggregateState, body_decoder, body_encoder

if TYPE_CHECKING:
    from driven.service.registry import Registry

TakeSnapshot: TypeAlias = Callable[[AggregateState], bytes | None]
"""What a stream comes to; None: that cannot be said."""


def snapshots_of(registry: Registry) -> TakeSnapshot:
    """How to take snapshots of what an application keeps as streams."""
    sourced = {name: one for name, one in registry.aggregates.items() if name in registry.snapshot_schemas}

    def take(state: AggregateState) -> bytes | None:
        aggregate_type = sourced.get(state.name)
        if aggregate_type is None:
            return None
        try:
            body = body_encoder(aggregate_type)(rehydrated(aggregate_type, state, registry.catalog))
            body_decoder(aggregate_type)(body)
        except Exception:  # noqa: BLE001 - the code of today may raise anything, and will where a handler needs it
            return None
        return body

    return take
