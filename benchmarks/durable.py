"""What durability costs: commands per second by policy, and events beside the `eventsourcing` package's recorder.

Run it with ``python -m benchmarks.durable`` (two minutes); with ``--page`` it puts its tables into
docs/explanation/performance.md. Without that package, which the extra ``dev`` brings, Driven is measured alone.
Contenders take turns in every round, over files in the same folder (``--folder``, to
choose the disk).

::

    commands   so many clients at once: each submits a command that does nothing, waits until it is handled, goes on
               a whole bus with one worker process; "one transaction per command" is durability "each"
    events     transactions of so many events, by hand, in one thread; then the streams, and the whole log, are read
               ours also has the command, the outcome of each message, and its place in the stream
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.page import put, spread
from driven import Settings, WorkerSettings, open_bus, run
from driven.adapters.stores.memory import MemoryStore
from driven.adapters.stores.sqlite.store import SqliteStore
from driven.domain.messages import Envelope
from driven.entrypoints.bench.application import DoNothing, app
from driven.entrypoints.bench.machine import machine
from driven.service.event_store import Batch, LoggedMessage, LoggedOutcome, MessageKind, Status
from driven.wire import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from driven import MessageBus
    from driven.settings import Durability

ROUNDS: Final = 5
CLIENTS: Final = 512
PER_TRANSACTION: Final = (1, 100, 1_000)
STREAM: Final = 100
"""Events in each stream."""
BODY: Final = bytes(100)
RIVAL: Final = "eventsourcing"
WITHOUT_RIVAL: Final = (
    f"{RIVAL} is not installed, so its column is left out; pip install '{RIVAL}>=9.4', or the extra dev of Driven"
)


class Weighed(SqliteStore):
    """Notes how large its batches are, and what they cost the store thread."""

    def __init__(self, path: Path, durability: Durability) -> None:
        """Nothing is noted yet."""
        super().__init__(path, durability)
        self.sizes: list[int] = []
        self.spent_ns = 0

    def append(self, batch: Batch) -> None:
        """Append, and note it."""
        began_ns = time.thread_time_ns()
        super().append(batch)
        self.spent_ns += time.thread_time_ns() - began_ns
        self.sizes.append(sum(message.kind is MessageKind.COMMAND for message in batch.admitted) or 1)


class Run(NamedTuple):
    """What one round of one contender came to."""

    per_second: float
    bus_us: float
    """CPU time of the bus thread, per command."""
    store_us: float
    """CPU time of the store thread, per command."""
    per_batch: float
    """Commands that shared a transaction: the median."""


COMMANDS: Final[dict[str, tuple[str | None, float]]] = {
    "memory": (None, 1.0),
    "SQLite, `none`": ("none", 1.0),
    "SQLite, `group`": ("group", 1.0),
    "SQLite, one transaction per command": ("each", 0.05),
}
"""The policy of each contender, and which part of the commands it is given, so that none takes all the time."""


async def commands(folder: Path, durability: Durability | None, count: int) -> Run:
    """Let the clients have `count` commands handled."""
    store = MemoryStore() if durability is None else Weighed(folder / f"{uuid.uuid4().hex}.db", durability)
    async with open_bus(app, Settings(workers=WorkerSettings(count=1)), store=store) as bus:
        await _clients(bus, CLIENTS)
        if isinstance(store, Weighed):
            store.sizes, store.spent_ns = [], 0
        began_s, began_ns = time.perf_counter(), time.thread_time_ns()
        await _clients(bus, count)
        took_s, bus_ns = time.perf_counter() - began_s, time.thread_time_ns() - began_ns
    store_ns, sizes = (store.spent_ns, store.sizes) if isinstance(store, Weighed) else (0, [1])
    return Run(count / took_s, bus_ns / count / 1e3, store_ns / count / 1e3, statistics.median(sizes))


async def _clients(bus: MessageBus, count: int) -> None:
    left = iter(range(count))

    async def client() -> None:
        for number in left:
            await bus.handle(DoNothing(number))

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


# Events.


class Recorder:
    """A way to keep events: made over a file that is not there yet."""

    def __init__(self, path: Path) -> None:
        """Get ready."""
        raise NotImplementedError

    def append(self, stream: int, version: int, count: int) -> None:
        """Append so many events to a stream that is at this version: one transaction."""
        raise NotImplementedError

    def stream(self, stream: int) -> int:
        """Read a stream; returns how many events it has."""
        raise NotImplementedError

    def log(self) -> int:
        """Read all events in order, in pages; returns how many there are."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the file."""
        raise NotImplementedError


class Ours(Recorder):
    """A store, given what a bus gives it: a command, its events, and the outcomes of all of them."""

    def __init__(self, path: Path) -> None:
        """A new log."""
        self.store = SqliteStore(path)
        self.store.open()
        self.last = 0

    def append(self, stream: int, version: int, count: int) -> None:
        """A batch."""
        first = self.last + 1
        self.last += 1 + count
        admitted = [_message(first, 0, MessageKind.COMMAND, "bench.Do")]
        admitted += [_message(first + one, first, MessageKind.EVENT, "bench.Done") for one in range(1, count + 1)]
        change = Change("bench.Stream", str(stream), version, None, tuple(range(count)))
        retired = [LoggedOutcome(first, Status.SUCCEEDED, 1, (change,), (first + 1, count))]
        retired += [LoggedOutcome(first + one, Status.SUCCEEDED, 1) for one in range(1, count + 1)]
        self.store.append(Batch(admitted, retired))

    def stream(self, stream: int) -> int:
        """An aggregate."""
        return len(self.store.load("bench.Stream", str(stream)).events)

    def log(self) -> int:
        """As those do who follow it."""
        return sum(len(self.store.events(["bench.Done"], after, after + 1_000)) for after in range(0, self.last, 1_000))

    def close(self) -> None:
        """Close the store."""
        self.store.close()


def _message(position: int, cause: int, kind: MessageKind, name: str) -> LoggedMessage:
    envelope = Envelope(position, f"@{position}", cause or position, cause, int(bool(cause)), None, time.time_ns())
    return LoggedMessage(envelope, kind, name, 1, BODY)


class Theirs(Recorder):
    """The recorder of the `eventsourcing` package, which its applications use."""

    def __init__(self, path: Path) -> None:
        """A new database, in its own way: WAL, and SQLite's default of synchronous=FULL."""
        from eventsourcing.persistence import StoredEvent  # noqa: PLC0415 - it may be missing
        from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore  # noqa: PLC0415 - the same

        self.event: Final = StoredEvent
        self.datastore = SQLiteDatastore(str(path))
        self.recorder = SQLiteApplicationRecorder(self.datastore)
        self.recorder.create_table()
        self.ids: dict[int, uuid.UUID] = {}

    def append(self, stream: int, version: int, count: int) -> None:
        """Events of one originator."""
        originator = self.ids.setdefault(stream, uuid.uuid4())
        self.recorder.insert_events(
            [self.event(originator, version + one, "bench:Done", BODY) for one in range(1, count + 1)]
        )

    def stream(self, stream: int) -> int:
        """Events of one originator."""
        return len(self.recorder.select_events(self.ids[stream]))

    def log(self) -> int:
        """Notifications."""
        first, seen = 1, 0
        while found := self.recorder.select_notifications(first, 1_000):
            first, seen = found[-1].id + 1, seen + len(found)
        return seen

    def close(self) -> None:
        """Close its pool."""
        self.datastore.close()


def recorders() -> dict[str, type[Recorder]]:
    """Ours, and that of the rival if it is installed."""
    ours: dict[str, type[Recorder]] = {"Driven": Ours}
    return ours if importlib.util.find_spec(RIVAL) is None else {**ours, RIVAL: Theirs}


def events(kind: type[Recorder], folder: Path, transactions: dict[int, int]) -> Iterator[tuple[str, float]]:
    """Events per second of each thing there is to do; `transactions` says how many of each size are made."""
    for size, count in transactions.items():
        with closing(kind(folder / f"{uuid.uuid4().hex}.db")) as recorder:
            took_s = _timed(lambda recorder=recorder, size=size, count=count: _fill(recorder, size, count))  # type: ignore[misc]  # bound now
            yield f"append, {size:,} per transaction", size * count / took_s
    with closing(kind(folder / f"{uuid.uuid4().hex}.db")) as recorder:
        streams = max(transactions[STREAM], 1)
        for stream in range(streams):
            recorder.append(stream, 0, STREAM)
        took_s = _timed(lambda: [recorder.stream(stream) for stream in range(streams)])
        yield f"read streams of {STREAM}", streams * STREAM / took_s
        took_s = _timed(recorder.log)
        yield "read all, in order", streams * STREAM / took_s


def _fill(recorder: Recorder, size: int, count: int) -> None:
    for number in range(count):
        recorder.append(0, number * size, size)


def _timed(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


# The page.


def commands_table(runs: dict[str, list[Run]]) -> str:
    """One line per contender."""
    lines = ["| store | commands/s | bus thread, µs | store thread, µs | commands per transaction |"]
    lines.append("| --- | ---: | ---: | ---: | ---: |")
    for name, rounds in runs.items():
        cells = [spread(column) for column in zip(*rounds, strict=True)]
        lines.append(f"| {name} | {' | '.join(cells if name != 'memory' else [*cells[:2], '', ''])} |")
    ratios = [group.per_second / each.per_second for group, each in zip(*list(runs.values())[-2:], strict=True)]
    return "\n".join(lines) + f"\n\n`group` against one transaction per command: {spread(ratios)} times as many.\n"


def events_table(rates: dict[str, list[dict[str, float]]]) -> str:
    """One line for each thing to do; the ratio is that of Driven to the other one."""
    titles = [*rates, "ratio"] if len(rates) > 1 else [*rates]
    lines = [f"| events/s | {' | '.join(titles)} |", f"| --- |{' ---: |' * len(titles)}"]
    for what in next(iter(rates.values()))[0]:
        columns = [[one[what] for one in rounds] for rounds in rates.values()]
        if len(columns) > 1:
            columns.append([one / other for one, other in zip(*columns, strict=True)])
        lines.append(f"| {what} | {' | '.join(spread(column) for column in columns)} |")
    return "\n".join([*lines, *([] if len(rates) > 1 else ["", WITHOUT_RIVAL])]) + "\n"


def report(folder: Path, rounds: int, count: int, transactions: dict[int, int]) -> str:
    """Measure everything, and say it in the words of the page."""
    load_before = os.getloadavg()[0]
    runs: dict[str, list[Run]] = {name: [] for name in COMMANDS}
    kinds = recorders()
    rates: dict[str, list[dict[str, float]]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, (durability, part) in COMMANDS.items():
            runs[name].append(run(commands(folder, durability, max(CLIENTS, int(count * part)))))  # type: ignore[arg-type]  # a policy
        for name, kind in kinds.items():
            rates[name].append(dict(events(kind, folder, transactions)))
    here = machine()
    return (
        f"`python -m benchmarks.durable --rounds {rounds}`: medians, lowest and highest in brackets. {here.processor},"
        f" {here.cpus} CPUs, {here.python}, {here.system}, SQLite {sqlite3.sqlite_version}; the load average was"
        f" {load_before:.1f} before and {os.getloadavg()[0]:.1f} after.\n\n"
        f"{CLIENTS} clients, a worker process, commands that do nothing; CPU time per command:\n\n"
        f"{commands_table(runs)}\n"
        f"Events of {len(BODY)} bytes, one thread:\n\n{events_table(rates)}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and put it onto the page where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--commands", type=int, default=20_000, help="per contender and round")
    parser.add_argument("--folder", type=Path, help="on which disk; the default: that of temporary files")
    parser.add_argument("--page", action="store_true", help="write docs/explanation/performance.md")
    options = parser.parse_args(arguments)
    if options.page and RIVAL not in recorders():
        parser.error(
            f"the page has a column that needs {RIVAL}; pip install '{RIVAL}>=9.4', or the extra dev of Driven"
        )
    transactions = {
        size: max(1, options.commands // 2 // size if size > 1 else options.commands // 50) for size in PER_TRANSACTION
    }
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        text = report(Path(folder), options.rounds, options.commands, transactions)
    sys.stdout.write(text)
    if options.page:
        put("durable", text)


if __name__ == "__main__":
    main()
