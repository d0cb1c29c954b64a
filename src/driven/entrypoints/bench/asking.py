"""From what was typed to a run: names become measures and contenders, and wrong ones are refused with what there is."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from driven.entrypoints.bench.contenders import CATALOGUE, contender
from driven.entrypoints.bench.folder import write_folder
from driven.entrypoints.bench.plan import make_plan
from driven.entrypoints.bench.runner import run_bench
from driven.entrypoints.bench.samples import Measure
from driven.errors import DrivenError
from driven.pool.cpus import available_cpus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from driven.entrypoints.bench.record import BenchReport

MOST_WORKERS: Final = 1_024


class NotMeasurable(DrivenError):
    """What was asked for cannot be measured; the text says why, and what can be."""


def bench(  # noqa: PLR0913 - what can be typed
    *, is_quick: bool, folder: Path, only: Sequence[str], contenders: Sequence[str], workers: int | None, typed: str
) -> BenchReport:
    """Measure and write the report.

    Raises:
        NotMeasurable: a name is not known, a contender is not installed, or the folder cannot be written.

    """
    plan = make_plan(
        is_quick=is_quick,
        workers=_workers(workers),
        measures=measures_of(only),
        contenders=contenders_of(contenders),
    )
    _try_out(folder)
    return write_folder(run_bench(plan, typed, _tell), folder, _tell)


def measures_of(names: Sequence[str]) -> list[Measure]:
    """The measures of these names; all, when there are none."""
    known = [measure.value for measure in Measure]
    if unknown := [name for name in names if name not in known]:
        raise NotMeasurable(f"there is no measure {unknown[0]!r}; --only takes {', '.join(known)}")
    return [measure for measure in Measure if not names or measure.value in names]


def contenders_of(keys: Sequence[str]) -> list[str]:
    """The keys of these contenders; of all that are installed, when there are none."""
    known = [one.key for one in CATALOGUE]
    if unknown := [key for key in keys if key not in known]:
        raise NotMeasurable(f"there is no contender {unknown[0]!r}; --contenders takes {', '.join(known)}")
    if absent := [key for key in keys if not contender(key).version()]:
        raise NotMeasurable(
            f"{contender(absent[0]).name} is not installed; "
            "pip install 'driven-bus[bench]' brings the light contenders, Ray and Dask are installed by themselves"
        )
    return [key for key in known if (not keys or key in keys) and contender(key).version()]


def _workers(asked: int | None) -> int:
    if asked is None:
        return available_cpus().count
    if not 1 <= asked <= MOST_WORKERS:
        raise NotMeasurable(f"{asked} workers cannot be measured; give --workers a number from 1 to {MOST_WORKERS}")
    return asked


def _try_out(folder: Path) -> None:
    """Find out now, and not after minutes, that the report cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_writable = os.access(folder, os.W_OK)
    except OSError as error:
        raise NotMeasurable(f"{folder} cannot be made ({error.strerror}); give --report another folder") from error
    if not is_writable:
        raise NotMeasurable(f"{folder} cannot be written; give --report another folder")


def _tell(text: str) -> None:
    sys.stderr.write(f"driven bench: {text}\n")
    sys.stderr.flush()
