"""Random submitting, cancelling and killing through a whole bus on real workers: nobody is idle beside work (D5).

::

    seed --> submit | cancel who waits at the entrance | cancel who waits for an outcome | SIGKILL who runs something
                |
                '--> after each step: a command that may start, and a worker of its group that holds nothing?
                     somebody at the entrance, and room inside?
                     then some turn of the event loop that is due already sees to it; no time, no news is needed

"Soon" is measured in turns of the bus's event loop, not in seconds. When the steps are over nobody touches the bus any
more, and all that was accepted comes to its end.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from typing import TYPE_CHECKING

import pytest

from driven import BusSettings, CommandSettings, Middleware, Settings, WorkerSettings, open_bus
from driven.program import new_event_loop
from driven.settings import GroupSettings
from ordering import app
from ordering_draws import drawn_commands

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from driven import Command, MessageBus, Receipt
    from driven.bus.sequencer import Entry
    from driven.bus.worker_group import WorkerGroup

STEPS = 150
TURNS = 3
"""Turns of the event loop within which what may start is sent: one is due, one may be over its limit, one is ours."""
MOST_KILLS = 6
KILLING = 0.15
FEW = 3
"""Messages that are left when a worker is killed: where all are busy, nobody is idle beside anything."""
MOST_WAITING = 12
"""Submitters at once; with so few places inside, most of them stand at the entrance."""
PATIENCE_S = 60.0
SETTINGS = Settings(
    bus=BusSettings(max_pending=24),
    workers=WorkerSettings(
        count=2, ring_bytes=1 << 12, max_attempts=1_000_000, groups={"apart": GroupSettings(count=1)}
    ),
    commands={
        "Compute": CommandSettings(group="apart"),
        "Deposit": CommandSettings(sticky=True),
        "Try": CommandSettings(sticky=True, group="apart"),
    },
)


def idle_beside_work(group: WorkerGroup[Entry]) -> bool:
    """Whether a worker of this group holds nothing, has refused nothing, and something waits that it may take."""
    idle = [worker for worker in group.workers.values() if not worker.held and worker.has_credit]
    return bool(idle and len(group.queue)) or any(worker.first_home is not None for worker in idle)


class Clients(Middleware):
    """All that is done to one bus; what comes next follows from the seed."""

    bus: MessageBus

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.commands: list[Command] = []
        self.submitting: set[asyncio.Task[None]] = set()
        self.waiting: set[asyncio.Task[None]] = set()
        self.receipts: list[Receipt] = []
        self.cancelled = 0
        self.killed: set[int] = set()
        self.gone: set[int] = set()

    def worker_gone(self, worker_id: int, reason: str) -> None:
        """The bus knows it."""
        self.gone.add(worker_id)

    async def step(self) -> None:
        """Do one thing, or a few of a kind; then let the bus do a little of its own, or much of it."""
        doings = [self.submit, self.submit, self.cancel_entering, self.cancel_waiting]
        self.chance.choice(doings)()
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)
        if len(self.killed) < MOST_KILLS and self.chance.random() < KILLING:
            await self.kill()

    async def kill(self) -> None:
        """Let nearly all be done; then who runs something dies of it, and the bus is told: by then it has to go on."""
        while len(self.bus._conductor.sequencer) > FEW and self.commands:  # noqa: SLF001 - as cheap as can be
            await asyncio.sleep(0.001)
        running = [one for one in self.bus.statistics().workers if one.position and one.worker_id not in self.killed]
        if running:
            victim = self.chance.choice(running)
            self.killed.add(victim.worker_id)
            os.kill(victim.pid, signal.SIGKILL)
            while victim.worker_id not in self.gone:
                await asyncio.sleep(0)

    def submit(self) -> None:
        """Have some more come."""
        for _ in range(min(self.chance.randint(1, 6), MOST_WAITING - len(self.submitting))):
            self.commands = self.commands or drawn_commands(self.chance.randrange(10**6))
            self._begin(self.submitting, self._submit(self.commands.pop()))

    def cancel_entering(self) -> None:
        """Somebody at the entrance has no more time, or was let in at this very moment."""
        self._cancel(self.submitting)

    def cancel_waiting(self) -> None:
        """Somebody does not want to know what came of it."""
        self._cancel(self.waiting)

    async def _submit(self, command: Command) -> None:
        receipt = await self.bus.submit(command)
        self.receipts.append(receipt)
        self._begin(self.waiting, self._wait(receipt))

    async def _wait(self, receipt: Receipt) -> None:
        await receipt.settled()

    def _begin(self, tasks: set[asyncio.Task[None]], what: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(what)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def _cancel(self, tasks: set[asyncio.Task[None]]) -> None:
        if tasks:
            task = self.chance.choice(sorted(tasks, key=id))
            task.cancel()
            self.cancelled += 1


def stands_still(bus: MessageBus) -> bool:
    """Whether anybody is idle beside work, or kept out beside room."""
    groups = bus._conductor.traffic.scheduler._groups  # noqa: SLF001 - nobody else knows who waits for whom
    entrance = bus._entrance  # noqa: SLF001 - as above
    is_kept_out = bool(entrance._waiting) and entrance._has_room()  # noqa: SLF001 - as above
    return is_kept_out or any(idle_beside_work(group) for group in groups.values())


async def goes_on(bus: MessageBus) -> bool:
    """Whether it does not stand still, or not for longer than a few turns; asked while nothing else is done."""
    for _ in range(TURNS):
        if not stands_still(bus):
            return True
        await asyncio.sleep(0)
    return not stands_still(bus)


async def live(seed: int) -> Clients:
    """One bus from its opening to its end."""
    clients = Clients(seed)
    async with asyncio.timeout(PATIENCE_S), open_bus(app, SETTINGS, middleware=[clients]) as bus:
        clients.bus = bus
        for number in range(STEPS):
            await clients.step()
            assert await goes_on(bus), f"seed {seed}, step {number}: a worker is idle beside work"
        while clients.submitting:
            await asyncio.wait(clients.submitting)
        for receipt in clients.receipts:
            await receipt.settled()
        seen = bus.statistics()
        assert (seen.queued, seen.in_flight, seen.retired) == (0, 0, seen.admitted)
    return clients


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.stress) for seed in range(100, 140))])
def test_no_worker_is_idle_beside_work_whoever_is_cancelled_or_killed(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D5, D3, F4: in both groups, sticky keys and full rings among them; and in the end everything has settled."""
    monkeypatch.delenv("ORDERING_DEATH_MARKS", raising=False)
    with asyncio.Runner(loop_factory=new_event_loop if seed % 2 else asyncio.new_event_loop) as runner:
        clients = runner.run(live(seed))

    assert clients.killed
    assert clients.cancelled > STEPS // 10
    assert len(clients.receipts) > STEPS // 10
