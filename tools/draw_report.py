"""Draw what a verb of `driven` shows on a terminal as a picture for the pages: an SVG, by rich.

    python tools/draw_report.py docs/how-to/check.svg 90 check shop:app

The folder, the width in characters, and what is typed behind `driven`. It runs in the current folder, as `driven` does.
Whatever of the text is a path of this machine is cut down to its last part: a picture is looked at elsewhere. Fonts are
the reader's own, so that a page fetches nothing.
"""

from __future__ import annotations

import io
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.terminal_theme import MONOKAI

from driven.entrypoints.drawing.terminal import draw
from driven.entrypoints.verbs.carrying_out import Dispatch, Run
from driven.entrypoints.verbs.parsing import parse

if TYPE_CHECKING:
    from driven.entrypoints.drawing.page import Page

FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
PATH = re.compile(r"(?<![\w.])/(?:[\w.+-]+/)+")
"""The folders of an absolute path."""


def without_paths(told: Any) -> Any:  # noqa: ANN401 - a page, or whatever it is made of
    """The same, without the folders of this machine."""
    if isinstance(told, str):
        return PATH.sub("…/", told)
    if isinstance(told, tuple):
        return tuple(map(without_paths, told))
    if isinstance(told, msgspec.Struct):
        return type(told)(*(without_paths(getattr(told, field)) for field in told.__struct_fields__))
    return told


def picture(page: Page, typed: list[str], width: int) -> str:
    """The SVG of a page, under a title that says what was typed."""
    console = Console(record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor", width=width)
    draw(console, without_paths(page))
    drawn = console.export_svg(title=shlex.join(["driven", *typed]), theme=MONOKAI, unique_id="report")
    return FONT.sub("", drawn)


def main() -> int:
    """Draw one report."""
    place, width, *typed = sys.argv[1:]
    sys.path.insert(0, str(Path.cwd()))
    verb = parse(typed)
    if isinstance(verb, Run | Dispatch):
        raise SystemExit(f"driven {typed[0]} shows no page")
    Path(place).write_text(picture(verb.answer().page, typed, int(width)), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
