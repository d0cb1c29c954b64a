"""A page as plain text: no colours, no drawing characters, lines of a width that logs can bear; for pipes and files."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from driven.entrypoints.drawing.page import Heading, Numbered, Paragraph, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from driven.entrypoints.drawing.page import Block, Branch, Line, Page

GAP: Final = "  "

WIDTH: Final = 120
"""Of a line, in characters. A path that is longer is not cut."""

NARROWEST: Final = 40
"""What the last column of a table has at least, however wide the others are."""


def plain_text(page: Page) -> str:
    """Write a page; a heading has an empty line before it, but not at the top."""
    lines: list[str] = []
    for block in page:
        if isinstance(block, Heading) and lines:
            lines.append("")
        lines.extend(written.rstrip() for written in _block(block))
    return "\n".join(lines) + "\n"


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Heading):
        yield f"{block.text}{GAP}{block.remark}" if block.remark else block.text
    elif isinstance(block, Paragraph):
        yield from (GAP + line_text(line) for line in block.lines)
    elif isinstance(block, Numbered):
        for number, item in enumerate(block.items, 1):
            yield from _hanging(f"{GAP}{number}. ", item)
    elif isinstance(block, Table):
        yield from _table(block)
    else:
        yield from (GAP + written for root in block.roots for written in _branch(root))


def _table(table: Table) -> Iterator[str]:
    rows = [tuple(line_text(cell) for cell in row) for row in table.rows]
    if table.titles:
        rows.insert(0, table.titles)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for *cells, last in rows:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths[:-1], strict=True))
        yield from _hanging(GAP + "".join(cell + GAP for cell in padded), last)


def _hanging(beginning: str, text: str) -> Iterator[str]:
    """Write `text` behind `beginning`; what is too long, and each line of its own, goes on below."""
    wrapper = textwrap.TextWrapper(
        width=max(WIDTH - len(beginning), NARROWEST), break_long_words=False, break_on_hyphens=False
    )
    parts = [part for line in text.split("\n") for part in wrapper.wrap(line)] or [""]
    yield beginning + parts[0]
    yield from (" " * len(beginning) + part for part in parts[1:])


def _branch(branch: Branch) -> Iterator[str]:
    yield line_text(branch.line)
    for child in branch.branches:
        first, *rest = _branch(child)
        yield f"{child.arrow} {first}"
        yield from _indented(rest)


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"   {line}" for line in lines)


def line_text(line: Line) -> str:
    """Write one line."""
    return "".join(phrase.text for phrase in line)
