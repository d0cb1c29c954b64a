"""Types of arguments that several verbs take: each is typed, and told by the help, in one way only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, TypeAlias

import tyro

ModuleApp: TypeAlias = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(metavar="module:app", help='The application, as "package.module:attribute".'),
]
ConfigFile: TypeAlias = Annotated[
    Path | None,
    tyro.conf.arg(metavar="FILE", help="The configuration; by default driven.toml in the current folder, if any."),
]
StoreUrl: TypeAlias = Annotated[
    str | None,
    tyro.conf.arg(metavar="URL", help="Where the log is; by default as configured, else sqlite:///driven.db."),
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
    WholeNumber, tyro.conf.arg(metavar="N", help="The last position to look at; by default where the log ends.")
]
AsJson: TypeAlias = Annotated[bool, tyro.conf.arg(help="Print the record as JSON, for programs.")]
