"""A slice of the ordeal that `make stress` goes on with for ten minutes: see `tests/applications/ordeal.py`."""

from __future__ import annotations

import pytest

from namespaces import why_no_namespace
from ordeal import Report, Round, faultless, ordeal, round_of

PATIENCE_S = 100.0
SEEDS_OF_ONE_ORDER = [24, 33, 34]


def checked(one: Round) -> Report:
    """Run a round; its report, which is faultless."""
    report = ordeal(one, PATIENCE_S)
    assert report == faultless(one, report)
    return report


def first_round(**wanted: object) -> Round:
    """The round of the first seed that is like this."""
    rounds = (round_of(seed, roots=20) for seed in range(1_000))
    return next(one for one in rounds if all(getattr(one, name) == value for name, value in wanted.items()))


PROCESSES = {"kind": "processes", "is_memory_full": False}


@pytest.mark.parametrize("seed", SEEDS_OF_ONE_ORDER)
def test_no_trouble_shows_in_the_log(seed: int) -> None:
    """O2, O6, D8, W3 to W7: kills, stops, timeouts, crashes, tiny rings, recycling: none lost, twice, or left."""
    one = round_of(seed, roots=20)

    assert one.is_the_same_in_every_run
    assert checked(one).struck == one.faults


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(PROCESSES | {"ordering": "strict", "has_long": True}, id="long commands"),
        pytest.param(PROCESSES | {"ordering": "keyed", "has_long": False}, id="keyed"),
        pytest.param(PROCESSES | {"ordering": "keyed", "has_long": True}, id="keyed with long commands"),
    ],
)
def test_loosened_order_keeps_what_it_promises_in_all_trouble(wanted: dict[str, object]) -> None:
    """O9, D8: each once; per key in order; what started is done, once, later; the log replayed alone gives the same."""
    one = first_round(**wanted)

    assert len(checked(one).struck) > len(one.faults) // 2


@pytest.mark.parametrize(
    ("ordering", "has_long"), [("strict", False), ("keyed", True)], ids=["strict", "keyed with long commands"]
)
def test_worker_threads_keep_the_same_promises(ordering: str, has_long: bool) -> None:
    """O6, O9, W9: no thread can be struck, but rings are tiny and threads are recycled."""
    checked(first_round(kind="threads", is_memory_full=False, ordering=ordering, has_long=has_long))


@pytest.mark.skipif(bool(why_no_namespace()), reason=why_no_namespace())
def test_no_trouble_shows_in_the_log_where_shared_memory_is_full() -> None:
    """W8, S2: the same where /dev/shm has no byte left."""
    checked(first_round(kind="processes", is_memory_full=True, is_the_same_in_every_run=True, recycle_after_commands=0))


def test_a_seed_strikes_the_same_blows_again() -> None:
    """O6: faults are timed by what has retired, so a round that failed can be looked at again."""
    one = round_of(SEEDS_OF_ONE_ORDER[0], roots=20)

    assert round_of(one.seed, roots=20) == one
    assert ordeal(one, PATIENCE_S).struck == ordeal(one, PATIENCE_S).struck == one.faults
