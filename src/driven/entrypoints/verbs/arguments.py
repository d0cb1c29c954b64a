"""Types of arguments that several verbs take: each is typed, and told by the help, in one way only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, TypeAlias

import tyro

_SILENT: Final = ("", "''", "0", "False", "None")
"""Defaults that say nothing: what is left out is nothing, or the help says in words what counts then."""


def argument(help: str, *, metavar: str | None = None, name: str | None = None) -> object:  # noqa: A002 - as tyro's
    """How an argument is told by the help, which names its default only where that tells something."""
    return tyro.conf.arg(
        help=help,
        metavar=metavar,
        name=name,
        help_behavior_hint=lambda default: "" if default in _SILENT else f"(default: {default})",
    )


ModuleApp: TypeAlias = Annotated[
    str,
    tyro.conf.Positional,
    argument(metavar="module:app", help='The application, as "package.module:attribute".'),
]
ConfigFile: TypeAlias = Annotated[
    Path | None,
    argument(metavar="FILE", help="The configuration; by default driven.toml in the current folder, if any."),
]
StoreUrl: TypeAlias = Annotated[
    str | None,
    argument(metavar="URL", help="Where the log is; by default as configured, else sqlite:///driven.db."),
]


def _whole(words: list[str]) -> int:
    text = words[0]
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text[:_SHOWN]!r} is no whole number; give one, in digits") from None


_SHOWN: Final = 80

WholeNumber: TypeAlias = Annotated[
    int | None,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="N",
        instance_from_str=_whole,
        is_instance=lambda value: value is None or isinstance(value, int),
        str_from_instance=lambda value: [str(value)],
    ),
]
"""A number that may be left out. Of an optional int tyro says what types it tried, and not what to type."""

ToPosition: TypeAlias = Annotated[
    WholeNumber, argument(metavar="N", help="The last position to look at; by default where the log ends.")
]
AsJson: TypeAlias = Annotated[bool, argument(help="Print the record as JSON, for programs.")]
