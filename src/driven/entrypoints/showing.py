"""Where a page goes: to a terminal in colour, or as plain text to whatever else standard output is."""

from __future__ import annotations

import io
import sys
import time
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.live import Live

from driven.entrypoints.drawing.plain import plain_text
from driven.entrypoints.drawing.terminal import draw, drawn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from driven.entrypoints.drawing.page import Page

REDRAW_S: Final = 1.0
"""Between two pages of a live view."""


def show(page: Page) -> None:
    """Write a page to standard output."""
    console = Console()
    if is_drawable(console):
        draw(console, page)
    else:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # names may have letters that the encoding has not
        sys.stdout.write(plain_text(page))


def is_terminal() -> bool:
    """Whether standard output can be drawn on again and again."""
    return is_drawable(Console())


def follow(pages: Iterable[Page]) -> None:
    """Draw each page over the one before, once a second, until there are no more or somebody interrupts."""
    with Live(console=Console(), auto_refresh=False) as live:
        for page in pages:
            live.update(drawn(page), refresh=True)
            time.sleep(REDRAW_S)


def is_drawable(console: Console) -> bool:
    """Whether standard output is a terminal that can move and knows more than ASCII; FORCE_COLOR=1 says it is one."""
    return console.is_terminal and not console.is_dumb_terminal and console.encoding.startswith("utf")
