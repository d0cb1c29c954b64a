"""The report, as a terminal shows it and as a pipe takes it."""

from __future__ import annotations

import io
import re

import msgspec
import pytest
from rich.console import Console

from census.look import PLAIN, RICH, Look, keep_end, look_of, open_console, printable
from census.measuring import measure
from census.report import Run, comparison, ranking, summary
from census.table import SurveyRows

SIMPLE = measure(b'"""Doc."""\ndef f(): pass\n')
HARD = msgspec.structs.replace(
    measure(b"class C:\n def method(self):\n  if a: pass\n"), worst_complexity=51, bands=(0, 0, 0, 0, 1)
)
ROWS = SurveyRows(
    root="/srv/tree",
    expected=3,
    measured={"pkg/simple.py": SIMPLE, "pkg/[bold]hard.py": HARD},
    unreadable={f"bad{n}.py": "does not parse: invalid syntax (line 1)" for n in range(6)},
)
DIGEST = "0123456789abcdef" * 4


def terminal(width: int = 100) -> Console:
    """A console that believes in a terminal."""
    return Console(file=io.StringIO(), force_terminal=True, width=width, highlight=False, color_system="truecolor")


def text_of(console: Console) -> str:
    """Everything the console printed."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def whole_report(console: Console, look: Look) -> str:
    """All three parts of the report, as the console printed them."""
    for part in (
        ranking(ROWS, 10, look, console.width),
        summary(ROWS, look, console.width),
        comparison(Run(2, 5.0, DIGEST, ROWS), Run(0, 10.0, DIGEST, ROWS), look),
    ):
        look.show(console, part)
    return text_of(console)


def piped() -> str:
    """The whole report, as a pipe takes it."""
    console = open_console(io.StringIO())
    return whole_report(console, look_of(console))


def test_a_piped_report_is_plain_text() -> None:
    """No control characters, no boxes, no blanks at line ends, nothing wider than the stated width."""
    report = piped()

    assert report.isascii()
    assert all(each.isprintable() for each in report.replace("\n", ""))
    assert all(line == line.rstrip() and len(line) <= 110 for line in report.splitlines())


def test_a_terminal_gets_colours_and_boxes() -> None:
    """Output worth looking at."""
    console = terminal()

    report = whole_report(console, look_of(console))

    assert "\x1b[31m" in report
    assert "╭─" in report
    assert "█" in report


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """A wrapped table cannot be read."""
    report = re.sub(r"\x1b\[[0-9;]*m", "", whole_report(terminal(width), RICH))

    assert max(map(len, report.splitlines())) <= width


def test_numbers_are_not_cut_on_eighty_columns() -> None:
    """Names give way to figures where room is short."""
    rows = SurveyRows(measured={"a/long/path/to/some/module/of/a/package.py": HARD})
    console = Console(file=io.StringIO(), width=80)
    RICH.show(console, ranking(rows, 10, RICH, 80))

    assert re.search(r"1 +….*package\.py +51 +C\.method +1 +3 +1 +2 +0 %", text_of(console))


def test_the_ranking_has_the_worst_file_first_with_all_its_figures() -> None:
    """Rank, file, worst complexity with its function, functions, lines, nesting, longest, docstrings."""
    lines = piped().splitlines()

    assert lines[1].split() == ["#", "file", "worst", "function", "defs", "lines", "deep", "long", "docs"]
    assert lines[2].split() == ["1", "pkg/[bold]hard.py", "51", "C.method", "1", "3", "1", "2", "0", "%"]
    assert lines[3].split() == ["2", "pkg/simple.py", "1", "f", "1", "2", "0", "1", "50", "%"]


def test_the_summary_counts_files_and_names_the_first_unreadable_ones() -> None:
    """Every file is accounted for; reasons are samples."""
    report = piped()

    assert "8: 2 measured, 6 unreadable" in report
    assert "unreadable, the first 5" in report
    assert re.search(r"bad0\.py +does not parse: invalid syntax \(line 1\)", report)
    assert "bad5.py" not in report


def test_the_summary_draws_the_distribution_of_complexity() -> None:
    """One bar per band, with the count and the share."""
    report = piped()

    assert re.search(r"1-5 +#{32} +1 +50\.0 %", report)
    assert re.search(r"6-10 +0 +0\.0 %", report)
    assert re.search(r"51\+ +#{32} +1 +50\.0 %", report)


def test_the_comparison_says_how_long_both_took_and_that_the_logs_are_equal() -> None:
    """O6 on show: another number of workers, the same log."""
    report = piped()

    assert re.search(rf"2 workers +5\.00 +2 +{DIGEST}", report)
    assert re.search(rf"inline +10\.00 +1 +{DIGEST}", report)
    assert "time ratio   0.50" in report
    assert "log digests  equal" in report


def test_the_comparison_shouts_when_the_logs_differ() -> None:
    """O6 broken must not be overlooked."""
    console = open_console(io.StringIO())
    PLAIN.show(console, comparison(Run(1, 1.0, DIGEST, ROWS), Run(0, 1.0, DIGEST[::-1], ROWS), PLAIN))

    assert "1 worker " in text_of(console)
    assert "log digests  DIFFERENT" in text_of(console)


def test_a_tree_of_unreadable_files_has_a_report() -> None:
    """Nothing is divided by nothing."""
    rows = SurveyRows(root="/srv/tree", unreadable={"a.py": "binary"})
    console = open_console(io.StringIO())
    PLAIN.show(console, ranking(rows, 10, PLAIN, 80))
    PLAIN.show(console, summary(rows, PLAIN, 80))

    assert "1: 0 measured, 1 unreadable" in text_of(console)


def test_names_of_files_cannot_control_the_terminal() -> None:
    """A name may hold escape sequences, line ends and markup; it is shown, not obeyed."""
    rows = SurveyRows(root="/a\nb", measured={"\x1b[2J[red]x[/red].py": SIMPLE}, unreadable={"a\rb.py": "bad\x07"})
    console = open_console(io.StringIO())
    PLAIN.show(console, ranking(rows, 10, PLAIN, console.width))
    PLAIN.show(console, summary(rows, PLAIN, console.width))

    report = text_of(console)
    assert r"\x1b[2J[red]x[/red].py" in report
    assert r"a\rb.py" in report
    assert r"Census of /a\nb" in report
    assert all(each.isprintable() for each in report.replace("\n", ""))


def test_a_name_in_any_script_is_printed_as_it_is() -> None:
    """Only what does not print is escaped."""
    assert printable("größe/文件 🐍.py") == "größe/文件 🐍.py"


def test_a_long_path_keeps_its_end() -> None:
    """The name of the file says more than the first folder."""
    assert keep_end("a/very/long/path.py", 10, "...") == "...path.py"
    assert keep_end("short.py", 10, "...") == "short.py"


@pytest.mark.parametrize(("look", "glyph"), [(RICH, "▏"), (PLAIN, "#")])
def test_a_small_share_is_still_seen(look: Look, glyph: str) -> None:
    """One function in a hundred thousand is not none."""
    assert look.bar(0.00001, 32) == glyph
    assert look.bar(0.0, 32) == ""
    assert len(look.bar(1.0, 32)) == 32


def test_a_dumb_terminal_is_treated_like_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not move its cursor."""
    monkeypatch.setenv("TERM", "dumb")

    assert look_of(terminal()) is PLAIN
