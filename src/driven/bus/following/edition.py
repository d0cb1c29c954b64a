"""An edition: one filling of a projection's tables, from the first event on.

::

    position 1 2 3 4 5 6 7 8 9 ...                          in the store
             [-- step --][-- step --]                       rows + cursor, one transaction each (U6)
                          `- raises at 7: rolled back, done again up to 6; there it stands (B9)

An edition is written by one thread, in steps that are bounded in time and in memory. It knows nothing of others.
It lives as long as the bus or the rebuild that writes it; its tables and its cursor outlive it.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import msgspec

from driven.errors import BusClosed
from driven.service.event_store import Cursor
from driven.service.projection import HANDED_OVER, EditionLabel
from driven.service.tables import Naming, Tables, table_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from driven.service.event_store import Advance, LoggedMessage, TableConnection
    from driven.service.handlers import Projector
    from driven.service.projection import Creator, LastingProjection
    from driven.service.registry import Registry

logger = logging.getLogger("driven.bus")


class Pace(msgspec.Struct, frozen=True):
    """How much one step may do."""

    positions: int
    """Positions that are read at a time."""
    budget_ns: int
    """Nanoseconds after which a step ends, with the event that it is at."""


BESIDE_OTHERS: Final = Pace(1_000, 4_000_000)
"""Between two batches of a bus, which wait meanwhile."""
ALONE: Final = Pace(10_000, 200_000_000)
"""Nobody waits."""


ELSEWHERE: Final = Pace(1_000, 100_000_000)
"""On a thread of its own; its place is kept after each step."""


class StoreOfEditions(Protocol):
    """What editions need of a store."""

    def events(self, names: Collection[str], after: int, up_to: int) -> Sequence[LoggedMessage]:
        """As `EventStore.events`."""

    def cursor(self, name: str) -> Cursor:
        """As `EventStore.cursor`."""

    def advance(self, write: Advance) -> None:
        """As `EventStore.advance`; returns when it is done."""


class EditionState(msgspec.Struct, frozen=True):
    """What the log keeps of an edition beside its position."""

    version: int
    """That of the projection that writes it."""
    number: int
    tables: tuple[str, ...]


Handed: TypeAlias = dict[type, Any]
"""What the functions of a projection ask for, by type, and get from whoever calls them."""


class Writing:
    """The functions of a projection, with what is injected into them; as long-lived as a bus."""

    def __init__(self, projection: LastingProjection, registry: Registry) -> None:
        """Construct what the functions ask for."""
        self.projection: Final = projection
        self._catalog: Final = registry.catalog
        self._create: Final = None if projection.creator is None else _called(projection.creator, 0, registry)
        self._switch: Final = None if projection.switcher is None else _called(projection.switcher, 0, registry)
        self.projectors: Final[dict[str, list[Callable[[Any, Handed], None]]]] = {}
        for projector in projection.projectors:
            entry = registry.catalog.entry_of(projector.event)
            assert entry is not None  # noqa: S101 - the catalog has what projectors follow
            self.projectors.setdefault(entry.name, []).append(_called(projector, 1, registry))

    def create(self, handed: Handed) -> None:
        """Make the tables, or the place elsewhere."""
        if self._create is not None:
            self._create(handed)

    def switch(self, label: EditionLabel) -> None:
        """Let what was built elsewhere take the place of what is read there."""
        if self._switch is not None:
            self._switch({EditionLabel: label})

    def show(self, message: LoggedMessage, handed: Handed) -> None:
        """Show one event to whoever follows it."""
        event = self._catalog.decode_logged(message.name, message.version, message.body)
        for projector in self.projectors[message.name]:
            projector(event, handed)


class Edition:
    """One filling of the tables of a projection."""

    def __init__(self, state: EditionState, writing: Writing, kept: Cursor, *, is_live: bool) -> None:
        """`kept` is its place in the store; without a state there: nothing is made yet."""
        self.state: Final = state
        self.position = kept.position
        """It is done with everything up to here. Read by any thread."""
        self.stopped_by: str | None = None
        """Why it goes no further; None: nothing keeps it."""
        self.label: Final = EditionLabel(writing.projection.name, state.version, state.number)
        self._cursor: Final = kept.name
        self._is_made = kept.state != ""
        self._is_live: Final = is_live
        self._writing: Final = writing
        self._naming: Final = Naming(state.tables, state.number)
        self._encoded_state: Final = msgspec.json.encode(state).decode()
        self._reached = 0
        self._at = 0
        """The event that is being shown."""
        self._poison = 0
        """The event that could not be shown; 0: there is none."""
        self._reason = ""

    def cursor(self, name: str) -> Cursor:
        """Its place, under another name."""
        return Cursor(name, self.position, self._encoded_state)

    def is_behind(self, end: int) -> bool:
        """Whether there is something to do for it, in a log that ends at `end`."""
        return self.stopped_by is None and (self.position < end or not self._is_made)

    def step(self, store: StoreOfEditions, end: int, pace: Pace) -> None:
        """Go on towards `end`; one with tables on the thread that appends. Raises nothing but KeyboardInterrupt."""
        self._at = 0
        up_to = min(self.position + pace.positions, self._poison - 1 if self._poison else end)
        try:
            messages = store.events(self._writing.projectors, self.position, up_to)
            over_at_ns = time.monotonic_ns() + pace.budget_ns
            if self.state.tables:
                store.advance(partial(self._write, messages, up_to, over_at_ns))
            else:
                self._tell_elsewhere(store, messages, up_to, over_at_ns)
        except KeyboardInterrupt:
            raise
        except BusClosed:  # it was left behind, and nobody keeps its place any more
            return
        except BaseException as error:  # noqa: BLE001 - SystemExit too: the bus and the other projections go on
            self._fail(error)
        else:
            self._is_made = True
            self.position = self._reached
        if self._poison and self.position == self._poison - 1:
            self.stopped_by = self._reason

    def _write(
        self, messages: Sequence[LoggedMessage], up_to: int, over_at_ns: int, connection: TableConnection
    ) -> Sequence[Cursor]:
        tables = Tables(connection, self._naming)
        handed: Handed = {Tables: tables, EditionLabel: self.label}
        if not self._is_made:
            self._make(connection, tables, handed)
        self._show(messages, up_to, over_at_ns, handed)
        return (Cursor(self._cursor, self._reached, self._encoded_state),)

    def _tell_elsewhere(
        self, store: StoreOfEditions, messages: Sequence[LoggedMessage], up_to: int, over_at_ns: int
    ) -> None:
        """Its place is kept when its functions have returned, also of those before one that raises."""
        handed: Handed = {EditionLabel: self.label}
        self._reached = self.position
        if not self._is_made:
            self._writing.create(handed)
        try:
            self._show(messages, up_to, over_at_ns, handed)
        finally:
            store.advance(lambda _: (Cursor(self._cursor, self._reached, self._encoded_state),))
            self._is_made = True
            self.position = self._reached

    def _show(self, messages: Sequence[LoggedMessage], up_to: int, over_at_ns: int, handed: Handed) -> None:
        for message in messages:
            self._at = message.envelope.position
            self._writing.show(message, handed)
            self._reached = self._at
            if time.monotonic_ns() >= over_at_ns:
                return
        self._reached = up_to

    def _make(self, connection: TableConnection, tables: Tables, handed: Handed) -> None:
        self._writing.create(handed)
        for table in self.state.tables:
            tables.execute(f"SELECT 1 FROM {{{table}}} LIMIT 0")  # noqa: S608 - what is not made is missed now
        if self._is_live:
            make_readable(connection, self.state)

    def _fail(self, error: BaseException) -> None:
        """Stand before the event that cannot be shown; what comes before it in this step is done again."""
        self._reason = f"{type(error).__name__}: {error}"
        self._poison = self._at
        if not self._at:  # no event: its tables cannot be made, or the store cannot be written
            self.stopped_by = self._reason
        logger.error(
            "Projection %s raised at position %d and is stopped there; mend it and open the bus again.",
            self._writing.projection.name,
            self._at,
            exc_info=error,
        )


def make_readable(connection: TableConnection, state: EditionState) -> None:
    """Let the names of its tables mean this edition, for whoever reads."""
    for table in state.tables:
        connection.execute(f"DROP VIEW IF EXISTS {table}")
        connection.execute(f"CREATE VIEW {table} AS SELECT * FROM {table_of(table, state.number)}")  # noqa: S608 - as above


def remove(connection: TableConnection, state: EditionState) -> None:
    """Nobody needs this edition any more."""
    for table in state.tables:
        connection.execute(f"DROP TABLE IF EXISTS {table_of(table, state.number)}")


def _called(called: Creator | Projector, own: int, registry: Registry) -> Callable[..., None]:
    """A function that takes `own` arguments and what is handed over; what else it asks for is injected."""
    others = called.signature.parameters[own:]
    wanted = [(one.name, one.annotation) for one in others if one.annotation in HANDED_OVER]
    target, container = called.target, registry.injector.container
    given = {one.name: container.get(one.annotation) for one in others if one.annotation not in HANDED_OVER}

    def call(*arguments: Any) -> None:  # noqa: ANN401 - an event, and what is handed over
        *first, handed = arguments
        target(*first, **{name: handed[kind] for name, kind in wanted}, **given)

    return call
