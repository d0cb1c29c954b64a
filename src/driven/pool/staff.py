"""The staff: how many workers each group of a lane shall have, who they are, and how many are missing.

Owned by a lane, as long-lived as it. It starts workers by the function that it is given, and ends nobody.

::

               hire          make_ready
    (missing) ------> hired -----------> ready
                        |                  |
                        '-- retire, lose --'---> no member any more

Nothing here is counted up and down beside the truth: who is missing is derived from the members each time it is asked
(D3). A worker that was told to leave is no member from that moment, though it may still finish what it runs; one that
dies stops being one when its death is told.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from driven.pool.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class _Member:
    """One worker that is to stay, from the order for it on."""

    __slots__ = ("group", "is_ready")

    def __init__(self, group: str) -> None:
        self.group = group
        self.is_ready = False


class Staff:
    """The members of every group, and the number that is wanted."""

    def __init__(self, wanted: Mapping[str, int], start: Callable[[str, float], int]) -> None:
        """Nobody is there yet.

        Args:
            wanted: the number of workers that each group is to have at first.
            start: has a worker of a group, in so many seconds, and returns its id.

        """
        self._wanted: Final = Counter(wanted)
        self._start: Final = start
        self._members: Final[dict[int, _Member]] = {}
        self._failed_starts: Final[Counter[str]] = Counter()
        self._backoff: Final = Backoff()

    def __contains__(self, worker_id: object) -> bool:
        """Whether a worker is to stay."""
        return worker_id in self._members

    @property
    def is_complete(self) -> bool:
        """Whether every group has as many members as it wants, and all of them are ready."""
        return not any(self.missing(group) for group in self._wanted) and all(
            member.is_ready for member in self._members.values()
        )

    def missing(self, group: str) -> int:
        """How many workers of this group are to be hired."""
        return max(0, self._wanted[group] - len(self._members_of(group)))

    def is_served(self, group: str) -> bool:
        """Whether a member of this group takes commands."""
        return any(member.is_ready for member in self._members_of(group))

    # Coming.

    def hire_all(self) -> None:
        """Have the workers that every group is short of."""
        for group in self._wanted:
            self._hire(group)

    def grow(self, group: str) -> None:
        """Have one more worker of this group."""
        self._wanted[group] += 1
        self._hire(group)

    def make_ready(self, worker_id: int) -> None:
        """A member takes commands."""
        member = self._members[worker_id]
        member.is_ready = True
        self._failed_starts[member.group] = 0

    def hire_again(self, group: str) -> int:
        """A worker did not get ready: have another one, later; return how many in a row that were."""
        self._failed_starts[group] += 1
        self._hire(group, self._backoff.delay_s(group))
        return self._failed_starts[group]

    def replace(self, group: str, *, has_completed: bool) -> None:
        """A worker that was ready is gone: have another one, at once unless it was good for nothing."""
        if has_completed:
            self._backoff.forget(group)
        self._hire(group, 0.0 if has_completed else self._backoff.delay_s(group))

    def _hire(self, group: str, delay_s: float = 0.0) -> None:
        for _ in range(self.missing(group)):
            self._members[self._start(group, delay_s)] = _Member(group)

    # Going.

    def retire(self, worker_id: int) -> bool:
        """A member is to leave, and its group wants one less; False when it is no member (any more)."""
        member = self._members.pop(worker_id, None)
        if member is None:
            return False
        self._wanted[member.group] -= 1
        return True

    def lose(self, worker_id: int) -> bool:
        """A worker is dead, or was never there; whether it was a member."""
        return self._members.pop(worker_id, None) is not None

    def dissolve(self) -> None:
        """Nobody is wanted any more, and nobody is a member."""
        self._wanted.clear()
        self._members.clear()

    def _members_of(self, group: str) -> list[_Member]:
        return [member for member in self._members.values() if member.group == group]
