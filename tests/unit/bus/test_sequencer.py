"""The sequencer: positions without a gap, a queue in their order, and envelopes that tell cause and root (O1, O3)."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from driven.bus.sequencer import KEPT_CAUSES, Entry, Sequencer
from driven.service.intake import Draft

DRAFT = Draft(0, b"", None)


def admit(sequencer: Sequencer, cause: Entry | None) -> Entry:
    """A message that says nothing but where it comes from."""
    return sequencer.admit_root(DRAFT, None, 0, "") if cause is None else sequencer.admit(0, b"", cause, None, 0)


@given(last_position=st.integers(0, 10), steps=st.lists(st.sampled_from(["root", "caused", "retire"]), max_size=60))
def test_positions_continue_the_log_and_leave_in_the_order_in_which_they_came(
    last_position: int, steps: list[str]
) -> None:
    """O1, O2, O3: gapless from the end of the log, first in first out, whatever is caused joins at the tail."""
    sequencer = Sequencer(last_position)
    admitted: list[int] = []
    retired: list[int] = []
    latest: Entry | None = None

    for step in steps:
        if step == "retire":
            head = sequencer.head
            if head is not None:
                sequencer.retire(head)
                retired.append(head.position)
                assert sequencer.find(head.position) is None
        else:
            cause = latest if step == "caused" else None
            latest = admit(sequencer, cause)
            admitted.append(latest.position)
            assert sequencer.find(latest.position) is latest

    assert admitted == list(range(last_position + 1, last_position + 1 + len(admitted)))
    assert retired == admitted[: len(retired)]
    assert len(sequencer) == len(admitted) - len(retired)
    assert sequencer.retired == len(retired)
    assert sequencer.last_position == last_position + len(admitted)


def test_an_envelope_tells_the_cause_the_root_and_the_distance() -> None:
    """O3, F5: position of the cause, position of the root, and the number of causes in between."""
    sequencer = Sequencer(0)
    other = admit(sequencer, None).envelope
    first = admit(sequencer, None)
    second = admit(sequencer, first)
    third = admit(sequencer, second)

    facts = [(one.correlation, one.causation, one.hop) for one in (first.envelope, second.envelope, third.envelope)]

    assert facts == [(2, 0, 0), (2, 2, 1), (2, 3, 2)]
    assert (other.correlation, other.causation, other.hop) == (1, 0, 0)
    assert other.id == "@1"


def test_a_root_is_open_until_all_that_it_caused_has_retired() -> None:
    """X1: settled means that nothing of the root is left in the queue."""
    sequencer = Sequencer(0)
    first = admit(sequencer, None)
    admit(sequencer, first)
    admit(sequencer, first)

    open_after = []
    while len(sequencer):
        assert sequencer.head is not None
        sequencer.retire(sequencer.head)
        open_after.append(first.root.open)

    assert open_after == [2, 1, 0]
    assert first.root.descendants == 2


@given(st.lists(st.integers(0, 99), min_size=1, max_size=20))
def test_the_head_is_the_oldest_that_is_left_whoever_retires(choices: list[int]) -> None:
    """O9: in the keyed mode a message in the middle may retire, and the queue does not lose its front."""
    sequencer = Sequencer(0)
    unretired = [admit(sequencer, None) for _ in choices]

    for choice in choices:
        sequencer.retire(unretired.pop(choice % len(unretired)))
        assert sequencer.head is (unretired[0] if unretired else None)
        assert len(sequencer) == len(unretired)


ENDLESS = """
from driven.bus.sequencer import Sequencer
from driven.service.intake import Draft

sequencer = Sequencer(0)
latest = sequencer.admit_root(Draft(0, b"", None), None, 0, "")
sequencer.retire(latest)
for _ in range(299_999):
    latest = sequencer.admit(0, b"", latest, None, 0)
    sequencer.retire(latest)
print(latest.envelope.hop, len(latest.causes))
"""


def test_an_endless_chain_of_causes_is_let_go_of_as_it_grows() -> None:
    """F5: where `max_hops` allows a long chain, no message holds all that led to it; ending frees it without a crash.

    A chain of structs of msgspec is freed by recursion in C, which overflows the stack: hence a process of its own.
    """
    program = [sys.executable, "-X", "faulthandler", "-c", ENDLESS]

    ended = subprocess.run(program, check=False, capture_output=True, text=True, timeout=60)

    assert (ended.returncode, ended.stdout.split()) == (0, ["299999", str(2 * KEPT_CAUSES)])
