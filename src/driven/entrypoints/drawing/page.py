"""What a page is made of: blocks of phrases, each with a tone. Values; whoever shows them decides how they look."""

from __future__ import annotations

import enum
from typing import TypeAlias

import msgspec


class Tone(enum.Enum):
    """What a phrase is, as far as it shows."""

    PLAIN = "plain"
    STRONG = "strong"
    FAINT = "faint"
    GOOD = "good"
    CAUTION = "caution"
    BAD = "bad"
    COMMAND = "command"
    EVENT = "event"


class Phrase(msgspec.Struct, frozen=True):
    """A piece of text in one tone."""

    text: str
    tone: Tone = Tone.PLAIN
    drawn: str = ""
    """What a terminal shows instead, with signs that plain text does without; empty: the same."""


Line: TypeAlias = tuple[Phrase, ...]
"""Phrases beside each other."""


class Heading(msgspec.Struct, frozen=True):
    """Begins a part of the page."""

    text: str
    remark: str = ""


class Paragraph(msgspec.Struct, frozen=True):
    """Lines below each other."""

    lines: tuple[Line, ...]


class Numbered(msgspec.Struct, frozen=True):
    """Sentences to go through one by one."""

    items: tuple[str, ...]
    tone: Tone
    """Of the numbers."""


class Table(msgspec.Struct, frozen=True):
    """Rows of cells, each a line of its own; the last column may be long."""

    titles: tuple[str, ...]
    """One per column; none: the cells speak for themselves."""
    rows: tuple[tuple[Line, ...], ...]


class Branch(msgspec.Struct, frozen=True):
    """A line, and what grows from it."""

    line: Line
    branches: tuple[Branch, ...] = ()
    arrow: str = "->"
    """What plain text puts between it and what it grows from."""


class Tree(msgspec.Struct, frozen=True):
    """Branches from one or several roots."""

    roots: tuple[Branch, ...]


Block: TypeAlias = Heading | Paragraph | Numbered | Table | Tree
Page: TypeAlias = tuple[Block, ...]


def line(text: str, tone: Tone = Tone.PLAIN) -> Line:
    """A line of a single phrase."""
    return (Phrase(text, tone),)
