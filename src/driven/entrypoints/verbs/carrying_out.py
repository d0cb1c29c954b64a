"""Verbs that carry commands out: run, dispatch. The options of a command are its own fields."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

import msgspec
import tyro

from driven.entrypoints.verbs.arguments import ConfigFile, ModuleApp, StoreUrl, WholeNumber, argument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driven.domain.messages import Command

ModuleApi: TypeAlias = Annotated[
    str,
    tyro.conf.Positional,
    argument(metavar="module:app", help='An Application, or an Api of one, as "package.module:attribute".'),
]

_TAKE_A_VALUE: Final = frozenset({"--wait", "--on-error", "--store", "--config"})
"""Options of `dispatch` after which a value follows."""

OPTIONS: Final = _TAKE_A_VALUE | {"--lines"}
"""All of them. They stand before the name of the command; what follows it is its own."""


class Run(msgspec.Struct, frozen=True):
    """Serve an application over HTTP, until SIGTERM or Ctrl-C; needs the extra `http`."""

    application: ModuleApi
    host: Annotated[str | None, argument(metavar="HOST", help="Instead of [http] host.")] = None
    port: Annotated[WholeNumber, argument(metavar="PORT", help="Instead of [http] port; 0: any that is free.")] = None
    store: StoreUrl = None
    config: ConfigFile = None

    def run(self) -> None:
        """Serve; returns when a signal ended it."""
        from driven.entrypoints.running import run_api  # noqa: PLC0415 - see the head of `verbs`

        run_api(self.application, host=self.host, port=self.port, config=self.config, store=self.store)


class Dispatch(msgspec.Struct, frozen=True):
    """Carry out a command: by its options, as JSON on standard input, or thousands as JSON lines.

    What follows the name of the command are the command's own options; `driven dispatch module:app NAME --help` lists
    them. Without any, its fields are read as JSON from standard input.
    """

    application: ModuleApp
    command: Annotated[
        str | None,
        tyro.conf.Positional,
        argument(metavar="NAME", help="The command; with --lines, what each line holds the fields of."),
    ] = None
    wait: Annotated[Literal["accepted", "handled", "settled"], argument(help="How far to wait before it is told.")] = (
        "settled"
    )
    lines: Annotated[
        bool, argument(help='Read JSON lines: {"command": NAME, "data": {...}, "id": ...}, or data alone.')
    ] = False
    on_error: Annotated[
        Literal["stop", "continue"], argument(help="Whether lines behind one that fails are carried out.")
    ] = "stop"
    store: StoreUrl = None
    config: ConfigFile = None


def split_dispatch(typed: Sequence[str]) -> tuple[list[str], list[str]]:
    """What is typed after ``dispatch``: what is ours, to the name of the command, and the command's own options."""
    places = 0
    is_value = False
    for number, word in enumerate(typed):
        if is_value or word.startswith("-"):
            is_value = not is_value and word in _TAKE_A_VALUE
            continue
        places += 1
        if places == 2:  # noqa: PLR2004 - the application, then the command
            return list(typed[: number + 1]), list(typed[number + 1 :])
    return list(typed), []


def parse_dispatch(arguments: Sequence[str]) -> Dispatch:
    """Understand what is ours of what was typed after ``dispatch``; as `parse`."""
    return tyro.cli(Dispatch, prog="driven dispatch", args=arguments, config=(tyro.conf.FlagCreatePairsOff,))


def parse_command(kind: type[Command], prog: str, typed: Sequence[str]) -> Command:
    """A command from its own options; help and mistakes end the program, with 0 and 2."""
    told = vars(kind)["__doc__"]  # its own, not that of all commands
    description = inspect.cleandoc(told) if told else f"Carry out {kind.__name__}."
    return tyro.cli(kind, prog=prog, description=description, args=typed, config=(tyro.conf.FlagCreatePairsOff,))
