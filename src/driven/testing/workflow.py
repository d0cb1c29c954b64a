"""Whole workflows: commands with all that they lead to, through the real conductor, inline. As long-lived as a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from driven.service.event_store import READ_CHUNK, MessageKind, Status
from driven.testing.expectations import check_same
from driven.testing.past_state import restored
from driven.testing.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from driven.domain.aggregate import Aggregate
    from driven.domain.messages import Command, Event
    from driven.service.event_store import EventStore, LogRecord
    from driven.service.registry import Registry
    from driven.testing.clock import Clock


class Trouble(msgspec.Struct, frozen=True):
    """A message that failed or was parked: its stable name, where it stands, and why."""

    name: str
    position: int
    status: str
    why: str


def settle(registry: Registry, store: EventStore, commands: Sequence[Command], clock: Clock) -> Settled:
    """Carry out commands one after the other, each with all that it leads to."""
    begun_at = store.last_position
    store.close()  # each simulation opens the log anew, as the next bus would
    simulation = Simulation(registry, workers=0, seed=0, store=store, clock_ns=clock)
    for command in commands:
        simulation.run([command])
    return Settled(registry, store, begun_at)


class Settled:
    """What a workflow left; its methods raise AssertionError where that is not what was expected."""

    def __init__(self, registry: Registry, store: EventStore, begun_at: int) -> None:
        """What stands behind position `begun_at` is of this workflow."""
        self._registry: Final = registry
        self._store: Final = store
        self._begun_at: Final = begun_at
        self._is_trouble_known = False

    def then_happened(self, *events: Event) -> Settled:
        """Exactly these events, in the order of the log; and nothing failed, unless `then_failed` was asked before."""
        __tracebackhide__ = True
        if not self._is_trouble_known:
            self.then_nothing_failed()
        check_same("events", events, self.events)
        return self

    def then_failed(self, *names: str) -> Settled:
        """Exactly these messages failed or were parked, by stable name, in the order of the log."""
        __tracebackhide__ = True
        self._is_trouble_known = True
        if [one.name for one in self.troubles] != list(names):
            told = "".join(f"\n  {_told(one)}" for one in self.troubles) or " nothing"
            raise AssertionError(f"what failed is not what was expected:\n  expected {', '.join(names)}\n  got{told}")
        return self

    def then_nothing_failed(self) -> Settled:
        """Nothing failed, and nothing was parked."""
        __tracebackhide__ = True
        if self.troubles:
            raise AssertionError("".join(["something failed:", *(f"\n  {_told(one)}" for one in self.troubles)]))
        return self

    def then_state(self, *aggregates: Aggregate) -> Settled:
        """These aggregates are there now, and as they are here."""
        __tracebackhide__ = True
        found = []
        for one in aggregates:
            there = restored(self._store, self._registry, type(one), one.id)
            if there is None:
                raise AssertionError(f"there is no {type(one).__name__} {one.id!r}")
            found.append(there)
        check_same("aggregates", aggregates, found)
        return self

    @property
    def events(self) -> tuple[Any, ...]:
        """All that happened, in the order of the log, for questions of your own."""
        catalog, messages = self._registry.catalog, (record.message for record in self._records())
        return tuple(
            catalog.decode_logged(one.name, one.version, one.body) for one in messages if one.kind is MessageKind.EVENT
        )

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What failed or was parked, in the order of the log."""
        return tuple(
            Trouble(
                record.message.name,
                outcome.position,
                outcome.status.value,
                "; ".join(f"{one.error_type}: {one.message}" for one in outcome.failures),
            )
            for record in self._records()
            if (outcome := record.outcome) is not None and outcome.status in {Status.FAILED, Status.PARKED}
        )

    def _records(self) -> Iterator[LogRecord]:
        position = self._begun_at
        while records := self._store.read(position, READ_CHUNK):
            yield from records
            position = records[-1].message.envelope.position


def _told(trouble: Trouble) -> str:
    return f"{trouble.name} at position {trouble.position} {trouble.status}: {trouble.why}"
