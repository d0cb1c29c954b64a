"""Where a page goes: to a terminal in colour, or as plain text to whatever else standard output is."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from rich.console import Console

from driven.entrypoints.drawing.plain import plain_text
from driven.entrypoints.drawing.terminal import draw

if TYPE_CHECKING:
    from driven.entrypoints.drawing.page import Page


def show(page: Page) -> None:
    """Write a page to standard output."""
    console = Console()
    if is_drawable(console):
        draw(console, page)
    else:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # names may have letters that the encoding has not
        sys.stdout.write(plain_text(page))


def is_drawable(console: Console) -> bool:
    """Whether standard output is a terminal that can move and knows more than ASCII; FORCE_COLOR=1 says it is one."""
    return console.is_terminal and not console.is_dumb_terminal and console.encoding.startswith("utf")
