"""Put the figures of a report into docs/explanation/performance.md, between its marks.

Run it as ``python -m benchmarks.page driven-bench/results.json``, after a run whose noise is worth publishing.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from driven.entrypoints.bench.markdown import aims_markdown, ceiling_markdown, machine_sentence, summary_markdown
from driven.entrypoints.bench.record import BenchReport

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE: Final = Path(__file__).parents[1] / "docs/explanation/performance.md"
MARKED: Final = re.compile(r"(?<=<!-- measured -->\n).*?(?=<!-- end of measured -->)", re.DOTALL)


def measured(report: BenchReport) -> str:
    """What stands between the marks."""
    return (
        f"{report.plan.rounds} rounds of `{report.command}`, {report.plan.workers} workers; medians, lowest and highest"
        f" in brackets. {machine_sentence(report)}\n\n{aims_markdown(report)}\n"
        f"Beside the ceiling:\n\n{ceiling_markdown(report)}\n"
        f"And everybody in one table:\n\n{summary_markdown(report)}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the record, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    report = msgspec.json.decode(options.results.read_bytes(), type=BenchReport)
    page = options.page.read_text("utf-8")
    options.page.write_text(MARKED.sub(lambda _: measured(report), page), "utf-8")


if __name__ == "__main__":
    main()
