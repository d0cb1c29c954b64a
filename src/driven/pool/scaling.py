"""How many workers there should be: a decision from what can be seen, and nothing else.

::

    Crew: what waits, who is idle      --.
    Machine: CPUs, idle ones, throttled --+--> decide() --> Grow(2) | Retire((7,)) | None
                                          '    the lane does it; the crew is another one then

Two rules keep it from swinging. More workers come only for work that waited through two looks in a row while nobody
had nothing to do, and at most as many as double the crew. Fewer come only of workers that did nothing for a whole
idle time, one at a look. So a crew that has just grown cannot shrink before that time, whatever the load does.

A limit that falls while running (a quota, an affinity) is no matter of idleness: who is above it leaves, idle ones
first. Pure: numbers in, a decision out; `driven.pool.scaler` looks and acts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from driven.settings import WorkerSettings

ENOUGH_IDLE_CPUS: Final = 0.5
"""CPUs that must be doing nothing for another worker to be worth it."""


class Bounds(msgspec.Struct, frozen=True):
    """What the settings say."""

    least: int
    """Workers that stay, however long they do nothing."""
    most: int | None
    """Workers that there may be; None: as many as there are CPUs available."""
    idle_timeout_s: float
    """Seconds after which a worker that does nothing leaves."""

    def limit(self, cpus: int) -> int:
        """The most workers that there may be on so many CPUs."""
        return max(self.least, cpus if self.most is None else min(self.most, cpus))


def bounds_of(settings: WorkerSettings) -> Bounds:
    """What the section ``[workers]`` says."""
    most = settings.max_count
    return Bounds(settings.min_count, None if most == "auto" else most, settings.idle_timeout_s)


class Crew(msgspec.Struct, frozen=True):
    """One group of workers at one moment."""

    members: int
    """Workers that are ready or starting; those that leave are none any more."""
    starting: int
    """How many of them are not ready yet."""
    is_short: bool
    """Whether work waited at this look and the one before, and nobody had nothing to do."""
    idle_s: tuple[tuple[int, float], ...]
    """The ready ones by worker id, and for how many seconds each has done nothing; 0.0: it is at work."""


class Machine(msgspec.Struct, frozen=True):
    """What the workers run on at one moment."""

    cpus: int
    """CPUs that this process may use."""
    idle_cpus: float
    """CPUs that did nothing since the last look, of the whole machine."""
    is_throttled: bool
    """Whether the kernel held this process back since the last look, as its quota was used up."""


class Grow(msgspec.Struct, frozen=True):
    """So many workers more."""

    number: int


class Retire(msgspec.Struct, frozen=True):
    """These workers less."""

    workers: tuple[int, ...]


def decide(bounds: Bounds, crew: Crew, machine: Machine) -> Grow | Retire | None:
    """What to change now; None: nothing."""
    limit = bounds.limit(machine.cpus)
    laziest_first = sorted(crew.idle_s, key=lambda one: -one[1])
    if crew.members > limit:
        return (
            Retire(tuple(worker_id for worker_id, _ in laziest_first[: crew.members - limit]))
            if laziest_first
            else None
        )
    if crew.members < bounds.least:
        return Grow(bounds.least - crew.members)
    if crew.is_short:
        number = _wanted(crew, machine, limit - crew.members)
        return Grow(number) if number > 0 else None
    if crew.members > bounds.least and laziest_first and laziest_first[0][1] >= bounds.idle_timeout_s:
        return Retire((laziest_first[0][0],))
    return None


def _wanted(crew: Crew, machine: Machine, room: int) -> int:
    """How many more could do something: none while some are still starting, or no CPU is free for them."""
    if crew.starting or machine.is_throttled or machine.idle_cpus < ENOUGH_IDLE_CPUS:
        return 0
    return min(room, max(1, int(machine.idle_cpus)), max(1, crew.members))
