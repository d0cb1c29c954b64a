"""`driven dispatch`: commands from a shell, one by its options or as JSON, or thousands as JSON lines.

It opens the bus itself, carries out what it was given, and closes it. Needs the extra `cli`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

import driven
from driven.domain.messages import Command
from driven.entrypoints.configured import configured
from driven.entrypoints.lines import Lines, command_type, encode, outcome
from driven.entrypoints.loading import load_application
from driven.entrypoints.output import kept_clean
from driven.entrypoints.words import counted
from driven.errors import MisuseError
from driven.service.registry import build_registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driven.entrypoints.lines import Tally, Told, Wait
    from driven.entrypoints.verbs.carrying_out import Dispatch
    from driven.service.application import Application
    from driven.service.catalog import Catalog
    from driven.settings import Settings


async def dispatch_lines(application: Application, settings: Settings, lines: Lines, descriptor: int) -> Tally:
    """Open the bus, carry out the lines of an input, close it."""
    async with driven.open_bus(application, settings) as bus:
        await lines.carry_out(bus, descriptor)
    return lines.tally


async def dispatch_one(
    application: Application, settings: Settings, command: Command, wait: Wait, catalog: Catalog
) -> Told:
    """Open the bus, carry out one command, close it."""
    async with driven.open_bus(application, settings) as bus:
        return await outcome(await bus.submit(command), wait, 1, catalog)


def dispatch(asked: Dispatch, typed: Sequence[str]) -> int:
    """Do what was asked for; `typed` are the command's own options. Return the exit code.

    Raises:
        NoApplication, MisuseError: there is no such application, no such command.
        What `open_bus` raises.

    """
    application = load_application(asked.application)
    registry = build_registry(application)
    registry.injector.close()
    settings = configured(asked.config, asked.store)
    if asked.lines:
        if typed:
            raise MisuseError(f"with --lines each line holds the fields; drop {' '.join(typed)}")
        with kept_clean() as output:
            lines = Lines(registry.catalog, asked.command, asked.wait, asked.on_error, output)
            tally = driven.run(dispatch_lines(application, settings, lines, sys.stdin.fileno()))
        return _ended(tally)
    if asked.command is None:
        raise MisuseError(f"which command? Give its name, or --lines; {_known(registry.catalog)}")
    kind = command_type(registry.catalog, asked.command)
    command = _from_options_or_input(kind, asked, typed)
    with kept_clean() as output:
        told = driven.run(dispatch_one(application, settings, command, asked.wait, registry.catalog))
        output.write(encode(told) + b"\n")
    return 1 if told.error else 0


def _from_options_or_input(kind: type[Command], asked: Dispatch, typed: Sequence[str]) -> Command:
    from driven.entrypoints.verbs.carrying_out import OPTIONS, parse_command  # noqa: PLC0415 - tyro may be missing

    ours = OPTIONS.difference(f"--{field.replace('_', '-')}" for field in kind.__struct_fields__)
    if misplaced := [word for word in typed if word.partition("=")[0] in ours]:
        fault = f"{' and '.join(misplaced)} behind the name of the command would be its own, and it has none such"
        raise MisuseError(f"{fault}; type it before the application: driven dispatch {misplaced[0]} ...")
    if typed or sys.stdin.isatty() or not kind.__struct_fields__:
        return parse_command(kind, f"driven dispatch {asked.application} {asked.command}", typed)
    read = sys.stdin.buffer.read()
    if not read.strip():
        missing = f"{asked.command} has fields, and neither options nor standard input give any"
        raise MisuseError(
            f"{missing}; give its fields as options (--help lists them), or pipe them in as JSON, {{}} at least"
        )
    try:
        return msgspec.json.decode(read, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        fault = f"standard input is not the JSON of {asked.command}: {error}"
        raise MisuseError(
            f"{fault}; give its fields as options (--help lists them), or pipe them in as JSON"
        ) from error


def _ended(tally: Tally) -> int:
    rate = tally.done / tally.elapsed_s if tally.elapsed_s else 0.0
    bad = f", {tally.bad:,} not" if tally.bad else ""
    done = counted(tally.done, "command")
    sys.stderr.write(f"{done} carried out{bad}, in {tally.elapsed_s:.1f} s: {rate:,.0f}/s\n")
    return 1 if tally.bad else 0


def _known(catalog: Catalog) -> str:
    return "there are: " + ", ".join(one.name for one in catalog.entries if issubclass(one.type, Command))
