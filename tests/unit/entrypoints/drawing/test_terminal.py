"""Pages on a terminal: colours unless they are not wanted, lines that fit, and signs that plain text does without."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from driven.entrypoints.drawing.page import Branch, Heading, Numbered, Paragraph, Phrase, Table, Tone, Tree, line
from driven.entrypoints.drawing.terminal import STYLES, draw
from driven.entrypoints.showing import is_drawable

PAGE = (
    Heading("heading", "remark"),
    Paragraph(((Phrase("ok", Tone.GOOD, "✓ ok"),),)),
    Table(("name", "why"), ((line("a [bold]name[/bold]", Tone.COMMAND), line("because " * 30)),)),
    Numbered(("first " * 30,), Tone.BAD),
    Tree((Branch(line("root"), (Branch(line("leaf", Tone.EVENT)),)),)),
)
RED = "\x1b[31m"


def on_terminal(*, width: int = 80, no_color: bool = False, file: io.StringIO | None = None) -> str:
    """What a terminal of this width is sent."""
    console = Console(
        file=file or io.StringIO(), force_terminal=True, width=width, no_color=no_color, color_system="standard"
    )
    draw(console, PAGE)
    written = console.file
    assert isinstance(written, io.StringIO)
    return written.getvalue()


def test_a_terminal_gets_colours_signs_and_branches() -> None:
    """Style: beautiful where somebody looks."""
    shown = on_terminal()

    assert RED in shown
    assert "✓ ok" in shown
    assert "└── " in shown
    assert "───" in shown


def test_no_color_leaves_no_colour() -> None:
    """no-color.org: colours go; weight and structure may stay."""
    shown = on_terminal(no_color=True)

    assert RED not in shown
    assert "\x1b[1;36m" not in shown
    assert "✓ ok" in shown


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Long cells and sentences go on below themselves."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    draw(console, PAGE)

    assert isinstance(console.file, io.StringIO)
    assert max(len(shown.rstrip()) for shown in console.file.getvalue().splitlines()) <= width


WORKERS = Table(
    ("worker", "group", "state", "memory", "doing"),
    ((line("1"), line("pricing_of_books"), line("running"), line("28.8 MiB"), line("PriceBook at 51 for 26.3 ms")),),
)


def words_of(width: int) -> list[str]:
    """What a table shows between blanks on a terminal of this width."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    draw(console, (WORKERS,))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().split()


@pytest.mark.parametrize(("width", "whole"), [(70, "28.8 MiB"), (58, "pricing_of_books")])
def test_a_narrow_table_breaks_what_can_be_broken(width: int, whole: str) -> None:
    """Sentences go on below themselves, figures with a unit long after them, and words not at all."""
    shown = words_of(width)

    assert " ".join(shown).count(whole) == 1
    assert {"worker", "group", "running", "pricing_of_books"} <= set(shown)


def test_a_very_narrow_table_loses_nothing() -> None:
    """Broken words are ugly; words that are not there are wrong."""
    shown = "".join(words_of(40)).replace("─", "")

    assert sorted(shown) == sorted("".join("".join(words_of(120)).replace("─", "")))


def test_what_a_name_says_is_never_taken_for_markup() -> None:
    """Names and errors may hold brackets: `[workers] count` must not vanish."""
    assert "a [bold]name[/bold]" in on_terminal(no_color=True)


def test_every_tone_has_a_style() -> None:
    """A tone without one would fail in front of a user, on one page only."""
    assert set(STYLES) == set(Tone)


def test_only_a_terminal_that_can_draw_is_drawn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe, a dumb terminal and one without UTF-8 get plain text."""
    pipe = Console(file=io.StringIO())
    terminal = Console(file=io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), force_terminal=True)
    ascii_only = Console(file=io.TextIOWrapper(io.BytesIO(), encoding="ascii"), force_terminal=True)
    verdicts = [is_drawable(console) for console in (pipe, terminal, ascii_only)]
    monkeypatch.setenv("TERM", "dumb")
    dumb = is_drawable(Console(file=io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), force_terminal=True))

    assert [*verdicts, dumb] == [False, True, False, False]
