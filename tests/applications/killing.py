"""Run the doomed program until it has come to its end in spite of everything, and see what it left.

::

    doomed_program, ends at its point --> again --> ... --> undisturbed to its end --> the file: whole? digest?
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from driven import BusSettings, Settings, WorkerSettings
from driven.adapters.stores.memory import MemoryStore
from driven.adapters.stores.sqlite.store import SqliteStore
from driven.service.built_in import Redrive, Verb
from driven.service.event_store import log_digest
from driven.service.intake import draft
from driven.service.registry import build_registry
from driven.testing.simulation import Simulation
from fault_points import FaultPoint
from log_checks import check_accepted, check_file
from ordering import app
from replaying import check_replay

if TYPE_CHECKING:
    from doomed_program import Errand

PATIENCE_S = 120.0
"""How long one process may take."""

REGISTRY = build_registry(app)
TOLD = "accepted"
"""How the program begins a line about a command, its id and its position."""
PROGRAM = Path(__file__).with_name("doomed_program.py")


def run_program(errand: Errand, marks: Path) -> subprocess.CompletedProcess[str]:
    """One process; it was killed, or all has settled."""
    source = Path(sys.modules["driven"].__file__ or "").parents[1]
    search = [str(PROGRAM.parent), str(source), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(search), "ORDERING_DEATH_MARKS": str(marks)}
    told = subprocess.run(
        [sys.executable, PROGRAM, msgspec.json.encode(errand).decode()],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert told.returncode in {0, -signal.SIGKILL}, told.stderr
    return told


def survive(errand: Errand, folder: Path) -> int:
    """Let the program be killed at its point twice, go on to its end, and check all that it left; how often it was.

    To be killed while it recovers it must have something to recover, so it is killed in the middle of things before.
    """
    marks = folder / "marks"
    marks.mkdir(parents=True, exist_ok=True)
    first = errand
    if errand.point == FaultPoint.RECOVERING:
        first = msgspec.structs.replace(errand, point=FaultPoint.COMMITTED, hit=3)
    accepted: list[tuple[str, int]] = []
    kills = 0
    for one in (first, errand, msgspec.structs.replace(errand, is_doomed=False)):
        done = run_program(one, marks)
        accepted += [
            (words[1], int(words[2])) for words in map(str.split, done.stdout.splitlines()) if words[0] == TOLD
        ]
        check_accepted(Path(errand.file), accepted)  # now, as the next process would submit again what is missing
        kills += done.returncode != 0 and one.point == errand.point
        if not done.returncode:
            break
    assert done.returncode == 0
    check_all(errand)
    return kills


def check_all(errand: Errand) -> None:
    """Raise AssertionError unless the log is whole, and what a run that nothing disturbed would have left."""
    path = Path(errand.file)
    check_file(path, errand.ordering)
    store = SqliteStore(path)
    store.open()
    with closing(store):
        check_replay(store, REGISTRY)
        digest = log_digest(store)
        events = store.events(("ordering.Happened",), 0, store.last_position)
        rows = store.query("SELECT by, result FROM deeds ORDER BY number")
    told = [msgspec.msgpack.decode(one.body) for one in events]
    assert rows == [(one["by"], one["result"]) for one in told], "the projection has not each event once, in order"
    outside = path.with_suffix(".told")  # nobody waits for a notifier: it is somewhere on its way, and has missed none
    calls = [int(line) for line in outside.read_text("ascii").split()] if outside.exists() else []
    assert list(dict.fromkeys(calls)) == [one.envelope.position for one in events][: len(set(calls))]
    if not (errand.at_once or errand.has_long or errand.ordering != "strict"):
        assert digest == undisturbed_digest(errand, store.log_id)


def undisturbed_digest(errand: Errand, log_id: str) -> str:
    """The digest of the same commands on a bus without workers, which nothing ends."""
    store = MemoryStore(log_id)
    configuration = Settings(bus=BusSettings(ordering=errand.ordering), workers=WorkerSettings(max_attempts=1_000_000))
    simulation = Simulation(REGISTRY, workers=0, seed=0, settings=configuration, store=store)
    simulation.begin(())
    for number, command in enumerate(errand.commands()):
        simulation.conductor.reception.command(draft(REGISTRY, command), f"c{number}")
        simulation.go_on()
    simulation.run([Redrive(Verb.RETRY, "a")])
    return log_digest(store)
