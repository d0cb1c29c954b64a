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
from typing import TYPE_CHECKING, Any, Final

import msgspec

from driven.service.event_store import Cursor
from driven.service.tables import Naming, Tables, table_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from driven.service.event_store import EventStore, LoggedMessage, TableConnection
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


class EditionState(msgspec.Struct, frozen=True):
    """What the log keeps of an edition beside its position."""

    version: int
    """That of the projection that writes it."""
    number: int
    tables: tuple[str, ...]


class Writing:
    """The functions of a projection, with what is injected into them; as long-lived as a bus."""

    def __init__(self, projection: LastingProjection, registry: Registry) -> None:
        """Construct what the functions ask for."""
        self.projection: Final = projection
        self._catalog: Final = registry.catalog
        self._create: Final = None if projection.creator is None else _called(projection.creator, 0, registry)
        self.projectors: Final[dict[str, list[Callable[[Any, Tables], None]]]] = {}
        for projector in projection.projectors:
            entry = registry.catalog.entry_of(projector.event)
            assert entry is not None  # noqa: S101 - the catalog has what projectors follow
            self.projectors.setdefault(entry.name, []).append(_called(projector, 1, registry))

    def create(self, tables: Tables) -> None:
        """Make the tables."""
        if self._create is not None:
            self._create(tables)

    def show(self, message: LoggedMessage, tables: Tables) -> None:
        """Show one event to whoever follows it."""
        event = self._catalog.decode_logged(message.name, message.version, message.body)
        for projector in self.projectors[message.name]:
            projector(event, tables)


class Edition:
    """One filling of the tables of a projection."""

    def __init__(self, state: EditionState, writing: Writing, kept: Cursor, *, is_live: bool) -> None:
        """`kept` is its place in the store; without a state there: nothing is made yet."""
        self.state: Final = state
        self.position = kept.position
        """It is done with everything up to here. Read by any thread."""
        self.stopped_by: str | None = None
        """Why it goes no further; None: nothing keeps it."""
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

    def step(self, store: EventStore, end: int, pace: Pace) -> None:
        """Go on towards `end`; called on the thread that appends. Raises nothing but KeyboardInterrupt."""
        self._at = 0
        up_to = min(self.position + pace.positions, self._poison - 1 if self._poison else end)
        try:
            messages = store.events(self._writing.projectors, self.position, up_to)
            store.advance(partial(self._write, messages, up_to, time.monotonic_ns() + pace.budget_ns))
        except KeyboardInterrupt:
            raise
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
        if not self._is_made:
            self._make(connection, tables)
        self._reached = up_to
        for message in messages:
            self._at = message.envelope.position
            self._writing.show(message, tables)
            if time.monotonic_ns() >= over_at_ns:
                self._reached = self._at
                break
        return (Cursor(self._cursor, self._reached, self._encoded_state),)

    def _make(self, connection: TableConnection, tables: Tables) -> None:
        self._writing.create(tables)
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
    """A function that takes `own` arguments and the tables; what else it asks for is injected."""
    others = called.signature.parameters[own:]
    wanted = [one.name for one in others if one.annotation is Tables]
    target, container = called.target, registry.injector.container
    given = {one.name: container.get(one.annotation) for one in others if one.annotation is not Tables}

    def call(*arguments: Any) -> None:  # noqa: ANN401 - an event, and the tables
        *first, tables = arguments
        target(*first, **dict.fromkeys(wanted, tables), **given)

    return call
