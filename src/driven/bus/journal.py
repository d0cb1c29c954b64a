"""The journal: what was admitted and what retired, on its way to the store, page by page.

::

    admitted, retired, announcements --> page (being written) --flush--> page (under way) --> store
                                             |         ^                     |
                                         turn_page   full pages              |
                                             '--> waiting '                  |
                                                     make_known(page) <------'  one at a time, in order

A page is one batch: while one is being made durable, the next fills, so that a slow store makes pages longer and not
the bus slower (group commit, U2). With durability ``"each"`` the page is turned before every command from outside, and
full pages wait in a row. Owned by the bus thread.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

from driven.bus.receipts import Milestone
from driven.service.event_store import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.bus.committer import Committer
    from driven.bus.sequencer import Root
    from driven.errors import StoreFailed
    from driven.service.event_store import EventStore, LoggedMessage, LoggedOutcome


class Page:
    """One batch in the making."""

    __slots__ = ("admitted", "announcements", "decided", "is_in_store", "last_words", "retired", "settled", "succeeded")

    def __init__(self) -> None:
        self.admitted: list[LoggedMessage] = []
        self.retired: list[LoggedOutcome] = []
        self.succeeded: list[Root] = []
        """Roots that did what they were told. This and what follows is said once the batch is in the store."""
        self.announcements: list[Callable[[], None]] = []
        """What became of other roots."""
        self.settled: list[Root] = []
        """Roots of which all has retired."""
        self.last_words: Callable[[], None] | None = None
        """What is said when nothing may follow."""
        self.is_in_store = False
        self.decided = Milestone()
        """Reached when the batch is in the store, or when it is certain that it will not be."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to append."""
        return not self.admitted and not self.retired


class Journal:
    """The page that is being written, and the one that is under way."""

    __slots__ = (
        "_answers_at_once",
        "_break_off",
        "_committer",
        "_is_flushing",
        "_kept_back",
        "_make_known",
        "_under_way",
        "_waiting",
        "_wake",
        "has_roots_alone",
        "is_closed",
        "page",
    )

    def __init__(
        self,
        store: EventStore,
        committer: Committer,
        make_known: Callable[[Page], None],
        break_off: Callable[[BaseException], None],
        wake: Callable[[], None],
    ) -> None:
        """`store` says how its batches are to be; `committer` takes them there.

        `make_known` shows what has got into the store; `break_off` stops the bus because of an error.

        `wake` is for a batch that is decided later than `flush`: nobody else would notice.
        """
        self.has_roots_alone: Final = store.is_blocking and store.durability == "each"
        """Whether the page is to be turned before every command from outside."""
        self._answers_at_once: Final = store.is_blocking and store.durability == "none"
        self._committer: Final = committer
        self._make_known: Final = make_known
        self._break_off: Final = break_off
        self._wake: Final = wake
        self._waiting: Final[deque[Page]] = deque()
        self._under_way: Page | None = None
        self.is_closed = False
        """Whether nothing more is written."""
        self._is_flushing = False
        self._kept_back = 0
        """Admissions at the head of the page that wait for the next flush, though a turn of theirs is over."""
        self.page = Page()

    @property
    def latest(self) -> Page:
        """The page with the latest admission; when it is in the store, so are all admissions before."""
        if not self.page.is_empty:
            return self.page
        return self._waiting[-1] if self._waiting else self._under_way or self.page

    @property
    def is_blank(self) -> bool:
        """Whether everything that was written is in the store."""
        return self.page.is_empty and not self._waiting and self._under_way is None

    def turn_page(self) -> None:
        """Let what is written from here on be another batch."""
        if not self.page.is_empty:
            self._waiting.append(self.page)
            self.page = Page()

    @property
    def holds_retirements(self) -> bool:
        """Whether anything has retired that is not in the store yet."""
        pages = (self.page, *self._waiting) if self._under_way is None else (self.page, *self._waiting, self._under_way)
        return any(page.retired for page in pages)

    def flush(self) -> None:
        """Give the store the next page, unless it is still busy with the last one."""
        if self._under_way is not None or self.is_closed:
            return
        if not self._waiting:
            self.turn_page()
        if not self._waiting:
            return
        page = self._under_way = self._waiting.popleft()
        self._kept_back = 0
        self._is_flushing = True
        try:
            self._committer.commit(Batch(page.admitted, page.retired), partial(self._committed, page))
        finally:
            self._is_flushing = False

    def keep_back(self) -> None:
        """What stands on the page may wait for the next flush: the store is one that never waits for anything.

        A command that is alone so gets into the log together with its outcome. It gets there in any case: by a flush
        soon, which whoever calls this sees to, or when the journal is closed.
        """
        self._kept_back = len(self.page.admitted)

    def write_out(self) -> None:
        """Give the store all that is written, and wait for none of it; between two turns, before `close`.

        Only where `submit` answers at once: who was answered was accepted, however busy the store is (X4).
        """
        if self._answers_at_once and not self.is_closed:
            self.turn_page()
            while self._waiting:
                page = self._waiting.popleft()
                self._committer.commit(Batch(page.admitted, page.retired), partial(self._committed, page))

    def close(self) -> None:
        """Write no more than what was kept back; a page that is under way is still decided."""
        if self.is_closed:
            return
        self.is_closed = True
        if self._kept_back and self._under_way is None:
            # And nothing of the turn that fails now, which may be half of what it should be.
            kept = self.page.admitted[: self._kept_back]
            self._committer.commit(Batch(kept, ()), partial(self._committed, Page()))
        for page in (*self._waiting, self.page):
            page.decided.reach()

    def _committed(self, page: Page, failure: StoreFailed | None) -> None:
        """The batch is in the store, or will never be; on the bus thread, inside `flush` or some time later."""
        is_late = not self._is_flushing
        self._under_way = None
        try:
            if failure is None:
                page.is_in_store = True
                self._make_known(page)
            else:
                self._break_off(failure)
        except BaseException as error:  # noqa: BLE001 - what makes things known may not fail; the bus stops
            self._break_off(error)
        finally:
            page.decided.reach()
        self.flush()
        if is_late:
            self._wake()
