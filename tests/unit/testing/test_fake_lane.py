"""A fake lane, moved by hand: what a listener is told, as of real workers."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from driven import Aggregate, Application, Command, Event, Placement, UnitOfWork
from driven.adapters.stores.memory import MemoryStore
from driven.adapters.stores.scratch import ScratchStates
from driven.bus.routing import routes
from driven.service.execution import Execution
from driven.service.registry import build_registry
from driven.settings import Settings
from driven.testing import FakeLane, Simulation
from driven.verification.judgement import Judgement
from driven.verification.past import Past
from driven.verification.recording import Recording
from driven.verification.replay import Replay
from driven.verification.snapshots import snapshots_of

if TYPE_CHECKING:
    from driven.wire import AggregateState


class Count(Command):
    name: str


class Counted(Event):
    count: int


class Counter(Aggregate):
    count: int = 0


app = Application("counters")


@app.handles(Count, placement=Placement.WORKER)
def count(command: Count, uow: UnitOfWork) -> Counted:
    """One more."""
    counter = uow.find(Counter, command.name)
    if counter is None:
        counter = Counter(command.name)
        uow.add(counter)
    counter.count += 1
    return Counted(counter.count)


REGISTRY = build_registry(app)


def test_workers_are_moved_by_hand_and_the_listener_is_told() -> None:
    """W3, W4, X2: one of two dies, what waited goes on elsewhere; an aggregate is as it was there."""
    store = MemoryStore()
    Simulation(REGISTRY, workers=0, seed=0, store=store).run([Count("a") for _ in range(4)])
    judgement, execution = Judgement(REGISTRY, 10), Execution(REGISTRY, store.log_id)
    with closing(ScratchStates()) as states:
        table = routes(REGISTRY, Settings(), ["default"])
        replay = Replay(REGISTRY, table, Recording(store, 1, None), Past(states, snapshots_of(REGISTRY)), judgement)
        lane = FakeLane(replay, room=2)
        replay.attach(lane, lambda: None)
        first, second = lane.add_worker(), lane.add_worker()
        replay.turn()
        assert [len(lane.held[worker]) for worker in (first, second)] == [1, 1]
        lane.ask(first, "counters.Counter", "a")
        lane.kill(first)
        lane.leave(second)
        third = lane.add_worker()

        while not replay.is_over:
            replay.turn()
            assert len(lane.held[third]) <= 2
            running = lane.held[third][0].submission

            def ask(name: str, aggregate_id: str) -> AggregateState:
                lane.ask(third, name, aggregate_id)
                return lane.replies.pop()[1]

            lane.complete(third, execution.execute(running, ask))

    assert (judgement.same, judgement.different) == (4, 0)
    assert [one.state for one in lane.vitals()] == ["idle"]
    assert lane.statistics().groups[0].ready == 1
