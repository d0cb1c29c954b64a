"""The folder of a report: `report.md`, the charts, and `results.json`, from which all of it can be made again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from driven.entrypoints.bench.markdown import markdown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driven.entrypoints.bench.record import BenchReport

PAGE: Final = "report.md"
RESULTS: Final = "results.json"
NO_CHARTS: Final = "no charts, as matplotlib is not installed: pip install 'driven-bus[bench]'"


def write_folder(report: BenchReport, folder: Path, tell: Callable[[str], None]) -> BenchReport:
    """Write everything; return the record with the names of what was written.

    Raises:
        OSError: the folder cannot be written.

    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        from driven.entrypoints.bench.charts import draw_charts  # noqa: PLC0415 - matplotlib may be missing
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        tell(NO_CHARTS)
        charts: tuple[str, ...] = ()
    else:
        charts = draw_charts(report, folder)
    whole = msgspec.structs.replace(report, files=(PAGE, *charts, RESULTS))
    (folder / PAGE).write_text(markdown(whole), "utf-8")
    (folder / RESULTS).write_bytes(msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n")
    return whole
