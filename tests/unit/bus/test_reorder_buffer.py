"""The reorder buffer against a model: only the latest dispatch of a command counts, and only once (O2, W4)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from driven.bus.reorder_buffer import ReorderBuffer
from driven.wire import Completion, EncodedMessage, Failed, Failure, Succeeded

POSITIONS = st.integers(1, 4)
STEPS = st.one_of(
    st.tuples(st.just("dispatch"), POSITIONS, st.just(0)),
    st.tuples(st.just("accept"), POSITIONS, st.integers(0, 3)),
    st.tuples(st.just("retire"), POSITIONS, st.just(0)),
    st.tuples(st.just("forget"), POSITIONS, st.just(0)),
)


def completion(position: int, generation: int) -> Completion:
    """What comes of one dispatch, with an outcome that says which one."""
    return Completion(position, generation, 1, Succeeded((EncodedMessage(position, str(generation).encode()),)))


class Model:
    """Per position: the latest generation, whether it is awaited, and what came of it."""

    def __init__(self) -> None:
        self.generations: dict[int, int] = {}
        self.awaited: dict[int, int] = {}
        self.arrived: dict[int, Completion] = {}

    def dispatch(self, position: int) -> int:
        generation = self.generations[position] = self.generations.get(position, 0) + 1
        self.awaited[position] = generation
        self.arrived.pop(position, None)
        return generation

    def accept(self, position: int, generation: int) -> bool:
        if self.awaited.get(position) != generation:
            return False
        del self.awaited[position]
        self.arrived[position] = completion(position, generation)
        return True


@given(st.lists(STEPS, max_size=60))
def test_only_the_outcome_of_the_latest_dispatch_is_handed_out_and_only_once(steps: list[tuple[str, int, int]]) -> None:
    """W4, O2: an older generation is dropped, a second copy is dropped, a forgotten position is dropped."""
    buffer, model = ReorderBuffer(), Model()

    for kind, position, age in steps:
        generation = model.generations.get(position, 0) - age
        if kind == "dispatch":
            buffer.expect(position, model.dispatch(position))
        elif kind == "accept":
            accepted = buffer.accept(completion(position, generation))
            assert accepted == model.accept(position, generation)
        elif kind == "retire":
            assert buffer.retire(position) == model.arrived.pop(position, None)
        else:
            buffer.forget(position)
            model.awaited.pop(position, None)
            model.arrived.pop(position, None)
        assert len(buffer) == len(model.arrived)
        assert buffer.in_flight == len(model.awaited)


def test_a_worker_that_was_given_up_on_cannot_speak_any_more() -> None:
    """W4: what comes back from an older generation is dropped, before and after the newer one."""
    buffer = ReorderBuffer()
    buffer.expect(7, 1)
    buffer.expect(7, 2)

    assert not buffer.accept(completion(7, 1))
    assert buffer.accept(completion(7, 2))
    assert not buffer.accept(completion(7, 1))
    assert buffer.retire(7) == completion(7, 2)


def test_a_command_that_is_dispatched_again_voids_the_outcome_it_had() -> None:
    """W4, O5: an early outcome that was thrown away does not come back."""
    buffer = ReorderBuffer()
    buffer.expect(7, 1)
    buffer.accept(completion(7, 1))

    buffer.expect(7, 2)

    assert buffer.retire(7) is None


def test_a_position_gets_its_own_outcome_whoever_finished_first() -> None:
    """O2: what came early for a later position is not handed to the head, nor lost by asking for the head."""
    buffer = ReorderBuffer()
    first, second = (Completion(position, 1, 1, Failed(Failure("a.Error", f"{position}"))) for position in (1, 2))
    buffer.expect(1, 1)
    buffer.expect(2, 1)

    buffer.accept(second)
    assert (buffer.holds(1), buffer.holds(2)) == (False, True)
    assert buffer.retire(1) is None
    buffer.accept(first)

    assert (buffer.retire(1), buffer.retire(2)) == (first, second)
