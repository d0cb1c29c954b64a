"""A slice of the ordeal that `make stress` goes on with for ten minutes: see `tests/applications/ordeal.py`."""

from __future__ import annotations

import pytest

from namespaces import why_no_namespace
from ordeal import Report, Round, ordeal, round_of, undisturbed_digest

PATIENCE_S = 100.0


def expected_of(one: Round) -> Report:
    """What a round must come to, but for what is not the same in every run."""
    digest, messages = undisturbed_digest(one)
    return Report(digest, messages, lost=0, twice=0, out_of_order=0, struck=one.faults, left=())


@pytest.mark.parametrize("seed", [1, 3, 9])
def test_no_trouble_shows_in_the_log(seed: int) -> None:
    """O2, O6, D8, W3 to W7: kills, stops, timeouts, crashes, tiny rings, recycling: none lost, twice, or left."""
    one = round_of(seed, roots=20)

    assert ordeal(one, PATIENCE_S) == expected_of(one)


@pytest.mark.skipif(bool(why_no_namespace()), reason=why_no_namespace())
def test_no_trouble_shows_in_the_log_where_shared_memory_is_full() -> None:
    """W8, S2: the same where /dev/shm has no byte left."""
    one = next(one for seed in range(100) if (one := round_of(seed, roots=20)).is_memory_full)

    assert ordeal(one, PATIENCE_S) == expected_of(one)


def test_a_seed_strikes_the_same_blows_again() -> None:
    """O6: faults are timed by what has retired, so a round that failed can be looked at again."""
    one = round_of(5, roots=20)

    assert round_of(5, roots=20) == one
    assert ordeal(one, PATIENCE_S).struck == ordeal(one, PATIENCE_S).struck == one.faults
