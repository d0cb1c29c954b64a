"""The scheduler against rivals in simulated time: what `docs/explanation/scheduling.md` says of it, on a small scale.

The simulation, its mixes and the rivals are those of `benchmarks.scheduling`; time is virtual and seeds decide.
"""

from __future__ import annotations

import pytest

from benchmarks.scheduling import CONTENDERS, MIXES, Figures, figures

SHORT, LONG, MIXED, TAILED, PARETO, NEW = MIXES
WORKERS = [2, 8, 192]


def contend(mix: object, workers: int) -> dict[str, Figures]:
    """What each contender makes of a mix."""
    (found,) = (one for one in MIXES if one is mix)
    return {name: figures(make, found, workers, seed=1, most=15_000) for name, make in CONTENDERS.items()}


@pytest.mark.parametrize("workers", WORKERS)
def test_a_mix_of_50_us_and_200_ms_neither_starves_the_small_ones_nor_idles_a_worker(workers: int) -> None:
    """Credit by time: as busy as the best rival, and small ones wait no longer than with one shared queue."""
    found = contend(MIXED, workers)

    driven = found["Driven"]
    assert driven.busy >= 0.99 * max(one.busy for one in found.values())
    assert driven.wait_p99_ms <= 1.1 * min(one.wait_p99_ms for one in found.values())
    assert driven.busy > 1.1 * found["round robin"].busy


def test_small_commands_do_not_wait_behind_large_ones_as_they_do_with_a_fixed_credit() -> None:
    """Credit by time: 8 commands in advance keep workers busy with small ones, and keep small ones behind large."""
    found = contend(MIXED, 8)

    assert found["Driven"].wait_p99_ms < found["credit 8"].wait_p99_ms / 2
    assert found["Driven"].turn_p99_ms < found["credit 8"].turn_p99_ms / 1.5
    assert found["Driven"].wait_p99_ms < found["round robin"].wait_p99_ms / 5


@pytest.mark.parametrize("workers", [2, 8])
def test_workers_with_small_commands_never_starve_while_the_bus_does_other_things(workers: int) -> None:
    """Credit by time: 2 ms of work in advance cover a bus that is away for 1 ms; 8 commands of 50 us do not."""
    found = contend(SHORT, workers)

    assert found["Driven"].busy >= 0.99 * max(one.busy for one in found.values())
    assert found["Driven"].busy > 1.3 * found["credit 1"].busy


@pytest.mark.parametrize("mix", [TAILED, PARETO, NEW], ids=["tailed", "pareto", "new"])
@pytest.mark.parametrize("workers", [2, 8])
def test_workers_stay_busy_where_estimates_err(mix: object, workers: int) -> None:
    """Credit by time: averages that mislead, and types that nobody has seen, cost a few percent and no more."""
    found = contend(mix, workers)

    assert found["Driven"].busy >= 0.95 * max(one.busy for one in found.values())
