"""Progress in shared memory: the last word, whole, of the run that goes on; anything else is no word at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driven.ring.layout import PROGRESS_BYTES
from driven.ring.progress import LONGEST_TEXT_BYTES, ProgressBlock

SINCE_NS = 1


def block() -> tuple[bytearray, ProgressBlock]:
    """Memory as the kernel gives it, and a block over it."""
    memory = bytearray(PROGRESS_BYTES)
    return memory, ProgressBlock(memoryview(memory))


@given(st.integers(0, 2**63), st.floats(0.0, 1.0), st.text(max_size=40))
def test_what_was_told_is_read_and_the_last_word_wins(position: int, fraction: float, text: str) -> None:
    """context.progress: the bus sees what the handler said last."""
    _, progress = block()

    progress.tell(position, 0.5, "before")
    progress.tell(position, fraction, text)
    told = progress.told(position, SINCE_NS)

    assert told is not None
    assert told[0] == fraction
    assert len(told[1]) == len(text)
    assert [b for a, b in zip(text, told[1], strict=True) if a != b] == [" "] * sum(
        not a.isprintable() for a in text if a != " "
    )


def test_nothing_was_told_before_the_first_word_nor_by_another_run() -> None:
    """A worker runs many commands: what the one before said is not what this one says."""
    _, progress = block()
    before = progress.told(0, 0)
    progress.tell(7, 0.25, "reading")

    assert before is None
    assert progress.told(7, SINCE_NS) == (0.25, "reading")
    assert progress.told(8, SINCE_NS) is None
    assert progress.told(7, 1 << 63) is None


@pytest.mark.parametrize("sign", ["x", "é", "語", "🜁"])
def test_a_text_that_is_too_long_is_cut_off_between_two_letters(sign: str) -> None:
    """Whatever a handler says fits."""
    _, progress = block()

    progress.tell(1, 1.0, sign * 1_000)
    told = progress.told(1, SINCE_NS)

    assert told is not None
    assert told[1] == sign * (LONGEST_TEXT_BYTES // len(sign.encode()))


def test_a_text_that_no_terminal_can_show_becomes_one_that_it_can() -> None:
    """Lone surrogates, line ends and escapes of a handler do no harm to who watches."""
    _, progress = block()

    progress.tell(1, 0.5, "\ud800a\nb\x1b[2J")

    assert progress.told(1, SINCE_NS) == (0.5, "?a b [2J")


@given(st.binary(min_size=PROGRESS_BYTES, max_size=PROGRESS_BYTES), st.integers(0, PROGRESS_BYTES))
def test_memory_that_a_handler_has_overwritten_says_nothing_or_the_truth(garbage: bytes, first: int) -> None:
    """W3, D10: reading never raises, and never shows what nobody said."""
    memory, progress = block()
    progress.tell(7, 0.25, "reading")

    memory[first:] = garbage[first:]

    assert progress.told(7, SINCE_NS) in {None, (0.25, "reading")}


def test_a_fraction_that_is_none_is_not_shown() -> None:
    """Whatever wrote it, a reader never has to check it again."""
    _, progress = block()
    progress.tell(7, float("nan"), "?")
    nothing = progress.told(7, SINCE_NS)
    progress.tell(7, 1.5, "?")

    assert nothing is None
    assert progress.told(7, SINCE_NS) is None


def test_a_block_of_another_size_is_refused_with_the_size() -> None:
    """§6: the map says how large it is."""
    with pytest.raises(ValueError, match="a progress block of 8 bytes: it takes 256"):
        ProgressBlock(memoryview(bytearray(8)))
