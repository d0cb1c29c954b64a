"""Lines of an input that comes in pieces, wherever it is cut."""

from __future__ import annotations

import itertools
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from driven.entrypoints.lines import LONGEST_LINE_BYTES, PIECE_BYTES, Cutter, Line

TEXTS = st.lists(st.sampled_from([b"a", b"{}", b"\r", b" ", b"", b"\xef\xbb\xbf"]) | st.binary(max_size=9), max_size=9)


@given(text=TEXTS.map(b"\n".join), cuts=st.sets(st.integers(0, 60)))
def test_lines_are_the_same_wherever_the_input_is_cut(text: bytes, cuts: set[int]) -> None:
    """Numbers count empty lines, which are left out; a mark at the very beginning is none of the text."""
    places = [0, *sorted(cuts), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(places)]
    cutter = Cutter()
    found = [line for piece in [*pieces, b"\n"] for line in cutter.lines(piece)]

    whole = text.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    assert found == [Line(number, line) for number, line in enumerate(whole, 1) if line.strip()]


def test_a_line_without_end_is_not_kept() -> None:
    """It is told by its number, and the next ones are what they are."""
    cutter, during = Cutter(), list[Line]()
    tracemalloc.start()
    try:
        for _ in range(2 * LONGEST_LINE_BYTES // PIECE_BYTES):
            during += cutter.lines(bytes(PIECE_BYTES))
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    after = list(cutter.lines(b"x\ny\n"))

    assert during == []
    assert kept_bytes < LONGEST_LINE_BYTES // 8
    assert after == [Line(1, None), Line(2, b"y")]
