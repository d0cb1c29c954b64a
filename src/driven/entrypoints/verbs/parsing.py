"""All verbs, and which of them was typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import tyro

from driven.entrypoints.verbs.carrying_out import Dispatch, Run
from driven.entrypoints.verbs.due import Due
from driven.entrypoints.verbs.log import Log
from driven.entrypoints.verbs.looking import Bench, Check, Examine, Place, Top
from driven.entrypoints.verbs.parked import Parked
from driven.entrypoints.verbs.replaying import BuildAnew, Schema, Verify

if TYPE_CHECKING:
    from collections.abc import Sequence

DESCRIPTION: Final = (
    "Driven, a message bus: serve an application, look into its log, mend what failed. "
    "`driven --version` says which it is."
)

Verb: TypeAlias = (
    Annotated[Check, tyro.conf.subcommand("check")]
    | Annotated[Place, tyro.conf.subcommand("placement")]
    | Annotated[Examine, tyro.conf.subcommand("doctor")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
    | Annotated[Top, tyro.conf.subcommand("top")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Schema, tyro.conf.subcommand("schema")]
    | Annotated[Run, tyro.conf.subcommand("run")]
    | Annotated[Dispatch, tyro.conf.subcommand("dispatch")]
    | Annotated[Log, tyro.conf.subcommand("log")]
    | Annotated[BuildAnew, tyro.conf.subcommand("rebuild")]
    | Annotated[Parked, tyro.conf.subcommand("parked")]
    | Annotated[Due, tyro.conf.subcommand("due")]
)
"""`dispatch` is here for its help only: it is told apart before, as the options of a command follow."""


def parse(arguments: Sequence[str]) -> Verb:
    """Understand what was typed; help and mistakes end the program, with 0 and 2."""
    return tyro.cli(
        Verb, prog="driven", description=DESCRIPTION, args=arguments, config=(tyro.conf.FlagCreatePairsOff,)
    )
