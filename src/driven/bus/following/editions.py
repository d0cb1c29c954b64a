"""The editions of one projection: the one that is read, and the one that is being built beside it.

::

    live   files__e1  ----------------------------------> read as `files`, and kept up to date meanwhile
    next   files__e2  ....step....step....step....|
                                                  switch: one transaction; files__e1 is gone (X2, B14)

A next edition is begun when somebody asks, or when the code has another version than what the log keeps. Its place is
kept in the store, so a bus or a `driven rebuild` that is killed leaves it to the one that comes after. Owned by
`Following` or by a rebuild; everything here runs on the thread that appends, but what says so.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec

from driven.bus.following.edition import Edition, EditionState, Writing, make_readable, remove
from driven.service.event_store import Cursor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driven.bus.following.edition import Pace, StoreOfEditions
    from driven.service.event_store import TableConnection
    from driven.service.projection import LastingProjection
    from driven.service.registry import Registry

logger = logging.getLogger("driven.bus")


class Editions:
    """What there is of one projection."""

    def __init__(self, projection: LastingProjection, registry: Registry, store: StoreOfEditions) -> None:
        """Find what the store has of it; on any thread, before anything is written."""
        self.projection: Final = projection
        self._store: Final = store
        self._writing: Final = Writing(projection, registry)
        self._live_cursor: Final = f"projection/{projection.name}"
        self._next_cursor: Final = f"projection/{projection.name}/next"
        self._is_to_begin = False
        self._is_turn_of_live = False
        self.live, self.next = self._found()
        """`next` None: nothing is being built. Both are replaced when they switch; may be looked at by any thread."""

    @property
    def is_stuck(self) -> bool:
        """Whether no step will bring on what is read, or replace it; from any thread."""
        building = self.next
        is_nothing_built = building is None or building.stopped_by is not None
        return self.live.stopped_by is not None and is_nothing_built and not self._is_to_begin

    def is_behind(self, end: int) -> bool:
        """Whether there is something to do, in a log that ends at `end`; from any thread."""
        return self.live.is_behind(end) or (self.next is not None and self.next.stopped_by is None)

    def step(self, end: int, pace: Pace) -> None:
        """Bring on one of the two, in turn: who waits for the live one does not wait for the other to be built."""
        is_building = self.next is not None and self.next.stopped_by is None
        self._is_turn_of_live = not is_building or (self.live.is_behind(end) and not self._is_turn_of_live)
        if self._is_turn_of_live:
            self.live.step(self._store, end, pace)
        else:
            self.build(end, pace)

    def stop(self, error: BaseException) -> None:
        """Go no further: a step raised what no step raises, such as KeyboardInterrupt."""
        for edition in (self.live, self.next):
            if edition is not None:
                edition.stopped_by = f"{type(error).__name__}: {error}"

    def build(self, end: int, pace: Pace) -> None:
        """Bring on what is being built, which takes the place of the live one once it is as far."""
        building = self.next
        assert building is not None  # noqa: S101 - it was begun
        if building.is_behind(end):
            building.step(self._store, end, pace)
        if not building.is_behind(end) and building.stopped_by is None and building.position >= self.live.position:
            self._switch(building)

    def take_up(self) -> None:
        """Go on with what an earlier bus left, as far as it is of the version that the code has; else begin anew."""
        if self.next is not None and self.next.stopped_by is not None:
            self._give_up(self.next)
        if self._is_to_begin:
            self.begin()
        self._is_to_begin = False

    def begin(self) -> int:
        """Begin to build anew, from the first event, unless that is being done; the number of that edition."""
        building = self.next
        if building is None or building.stopped_by is not None:
            number = max(self.live.state.number, building.state.number if building else 0) + 1
            if building is not None:
                self._give_up(building)
            state = EditionState(self.projection.version, number, self.projection.tables)
            building = self.next = Edition(state, self._writing, Cursor(self._next_cursor), is_live=False)
        return building.state.number

    def cancel(self, number: int) -> None:
        """Give up the edition of this number and its tables, if it is still being built."""
        if self.next is not None and self.next.state.number == number:
            self._give_up(self.next)

    def _give_up(self, building: Edition) -> None:
        self._store.advance(lambda connection: self._removed(connection, building.state))
        self.next = None  # who sees this is told that nothing is left

    def _removed(self, connection: TableConnection, state: EditionState) -> Sequence[Cursor]:
        remove(connection, state)
        return (Cursor(self._next_cursor),)

    def _switch(self, building: Edition) -> None:
        """Let the next edition take the place of the live one, in one transaction."""
        old = self.live
        try:
            self._writing.switch(building.label)
            self._store.advance(lambda connection: self._switched(connection, old.state, building))
        except Exception as error:
            building.stopped_by = f"{type(error).__name__}: {error}"
            logger.exception("Projection %s is built anew, but cannot take its place.", self.projection.name)
            return
        kept = building.cursor(self._live_cursor)
        self.live = Edition(building.state, self._writing, kept, is_live=True)
        self.next = None

    def _switched(self, connection: TableConnection, old: EditionState, building: Edition) -> Sequence[Cursor]:
        for table in old.tables:
            connection.execute(f"DROP VIEW IF EXISTS {table}")
        make_readable(connection, building.state)
        remove(connection, old)
        return (building.cursor(self._live_cursor), Cursor(self._next_cursor))

    def _found(self) -> tuple[Edition, Edition | None]:
        """What an earlier bus left; an edition of another version is only read from now on."""
        kept, building = self._store.cursor(self._live_cursor), self._store.cursor(self._next_cursor)
        ours = EditionState(self.projection.version, 1, self.projection.tables)
        state = msgspec.json.decode(kept.state, type=EditionState) if kept.state else ours
        self._is_to_begin = not _is_same(state, ours)
        live = Edition(state, self._writing, kept, is_live=True)
        following: Edition | None = None
        if building.state:
            state_of_next = msgspec.json.decode(building.state, type=EditionState)
            following = Edition(state_of_next, self._writing, building, is_live=False)
            if not _is_same(state_of_next, ours):
                following.stopped_by = "it is of another version"
        if self._is_to_begin:
            live.stopped_by = (
                f"the log has it in version {state.version}, and the code is version {ours.version}: "
                f"it is built anew beside this one"
            )
        return live, following


def _is_same(one: EditionState, other: EditionState) -> bool:
    return (one.version, one.tables) == (other.version, other.tables)
