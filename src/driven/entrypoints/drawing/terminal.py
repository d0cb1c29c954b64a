"""A page on a terminal: rich draws it, in colour unless NO_COLOR is set, and as wide as the terminal is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text
from rich.tree import Tree as RichTree

from driven.entrypoints.drawing.page import Heading, Numbered, Paragraph, Phrase, Table, Tone

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console, RenderableType

    from driven.entrypoints.drawing.page import Branch, Line, Page, Tree

STYLES: Final = {
    Tone.PLAIN: "",
    Tone.STRONG: "bold",
    Tone.FAINT: "dim",
    Tone.GOOD: "green",
    Tone.CAUTION: "yellow",
    Tone.BAD: "red",
    Tone.COMMAND: "bold cyan",
    Tone.EVENT: "magenta",
}

INDENT: Final = 2
"""Of what stands below a heading, in characters."""


def draw(console: Console, page: Page) -> None:
    """Show a page, with an empty line before each heading and at the end."""
    console.print(drawn(page), highlight=False)


def drawn(page: Page) -> RenderableType:
    """The same, to be shown by whoever wants to."""
    return Group(*_drawn(page), Text())


def _drawn(page: Page) -> Iterator[RenderableType]:
    for block in page:
        if isinstance(block, Heading):
            yield Text()
            yield _heading(block)
        else:
            yield Padding(_block(block), (0, 0, 0, INDENT), expand=False)


def _heading(heading: Heading) -> Text:
    remark = (Phrase(f"  {heading.remark}", Tone.FAINT),) if heading.remark else ()
    return line_drawn((Phrase(heading.text, Tone.STRONG), *remark))


def _block(block: Paragraph | Numbered | Table | Tree) -> RenderableType:
    if isinstance(block, Paragraph):
        return _grid((line,) for line in block.lines)
    if isinstance(block, Numbered):
        numbered = enumerate(block.items, 1)
        return _grid(((Phrase(f"{number}.", block.tone),), (Phrase(item),)) for number, item in numbered)
    if isinstance(block, Table):
        return _table(block) if block.titles else _grid(block.rows)
    return _forest(block.roots)


def _grid(rows: Iterable[Sequence[Line]]) -> RenderableType:
    """Rows without titles; what is too long goes on below its own beginning."""
    grid = RichTable.grid(padding=(0, 0, 0, 2))
    for row in rows:
        grid.add_row(*map(line_drawn, row))
    return grid


def _table(table: Table) -> RenderableType:
    faint = STYLES[Tone.FAINT]
    drawn = RichTable(box=box.SIMPLE_HEAD, header_style=faint, border_style=faint, show_edge=False, pad_edge=False)
    for title in table.titles:
        drawn.add_column(title, overflow="fold")
    for row in table.rows:
        drawn.add_row(*map(line_drawn, row))
    return drawn


def _forest(roots: Iterable[Branch]) -> RenderableType:
    ground = RichTree("", hide_root=True, guide_style=STYLES[Tone.FAINT])
    for root in roots:
        _grow(ground, root)
    return ground


def _grow(parent: RichTree, branch: Branch) -> None:
    label = line_drawn(branch.line)
    label.no_wrap, label.overflow = True, "ellipsis"  # a second line would stand among the branches
    grown = parent.add(label)
    for child in branch.branches:
        _grow(grown, child)


def line_drawn(line: Line) -> Text:
    """Draw one line."""
    return Text.assemble(*((phrase.drawn or phrase.text, STYLES[phrase.tone]) for phrase in line))
