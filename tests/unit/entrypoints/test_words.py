"""Numbers and names as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driven.entrypoints.words import counted, ranges, short, size
from driven.pool.cpus import cpu_list


@given(st.sets(st.integers(0, 300)))
def test_ranges_say_the_same_as_the_numbers(numbers: set[int]) -> None:
    """What is written is a kernel list with blanks, and reads back as the numbers it was made of."""
    written = ranges(numbers)

    assert cpu_list(written.replace(", ", ",").replace("none", "")) == tuple(sorted(numbers))


@pytest.mark.parametrize(
    ("numbers", "written"), [([], "none"), ([3], "3"), ([1, 0], "0-1"), ([0, 1, 2, 8, 10, 11], "0-2, 8, 10-11")]
)
def test_neighbours_are_written_as_one_range(numbers: list[int], written: str) -> None:
    """CPUs are named as the kernel names them, cpuset(7)."""
    assert ranges(numbers) == written


@pytest.mark.parametrize(
    ("size_bytes", "written"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (64 << 20, "64 MiB"),
        (3 << 50, "3072 TiB"),
    ],
)
def test_a_size_has_the_unit_that_fits(size_bytes: int, written: str) -> None:
    """Sizes are binary multiples, and say so."""
    assert size(size_bytes) == written


def test_one_thing_is_not_things() -> None:
    """Counts are sentences, not formats."""
    assert [counted(number, "worker") for number in (0, 1, 2, 1500)] == [
        "0 workers",
        "1 worker",
        "2 workers",
        "1,500 workers",
    ]


def test_only_the_own_application_is_left_out_of_a_name() -> None:
    """A message that was named by hand keeps its whole name."""
    assert [short("shop.Order", "shop"), short("billing.Order", "shop")] == ["Order", "billing.Order"]
