"""The soak: it sees memory that grows, its store sees order that breaks, and a short one runs."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from benchmarks.forgetful_store import ForgetfulStore
from benchmarks.soak import MIB, Look, grown_mib, soak, write_csv
from driven import StoreFailed
from driven.service.event_store import Batch, LoggedOutcome, Status

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = 3_000


def looks(per_command_bytes: float) -> list[Look]:
    """Memory that jumps to 50 MiB in the first tenth, and grows by so much per command later."""
    steps = range(0, 1_000_001, 10_000)
    return [
        Look(step, step / 1e5, {"bus": int((50 if step > 100_000 else 10) * MIB + per_command_bytes * step)})
        for step in steps
    ]


def test_growth_is_what_comes_after_the_warm_up() -> None:
    """A byte per command is 0.76 MiB in 800,000 commands; what was needed once is no growth."""
    assert grown_mib(looks(0), "bus") == pytest.approx(0, abs=0.001)
    assert grown_mib(looks(1), "bus") == pytest.approx(800_000 / MIB, rel=0.01)


@pytest.mark.parametrize("position", [0, 2])
def test_the_store_that_forgets_sees_what_retires_out_of_order(position: int) -> None:
    """O2: it keeps nothing but the order, so that is what it checks."""
    store = ForgetfulStore()

    with pytest.raises(StoreFailed, match=f"position {position} retired, where 1 was next"):
        store.append(Batch((), (LoggedOutcome(position, Status.SUCCEEDED, 1),)))


async def test_a_short_soak_retires_every_command_with_any_number_of_workers(tmp_path: Path) -> None:
    """O2, O6: the same digest with one worker and with two, and memory of every process in the table."""
    stores = [ForgetfulStore(), ForgetfulStore()]

    seen = [await soak(COMMANDS, workers, store) for workers, store in enumerate(stores, 1)]

    assert [store.last_retired for store in stores] == [COMMANDS, COMMANDS]
    assert stores[0].digest == stores[1].digest
    write_csv(seen[1], tmp_path / "memory.csv")
    heads, *lines = csv.reader((tmp_path / "memory.csv").read_text("utf-8").splitlines())
    assert len(heads) == 5
    assert lines
    assert all(int(cell) > MIB for line in lines for cell in line[2:] if cell)
