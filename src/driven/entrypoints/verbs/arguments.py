"""Types of arguments that several verbs take: each is typed, and told by the help, in one way only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

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
ToPosition: TypeAlias = Annotated[
    int | None, tyro.conf.arg(metavar="N", help="The last position to look at; by default where the log ends.")
]
AsJson: TypeAlias = Annotated[bool, tyro.conf.arg(help="Print the record as JSON, for programs.")]
