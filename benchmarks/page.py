"""Put figures into the pages of docs/explanation, each between its marks: `<!-- name -->` and `<!-- end of name -->`.

Run it as ``python -m benchmarks.page driven-bench/results.json`` to put those of `driven bench` onto
docs/explanation/performance.md, after a run whose noise is worth publishing. The other benchmarks put theirs with
``--page``.
"""

from __future__ import annotations

import argparse
import re
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from driven.entrypoints.bench.markdown import aims_markdown, ceiling_markdown, machine_sentence, summary_markdown
from driven.entrypoints.bench.record import BenchReport

if TYPE_CHECKING:
    from collections.abc import Sequence

PERFORMANCE: Final = Path(__file__).parents[1] / "docs/explanation/performance.md"


def put(name: str, text: str, page: Path = PERFORMANCE) -> None:
    """Put a text between the marks of that name, instead of what is there."""
    marked = re.compile(f"(?<=<!-- {name} -->\n).*?(?=<!-- end of {name} -->)", re.DOTALL)
    before = page.read_text("utf-8")
    if marked.search(before) is None:
        raise LookupError(
            f"{page} has no marks <!-- {name} --> and <!-- end of {name} -->; set them where it should go"
        )
    page.write_text(marked.sub(lambda _: text, before), "utf-8")


def spread(values: Sequence[float]) -> str:
    """Median, lowest and highest."""
    digits = 0 if statistics.median(values) >= 100 else 1
    middle, low, high = (f"{one:,.{digits}f}" for one in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({low} - {high})"


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
    parser.add_argument("--page", type=Path, default=PERFORMANCE)
    options = parser.parse_args(arguments)
    report = msgspec.json.decode(options.results.read_bytes(), type=BenchReport)
    put("measured", measured(report), options.page)


if __name__ == "__main__":
    main()
