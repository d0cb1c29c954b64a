"""Lines: commands as JSON lines in, what came of each out; as long-lived as one run of `driven dispatch --lines`.

::

    input --thread--> lines --> command --> bus --.   at most `WINDOW` between the two, so memory stays as it is
    output <-- as soon as it is known, in order --'

Whoever writes the lines may wait for the answer to one before he writes the next.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import threading
import time
from typing import IO, TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from driven.bus.receipts import Settlement
from driven.domain.arrays import to_plain
from driven.domain.messages import Command
from driven.errors import CommandFailed, CommandParked, MisuseError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from driven.bus.message_bus import MessageBus
    from driven.bus.receipts import Receipt
    from driven.service.catalog import Catalog

Wait: TypeAlias = Literal["accepted", "handled", "settled"]
OnError: TypeAlias = Literal["stop", "continue"]

WINDOW: Final = 1_000
"""Commands that are on the bus at a time."""
PIECE_BYTES: Final = 1 << 16
"""What is read at once, at most."""
_PIECES_AHEAD: Final = 2
LONGEST_LINE_BYTES: Final = 1 << 26
"""How long a line may be: an input without an end of line would fill the memory."""

NO_COMMAND: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, MisuseError, ValueError)
"""What is raised for text that is no command of ours."""

_NOTHING_BELOW: Final = Settlement(messages=0, failed=0, parked=0)
"""What is told of what a command caused where nobody waits for it."""

encode: Final = msgspec.json.Encoder(enc_hook=to_plain).encode
"""What is printed, as JSON."""


class Line(NamedTuple):
    """One line of input; `number` counts from 1. Its text is None where it was too long to be kept."""

    number: int
    text: bytes | None


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
    failed: int = 0
    """Of a command that has settled: how many messages of what it caused failed and were passed over."""
    parked: int = 0
    """Of the same: how many are parked, and so did not happen."""


class Tally(msgspec.Struct):
    """How it went."""

    done: int = 0
    bad: int = 0
    """Lines that were refused, or whose command failed or was parked."""
    elapsed_s: float = 0.0


_UnderWay: TypeAlias = "tuple[int, asyncio.Task[Receipt | str]]"
"""A line, and its receipt to come, or why there is none."""


class Lines:
    """Commands from lines, one way or the other; for one run of `driven dispatch`."""

    def __init__(self, catalog: Catalog, command: str | None, wait: Wait, on_error: OnError, out: IO[bytes]) -> None:
        """`command` is what every line is the data of; None: each line names its own.

        Raises:
            MisuseError: there is none of that name.

        """
        self._catalog: Final = catalog
        self._command: Final = None if command is None else command_type(catalog, command)
        self._wait: Final = wait
        self._on_error: Final = on_error
        self._out: Final = out
        self.tally: Final = Tally()

    async def carry_out(self, bus: MessageBus, descriptor: int) -> None:
        """Carry out every line of an input, in order; the output is in that order too."""
        began_s = time.monotonic()
        under_way: asyncio.Queue[_UnderWay | None] = asyncio.Queue(WINDOW)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._tell_all(under_way))
                await self._submit_all(bus, descriptor, under_way)
        except BaseExceptionGroup as group:  # one is enough to know, and the group means nothing to whoever typed this
            raise group.exceptions[0] from None
        self.tally.elapsed_s = time.monotonic() - began_s

    async def _submit_all(self, bus: MessageBus, descriptor: int, under_way: asyncio.Queue[_UnderWay | None]) -> None:
        async for lines in lines_of(descriptor):
            for line in lines:
                await under_way.put((line.number, asyncio.create_task(self._submitted(bus, line))))
                if self._has_to_stop:
                    break
            await asyncio.sleep(0)  # those of this piece are on the bus, or refused
            if self._has_to_stop:
                break
        await under_way.put(None)

    @property
    def _has_to_stop(self) -> bool:
        return self.tally.bad > 0 and self._on_error == "stop"

    async def _submitted(self, bus: MessageBus, line: Line) -> Receipt | str:
        """The receipt of a line's command, or why it is none. It is on its way to the bus when this first waits."""
        if self._has_to_stop:
            return "not carried out, as a line before it failed"
        try:
            command, command_id = self._read(line)
            return await bus.submit(command, command_id=command_id)
        except NO_COMMAND as error:
            self.tally.bad += 1
            return str(error)

    def _read(self, line: Line) -> tuple[Command, str | None]:
        if line.text is None:
            raise ValueError(
                f"it is longer than {LONGEST_LINE_BYTES:,} bytes; write one command a line, and shorter ones"
            )
        if self._command is not None:
            return msgspec.json.decode(line.text, type=self._command), None
        try:
            named = msgspec.json.decode(line.text, type=Named)
        except msgspec.ValidationError as error:
            raise MisuseError(f"{error}; name the command in each line, or behind the application for all") from error
        return msgspec.json.decode(named.data, type=command_type(self._catalog, named.command)), named.id

    async def _tell_all(self, under_way: asyncio.Queue[_UnderWay | None]) -> None:
        while True:
            if under_way.empty():
                self._out.flush()
            if (one := await under_way.get()) is None:
                return
            await self._tell(*one)

    async def _tell(self, number: int, submitted: asyncio.Task[Receipt | str]) -> None:
        came_of_it = await submitted
        if isinstance(came_of_it, str):
            told = Told(number, "refused", error=came_of_it)
        else:
            if not (came_of_it.is_settled if self._wait == "settled" else came_of_it.is_handled):
                self._out.flush()  # whoever waits for what is told already may wait long
            told = await outcome(came_of_it, self._wait, number, self._catalog)
            self.tally.bad += told.status in {"failed", "parked"}
        self.tally.done += told.status not in {"refused", "failed", "parked"}
        self._out.write(encode(told) + b"\n")


async def outcome(receipt: Receipt, wait: Wait, line: int, catalog: Catalog) -> Told:
    """What came of a command, once it is as far as `wait` says."""
    position, command_id = receipt.position, "" if receipt.id.startswith("@") else receipt.id
    if wait == "accepted":
        return Told(line, "accepted", position, command_id)
    try:
        handled = await receipt.handled()
        settled = await receipt.settled() if wait == "settled" else _NOTHING_BELOW
    except CommandParked as error:
        return Told(line, "parked", position, command_id, error=error.reason)
    except CommandFailed as error:
        return Told(line, "failed", position, command_id, error=f"{error.error_type}: {error.error_message}")
    events = tuple({"type": catalog.entry_of(type(one)).name, "data": one} for one in handled.events)  # type: ignore[union-attr]
    return Told(line, wait, position, command_id, events, failed=settled.failed, parked=settled.parked)


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


async def lines_of(descriptor: int) -> AsyncIterator[list[Line]]:
    """The lines of an input that are not empty, as they come.

    A thread of its own reads them: nobody can keep reading from waiting, and the program ends without it all the same.

    Raises:
        MisuseError: it cannot be read.

    """
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[bytes | OSError] = asyncio.Queue()
    room = threading.Semaphore(_PIECES_AHEAD)

    def feed() -> None:
        piece: bytes | OSError = b"\n"
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody wants any more
            while isinstance(piece, bytes) and piece:
                room.acquire()
                try:
                    piece = os.read(descriptor, PIECE_BYTES)
                except OSError as error:
                    piece = error
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

    threading.Thread(target=feed, name="driven-input", daemon=True).start()
    cutter = Cutter()
    while piece := await pieces.get():
        if isinstance(piece, OSError):
            raise MisuseError(f"standard input cannot be read ({piece.strerror}); pipe lines into it, or name a file")
        yield list(cutter.lines(piece))
        room.release()
    yield list(cutter.lines(b"\n"))


class Cutter:
    """Cuts what comes in pieces into lines."""

    def __init__(self) -> None:
        """Nothing has come."""
        self._number = 1
        self._begun: list[bytes] = []
        self._begun_bytes = 0

    def lines(self, piece: bytes) -> Iterator[Line]:
        """The lines that end in `piece` and are not empty."""
        *ends, rest = piece.split(b"\n")
        for end in ends:
            self._add(end)
            if (line := self._cut()) is not None:
                yield line
        self._add(rest)

    def _add(self, part: bytes) -> None:
        """One more part of the line that has begun; of one that is too long nothing is kept."""
        self._begun_bytes += len(part)
        if self._begun_bytes <= LONGEST_LINE_BYTES:
            self._begun.append(part)
        else:
            self._begun.clear()

    def _cut(self) -> Line | None:
        number, is_whole = self._number, self._begun_bytes <= LONGEST_LINE_BYTES
        text = b"".join(self._begun)
        self._number, self._begun_bytes = number + 1, 0
        self._begun.clear()
        if number == 1:
            text = text.removeprefix(codecs.BOM_UTF8)
        if not is_whole:
            return Line(number, None)
        return Line(number, text) if text.strip() else None
