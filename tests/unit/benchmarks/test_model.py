"""The model of many cores: its formulas agree with each other, and with a simulation that has no formula in it."""

from __future__ import annotations

import pytest

from benchmarks.model import WORKERS, Costs, efficiency, metg_us, modelled, simulate, throughput

COSTS = Costs(command_us=12.0, turn_us=30.0, hand_over_us=5.0)


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_a_task_of_metg_reaches_just_the_efficiency(workers: int, threshold: float) -> None:
    """The two formulas are one."""
    assert efficiency(COSTS, workers, metg_us(COSTS, workers, threshold)) == pytest.approx(threshold)


def test_the_bus_thread_limits_many_workers_and_the_tasks_limit_few() -> None:
    """63 workers with tasks of 100 µs get one command per 12 µs; two get one per 52.5 µs, the hand-over included."""
    assert 1 / throughput(COSTS, 63, 100.0) == pytest.approx(12.0)
    assert 1 / throughput(COSTS, 2, 100.0) == pytest.approx(52.5)


def test_a_turn_of_its_own_costs_a_command_the_whole_wake_up() -> None:
    """And a turn that it shares, its share."""
    assert 1 / throughput(COSTS, 63, 1.0, per_turn=1) == pytest.approx(42.0)
    assert 1 / throughput(COSTS, 63, 1.0, per_turn=30) == pytest.approx(13.0)


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("task_us", [20.0, 100.0, 1_000.0])
def test_the_simulation_comes_near_the_formula_and_not_above(workers: int, task_us: float) -> None:
    """Random durations cost something where bus and workers are equally fast, and win nothing."""
    found = simulate(COSTS, workers, task_us)

    bound = throughput(COSTS, workers, task_us)
    assert 0.6 * bound < found.per_us < 1.1 * bound


def test_more_workers_share_a_turn_in_the_simulation() -> None:
    """Batching comes by itself, with the load."""
    shared = [simulate(COSTS, workers, 100.0).per_turn for workers in WORKERS]

    assert shared == sorted(shared)
    assert shared[0] < 2
    assert shared[-1] > 100


def test_the_page_says_what_was_measured_above_the_table() -> None:
    """One line per number of workers."""
    text = modelled(COSTS)

    assert text.startswith("Measured, in CPU time: 12.0 µs")
    assert [line.split()[1] for line in text.splitlines()[-len(WORKERS) :]] == [str(workers) for workers in WORKERS]
