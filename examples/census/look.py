"""The look: how the census shows itself in a terminal, and how where its output is piped.

A `Look` is chosen once per console and says everything that differs between the two, so that whoever draws
asks for a heading, a table, a frame or a bar, and never for the kind of place it is drawn in.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from typing import TextIO

    from rich.console import RenderableType

PIPED_WIDTH = 110
"""Columns of output that goes to a file or another program."""

_EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True)
class Look:
    """Boxes, colours and blocks; `PLAIN` overrides what needs more than letters."""

    ellipsis: str = "…"

    def table(self) -> Table:
        """An empty table; its columns are the caller's."""
        return Table(box=box.SIMPLE_HEAD, header_style="bold", padding=(0, 1, 0, 0), pad_edge=False)

    def frame(self, title: str, body: RenderableType) -> RenderableType:
        """`body` under `title`, set apart from what is around it."""
        return Panel(
            body, title=Text(title, "bold"), title_align="left", border_style="dim", padding=(1, 2), expand=False
        )

    def bar(self, share: float, width: int) -> str:
        """A bar of `share` (0 to 1) of `width` columns; visible wherever the share is more than nothing."""
        eighths = max(round(share * width * 8), 1 if share else 0)
        return _EIGHTHS[8] * (eighths // 8) + _EIGHTHS[eighths % 8].strip()

    def show(self, console: Console, renderable: RenderableType) -> None:
        """Print."""
        console.print(renderable)


@dataclass(frozen=True)
class _Plain(Look):
    ellipsis: str = "..."

    def table(self) -> Table:
        return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))

    def frame(self, title: str, body: RenderableType) -> RenderableType:
        return Group(Text(title), Text("-" * len(title)), body)

    def bar(self, share: float, width: int) -> str:
        return "#" * max(round(share * width), 1 if share else 0)

    def show(self, console: Console, renderable: RenderableType) -> None:
        """Print, without the blanks that only fill lines up."""
        with console.capture() as capture:
            console.print(renderable)
        for line in capture.get().splitlines():
            console.out(line.rstrip(), highlight=False)


RICH = Look()
"""For terminals that can draw."""

PLAIN = _Plain()
"""For pipes, files and terminals that know ASCII only: letters, digits and line ends, nothing else."""


def look_of(console: Console) -> Look:
    """The look that fits where `console` writes to."""
    can_draw = console.is_terminal and not console.is_dumb_terminal and not console.options.ascii_only
    return RICH if can_draw else PLAIN


def open_console(file: TextIO | None = None) -> Console:
    """A console on `file`, by default the standard output; `PIPED_WIDTH` columns where it is no terminal."""
    stream = file or sys.stdout
    console = Console(file=stream, highlight=False)
    return console if console.is_terminal else Console(file=stream, highlight=False, width=PIPED_WIDTH)


def printable(text: str) -> str:
    """`text` with what could move the cursor or break a line written as an escape: names of files may hold anything."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def keep_end(text: str, width: int, ellipsis: str) -> str:
    """`text`, or its last part where it is longer than `width`: the end of a path says most."""
    return text if len(text) <= width else ellipsis + text[len(text) - max(width - len(ellipsis), 0) :]
