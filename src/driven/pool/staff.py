"""The staff: how many workers each group of a lane shall have, who they are, and how many are missing.

Owned by a lane, as long-lived as it. It starts workers by the function that it is given, and ends nobody.

::

               hire          make_ready
    (missing) ------> hired -----------> ready --relieve--> works until its successor is ready
                        |                  |                   |
                        '------------------'-- retire, lose ---'---> no member any more

Nothing here is counted up and down beside the truth: who is missing is derived from the members each time it is asked
(D3). A worker that was told to leave is no member from that moment, though it may still finish what it runs; one that
dies stops being one when its death is told.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from driven.bus.lane import GroupStatistics
from driven.pool.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class _Member:
    """One worker that is to stay, from the order for it on."""

    __slots__ = ("group", "is_ready", "is_relieved")

    def __init__(self, group: str) -> None:
        self.group = group
        self.is_ready = False
        self.is_relieved = False
        """Whether another one is to take its place."""


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
        self._hired: Final[Counter[str]] = Counter()
        self._died: Final[Counter[str]] = Counter()
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
        return max(0, self._wanted[group] - len(self._staying(group)))

    def is_served(self, group: str) -> bool:
        """Whether a member of this group takes commands."""
        return any(member.is_ready for member in self._members.values() if member.group == group)

    def groups(self) -> tuple[GroupStatistics, ...]:
        """How each group is manned, and what has become of those that it had."""
        return tuple(self._group_statistics(group) for group in sorted({*self._hired, *self._wanted}))

    def _group_statistics(self, group: str) -> GroupStatistics:
        members = [member for member in self._members.values() if member.group == group]
        ready = sum(member.is_ready for member in members)
        hired, died = self._hired[group], self._died[group]
        return GroupStatistics(
            name=group,
            wanted=self._wanted[group],
            ready=ready,
            starting=len(members) - ready,
            hired=hired,
            died=died,
            dismissed=hired - died - len(members),
        )

    # Coming.

    def hire_all(self) -> None:
        """Have the workers that every group is short of."""
        for group in self._wanted:
            self._hire(group)

    def grow(self, group: str) -> None:
        """Have one more worker of this group."""
        self._wanted[group] += 1
        self._hire(group)

    def make_ready(self, worker_id: int) -> str:
        """A member takes commands; return its group."""
        member = self._members[worker_id]
        member.is_ready = True
        self._failed_starts[member.group] = 0
        return member.group

    def relieve(self, worker_id: int) -> None:
        """Have another worker for this one, which goes on until that is ready; said again, it changes nothing."""
        member = self._members.get(worker_id)
        if member is not None and not member.is_relieved:
            member.is_relieved = True
            self._hire(member.group)

    def dispensable(self, group: str) -> list[int]:
        """Who is not needed any more: the relieved whose successors are ready, and whoever is one too many."""
        staying = self._staying(group)
        ready = sum(self._members[one].is_ready for one in staying)
        relieved = [one for one, member in self._members.items() if member.group == group and member.is_relieved]
        needed = max(0, self._wanted[group] - ready)
        newest_first = sorted(staying, key=lambda one: (self._members[one].is_ready, -one))
        return relieved[: max(0, len(relieved) - needed)] + newest_first[: max(0, len(staying) - self._wanted[group])]

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
            self._hired[group] += 1

    # Going.

    def retire(self, worker_id: int) -> list[int]:
        """A member is to leave, and its group wants one less; return who leaves: it, and a successor that it had.

        Nobody, when it is no member (any more).
        """
        member = self._members.pop(worker_id, None)
        if member is None:
            return []
        self._wanted[member.group] -= 1
        return [worker_id, *self.let_go(member.group)]

    def let_go(self, group: str) -> list[int]:
        """Have those leave that are dispensable, and say who they are."""
        leaving = self.dispensable(group)
        for worker_id in leaving:
            del self._members[worker_id]
        return leaving

    def lose(self, worker_id: int) -> bool:
        """A worker is dead, or was never there; whether it was a member."""
        member = self._members.pop(worker_id, None)
        if member is not None:
            self._died[member.group] += 1
        return member is not None

    def dismiss(self, worker_id: int) -> bool:
        """A worker is to leave, and its successor is on the way; whether it was a member."""
        return self._members.pop(worker_id, None) is not None

    def dissolve(self) -> None:
        """Nobody is wanted any more, and nobody is a member."""
        self._wanted.clear()
        self._members.clear()

    def _staying(self, group: str) -> list[int]:
        """Members that nobody is to take the place of."""
        return [one for one, member in self._members.items() if member.group == group and not member.is_relieved]
