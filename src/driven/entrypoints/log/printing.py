"""Printing a log as it is read: on a terminal in colour and as wide as that is, else plain, or as JSON."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console

from driven.entrypoints.drawing.log import TITLES, record_line
from driven.entrypoints.drawing.plain import line_text
from driven.entrypoints.drawing.terminal import line_drawn
from driven.entrypoints.log.entries import entry_of
from driven.entrypoints.showing import is_drawable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from driven.service.event_store import LogRecord


def print_json(records: Iterable[LogRecord]) -> int:
    """One record a line, in UTF-8 whatever the terminal is, each as soon as it is there; how many there were."""
    number = 0
    for number, record in enumerate(records, 1):  # noqa: B007 - told at the end
        sys.stdout.buffer.write(msgspec.json.encode(entry_of(record)) + b"\n")
        sys.stdout.buffer.flush()
    return number


def print_lines(records: Iterable[LogRecord]) -> int:
    """A line for each message, below titles; how many there were."""
    write = _writer()
    number = 0
    for number, record in enumerate(records, 1):
        if number == 1:
            sys.stdout.write(f"{TITLES}\n")
        write(record)
    return number


def _writer() -> Callable[[LogRecord], None]:
    console = Console()
    if is_drawable(console):
        return lambda record: console.print(
            line_drawn(record_line(record)), no_wrap=True, overflow="ellipsis", crop=True, highlight=False
        )
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names may have letters that the encoding has not

    def write(record: LogRecord) -> None:
        sys.stdout.write(f"{line_text(record_line(record)).rstrip()}\n")
        sys.stdout.flush()

    return write
