"""A page on a terminal: rich draws it, in colour unless NO_COLOR is set, and as wide as the terminal is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Group
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text
from rich.tree import Tree as RichTree

from driven.entrypoints.drawing.page import Heading, Numbered, Paragraph, Phrase, Table, Tone

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType

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

GAP: Final = 2
"""Between the columns of a table, in characters."""
LEAST_ROOM: Final = 5
"""What a column of sentences makes do with rather than have a word of another column broken, in characters."""

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
        return _Fitted(block) if block.titles else _grid(block.rows)
    return _forest(block.roots)


def _grid(rows: Iterable[Sequence[Line]]) -> RenderableType:
    """Rows without titles; what is too long goes on below its own beginning."""
    grid = RichTable.grid(padding=(0, 0, 0, 2))
    for row in rows:
        grid.add_row(*map(line_drawn, row))
    return grid


class _Fitted:
    """A table that breaks no word as long as sentences have room enough; made when it is known how wide it may be."""

    def __init__(self, table: Table) -> None:
        self._table: Final = table

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """As wide as the table."""
        return Measurement.get(console, options, _table(self._table, options.max_width))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """The table, for the width that there is."""
        yield _table(self._table, options.max_width)


def _table(table: Table, width: int) -> RichTable:
    faint = STYLES[Tone.FAINT]
    drawn = RichTable(
        box=box.SIMPLE_HEAD,
        header_style=faint,
        border_style=faint,
        padding=(0, GAP - 1, 0, 0),  # the box puts one more between
        show_edge=False,
        pad_edge=False,
    )
    rows = [[line_drawn(cell) for cell in row] for row in table.rows]
    columns = [[title, *(row[at].plain for row in rows)] for at, title in enumerate(table.titles)]
    for title, is_kept in zip(table.titles, _kept(columns, width), strict=True):
        drawn.add_column(title, no_wrap=is_kept, overflow="ellipsis" if is_kept else "fold")
    for row in rows:
        drawn.add_row(*row)
    return drawn


def _kept(columns: Sequence[Sequence[str]], width: int) -> list[bool]:
    """Of each column, whether it holds single words and these stay whole: all such columns do, if the others have room.

    Figures with a unit stay whole by themselves: of what may be broken the widest is broken first.
    """
    words = [not any(" " in cell for cell in cells) for cells in columns]
    taken = [max(map(len, cells)) for cells, is_word in zip(columns, words, strict=True) if is_word]
    room = width - GAP * (len(columns) - 1) - sum(taken)
    return words if room >= LEAST_ROOM * words.count(False) else [False] * len(columns)


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
