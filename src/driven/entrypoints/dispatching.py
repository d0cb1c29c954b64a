"""`driven dispatch`: commands from a shell, one by its options or as JSON, or thousands as JSON lines.

::

    lines of standard input --> command --> bus --.   at most `WINDOW` between the two, so memory stays as it is
    lines of standard output <-- in the same order --'

It opens the bus itself, carries out what it was given, and closes it. Needs the extra `cli`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from typing import IO, TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

import driven
from driven.domain.arrays import to_plain
from driven.domain.messages import Command
from driven.entrypoints.configured import configured
from driven.entrypoints.loading import load_application
from driven.errors import CommandFailed, CommandParked, MisuseError
from driven.service.registry import build_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from driven.bus.message_bus import MessageBus
    from driven.bus.receipts import Receipt
    from driven.entrypoints.verbs.carrying_out import Dispatch
    from driven.service.application import Application
    from driven.service.catalog import Catalog
    from driven.settings import Settings

Wait: TypeAlias = Literal["accepted", "handled", "settled"]
OnError: TypeAlias = Literal["stop", "continue"]

WINDOW: Final = 1_000
"""Commands that are on the bus at a time."""
CHUNK_BYTES: Final = 1 << 16
"""What is read at once, about."""

_encode: Final = msgspec.json.Encoder(enc_hook=to_plain).encode


class Line(NamedTuple):
    """One line of input; `number` counts from 1."""

    number: int
    text: bytes


class Named(msgspec.Struct, frozen=True):
    """A line that names its command."""

    command: str
    data: msgspec.Raw = msgspec.Raw(b"{}")
    id: str | None = None


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of output."""

    line: int
    status: str
    """``accepted``, ``handled``, ``settled``, ``failed``, ``parked``, or ``refused``: it is no command."""
    position: int = 0
    id: str = ""
    events: tuple[dict[str, Any], ...] = ()
    error: str = ""


class Tally(msgspec.Struct):
    """How it went."""

    done: int = 0
    bad: int = 0
    """Lines that were refused, or whose command failed or was parked."""
    elapsed_s: float = 0.0


class Lines:
    """Commands from lines, one way or the other; for one run of `driven dispatch`."""

    def __init__(self, catalog: Catalog, command: str | None, wait: Wait, on_error: OnError, out: IO[bytes]) -> None:
        """`command` is what every line is the data of; None: each line names its own.

        Raises:
            UnknownCommand: there is none of that name.

        """
        self._catalog: Final = catalog
        self._command: Final = None if command is None else command_type(catalog, command)
        self._wait: Final = wait
        self._on_error: Final = on_error
        self._out: Final = out
        self.tally: Final = Tally()

    async def carry_out(self, bus: MessageBus, source: IO[bytes]) -> None:
        """Carry out every line, in order; the output is in that order too."""
        began_s = time.monotonic()
        under_way: deque[tuple[int, asyncio.Task[Receipt | str]]] = deque()
        for read in _chunks(source):
            for line in await asyncio.to_thread(read):
                under_way.append((line.number, asyncio.create_task(self._submitted(bus, line))))
                if len(under_way) >= WINDOW:
                    await self._tell(*under_way.popleft())
                if self._has_to_stop:
                    break
            await asyncio.sleep(0)  # those of the chunk are on the bus, or refused
            if self._has_to_stop:
                break
        while under_way:
            await self._tell(*under_way.popleft())
        self.tally.elapsed_s = time.monotonic() - began_s

    @property
    def _has_to_stop(self) -> bool:
        return self.tally.bad > 0 and self._on_error == "stop"

    async def _submitted(self, bus: MessageBus, line: Line) -> Receipt | str:
        """The receipt of a line's command, or why it is none. It is on its way to the bus when this first waits."""
        if self._has_to_stop:
            return "not carried out, as a line before it failed"
        try:
            command, command_id = self._read(line.text)
            return await bus.submit(command, command_id=command_id)
        except (msgspec.MsgspecError, UnicodeDecodeError, MisuseError, ValueError) as error:
            self.tally.bad += 1
            return str(error)

    def _read(self, text: bytes) -> tuple[Command, str | None]:
        if self._command is not None:
            return msgspec.json.decode(text, type=self._command), None
        named = msgspec.json.decode(text, type=Named)
        return msgspec.json.decode(named.data, type=command_type(self._catalog, named.command)), named.id

    async def _tell(self, number: int, submitted: asyncio.Task[Receipt | str]) -> None:
        came_of_it = await submitted
        if isinstance(came_of_it, str):
            told = Told(number, "refused", error=came_of_it)
        else:
            told = await outcome(came_of_it, self._wait, number, self._catalog)
            self.tally.bad += told.status in {"failed", "parked"}
        self.tally.done += told.status not in {"refused", "failed", "parked"}
        self._out.write(_encode(told) + b"\n")


async def outcome(receipt: Receipt, wait: Wait, line: int, catalog: Catalog) -> Told:
    """What came of a command, once it is as far as `wait` says."""
    position, command_id = receipt.position, "" if receipt.id.startswith("@") else receipt.id
    if wait == "accepted":
        return Told(line, "accepted", position, command_id)
    try:
        handled = await receipt.handled()
        if wait == "settled":
            await receipt.settled()
    except CommandParked as error:
        return Told(line, "parked", position, command_id, error=error.reason)
    except CommandFailed as error:
        return Told(line, "failed", position, command_id, error=f"{error.error_type}: {error.error_message}")
    events = tuple({"type": catalog.entry_of(type(one)).name, "data": one} for one in handled.events)  # type: ignore[union-attr]
    return Told(line, wait, position, command_id, events)


def command_type(catalog: Catalog, name: str) -> type[Command]:
    """The command of a name, full (``shop.PlaceOrder``) or short (``PlaceOrder``).

    Raises:
        MisuseError: there is none, or there are several.

    """
    commands = {one.name: one.type for one in catalog.entries if issubclass(one.type, Command)}
    fitting = [known for known in commands if name in {known, known.rpartition(".")[2]}]
    if len(fitting) != 1:
        there = ", ".join(fitting or commands)
        raise MisuseError(f"{name!r} is {'several commands' if fitting else 'no command'}; name one of: {there}")
    return commands[fitting[0]]


def _chunks(source: IO[bytes]) -> Iterator[Callable[[], list[Line]]]:
    """Readers of the next lines, until there are none; each may wait for whoever writes them."""
    number, is_over = 0, False

    def read() -> list[Line]:
        nonlocal number, is_over
        texts = source.readlines(CHUNK_BYTES)
        is_over = not texts
        lines = [Line(number + offset, text) for offset, text in enumerate(texts, 1)]
        number += len(texts)
        return [line for line in lines if not line.text.isspace()]

    while not is_over:
        yield read


async def dispatch_lines(application: Application, settings: Settings, lines: Lines, source: IO[bytes]) -> Tally:
    """Open the bus, carry out the lines of `source`, close it."""
    async with driven.open_bus(application, settings) as bus:
        await lines.carry_out(bus, source)
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
        lines = Lines(registry.catalog, asked.command, asked.wait, asked.on_error, sys.stdout.buffer)
        return _ended(driven.run(dispatch_lines(application, settings, lines, sys.stdin.buffer)))
    if asked.command is None:
        raise MisuseError(f"which command? Give its name, or --lines; {_known(registry.catalog)}")
    kind = command_type(registry.catalog, asked.command)
    command = _from_options_or_input(kind, asked, typed)
    told = driven.run(dispatch_one(application, settings, command, asked.wait, registry.catalog))
    sys.stdout.buffer.write(_encode(told) + b"\n")
    sys.stdout.buffer.flush()
    return 1 if told.error else 0


def _from_options_or_input(kind: type[Command], asked: Dispatch, typed: Sequence[str]) -> Command:
    from driven.entrypoints.verbs.carrying_out import OPTIONS, parse_command  # noqa: PLC0415 - tyro may be missing

    ours = OPTIONS.difference(f"--{field.replace('_', '-')}" for field in kind.__struct_fields__)
    if misplaced := [word for word in typed if word.partition("=")[0] in ours]:
        fault = f"{' and '.join(misplaced)} behind the name of the command would be its own, and it has none such"
        raise MisuseError(f"{fault}; type it before the application: driven dispatch {misplaced[0]} ...")
    if typed or sys.stdin is None or sys.stdin.isatty() or not kind.__struct_fields__:
        return parse_command(kind, f"driven dispatch {asked.application} {asked.command}", typed)
    try:
        return msgspec.json.decode(sys.stdin.buffer.read(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MisuseError(f"standard input is not the JSON of {asked.command}: {error}") from error


def _ended(tally: Tally) -> int:
    sys.stdout.buffer.flush()
    rate = tally.done / tally.elapsed_s if tally.elapsed_s else 0.0
    bad = f", {tally.bad:,} not" if tally.bad else ""
    sys.stderr.write(f"{tally.done:,} commands carried out{bad}, in {tally.elapsed_s:.1f} s: {rate:,.0f}/s\n")
    return 1 if tally.bad else 0


def _known(catalog: Catalog) -> str:
    return "there are: " + ", ".join(one.name for one in catalog.entries if issubclass(one.type, Command))
