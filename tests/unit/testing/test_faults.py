"""Faults at numbered points: what a bus leaves when its store fails, or its process ends, at any of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import driven
import driven_worker
from driven import Application, BusClosed, Command, Event, Settings, StoreFailed, WorkerSettings, open_bus_sync
from driven.adapters.stores.memory import MemoryStore
from driven.adapters.stores.sqlite.store import SqliteStore
from driven.testing import Fault, faulty_store


class Greet(Command):
    name: str


class Greeted(Event):
    name: str


app = Application("hello")


@app.handles(Greet)
def greet(command: Greet) -> Greeted:
    """Greet."""
    return Greeted(command.name)


INLINE = Settings(workers=WorkerSettings(count=0))


def greeted_through(fault: Fault, store: MemoryStore) -> None:
    """A bus that greets three times, over a store with this fault."""
    with open_bus_sync(app, INLINE, store=faulty_store(store, fault)) as bus:
        for name in ("Ada", "Eva", "Ida"):
            bus.submit(Greet(name)).settled(30)


def test_a_run_without_a_fault_tells_how_many_points_there_are() -> None:
    """U3: one for opening, two for each batch."""
    fault, store = Fault(), MemoryStore()

    greeted_through(fault, store)

    assert fault.passed >= 3
    assert fault.passed % 2 == 1
    assert store.last_position == 6


def test_whatever_point_fails_the_log_is_whole() -> None:
    """U3: what is there is a prefix that ends where a batch ends, whichever point it is."""
    counting = Fault()
    greeted_through(counting, MemoryStore())

    for point in range(1, counting.passed + 1):
        store, fault = MemoryStore(), Fault(point)
        with pytest.raises((BusClosed, StoreFailed), match="told to fail"):
            greeted_through(fault, store)

        records = store.read(0, 100)
        assert [one.message.envelope.position for one in records] == list(range(1, len(records) + 1))
        assert fault.passed == point


def test_a_process_that_dies_at_a_point_leaves_what_was_committed(tmp_path: Path) -> None:
    """U9: after the first append and before anybody is told, the command is there for the next bus."""
    (tmp_path / "program.py").write_text(
        textwrap.dedent("""
            import sys
            from pathlib import Path
            from driven import Application, Command, Event, Settings, WorkerSettings, open_bus_sync
            from driven.adapters.stores.sqlite.store import SqliteStore
            from driven.testing import Fault, die, faulty_store

            app = Application("hello")

            class Greet(Command):
                name: str

            class Greeted(Event):
                name: str

            @app.handles(Greet)
            def greet(command: Greet) -> Greeted:
                return Greeted(command.name)

            store = faulty_store(SqliteStore(Path("driven.db")), Fault(3, die))
            with open_bus_sync(app, Settings(workers=WorkerSettings(count=0)), store=store) as bus:
                bus.submit(Greet("Ada")).settled(30)
                print("told")
        """)
    )

    roots = (str(Path(package.__path__[0]).resolve().parent) for package in (driven, driven_worker))
    ended = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(roots)},
        capture_output=True,
        text=True,
        check=False,
    )

    store = SqliteStore(tmp_path / "driven.db")
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, ""), ended.stderr
    assert store.last_position >= 1
    store.close()
