"""`driven verify` as users meet it: a recorded census, the same code, and code with another rule (X2)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import census
import driven
import driven_worker
from census.app import app
from census.messages import StartSurvey
from driven import Settings, StoreSettings, WorkerSettings, log_digest, open_bus_sync
from driven.adapters.stores.choice import store_at
from driven.verification.report import VerificationReport

BOUND_S = 60
RULE = "place.function.complexity += len(node.values) - 1"
OTHER_RULE = "place.function.complexity += len(node.values)"
FILES = {
    "plain.py": "def f(): return 1\n",
    "wild.py": "def f(a, b, c): return a and b and c\n\ndef g(x): return x or not x\n",
    "broken.py": "def (:\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a copy of the census, three files to survey, and the log of their survey."""
    shutil.copytree(Path(census.__file__).parent, tmp_path / "census", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tree").mkdir()
    for name, text in FILES.items():
        (tmp_path / "tree" / name).write_text(text)
    with open_bus_sync(app, settings(tmp_path)) as bus:
        bus.submit(StartSurvey("s", str(tmp_path / "tree"))).settled(BOUND_S)
    return tmp_path


def settings(folder: Path) -> Settings:
    """A bus without workers over the log of the folder."""
    return Settings(store=StoreSettings(url=f"sqlite:///{folder}/driven.db"), workers=WorkerSettings(count=0))


def verify(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Type `driven verify` in the folder, whose census comes before any other."""
    roots = (str(Path(package.__path__[0]).parent) for package in (driven, driven_worker))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DRIVEN_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, "-B", "-W", "error", "-m", "driven", "verify", "census.app:app", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": os.pathsep.join(roots)},
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )


def change_the_rule(folder: Path) -> None:
    """Have each operand of `and` and `or` count, and not only those behind the first."""
    measuring = folder / "census" / "measuring.py"
    text = measuring.read_text()
    assert RULE in text
    measuring.write_text(text.replace(RULE, OTHER_RULE))


def test_a_recorded_census_is_what_its_code_does_and_another_rule_shows_in_every_field(folder: Path) -> None:
    """X2: 0 differences and exit code 0; then which files, which fields, what was and what is, and exit code 1."""
    same = verify(folder, "--workers", "2")
    change_the_rule(folder)
    changed = verify(folder, "--workers", "2")

    assert (same.returncode, same.stderr) == (0, "")
    assert "7 commands run again on 2 workers" in same.stdout
    assert "all do what they did" in same.stdout
    assert (changed.returncode, changed.stderr) == (1, "")
    assert ": 1 different" in changed.stdout
    assert "MeasureFile at position 5, of the root at 1" in changed.stdout
    assert "path='wild.py'" in changed.stdout
    assert "event 1 census.FileMeasured: measures.worst_complexity: 3 -> 4" in changed.stdout
    assert "event 1 census.FileMeasured: measures.total_complexity: 5 -> 7" in changed.stdout
    assert "\x1b" not in changed.stdout


def test_the_log_is_as_it_was_and_a_bus_may_have_it_meanwhile(folder: Path) -> None:
    """X2, U7: read only, beside a bus that holds the lease; the same digest, the same number of messages."""
    store = store_at(settings(folder).store)
    before = (store.last_position, log_digest(store))

    with open_bus_sync(app, settings(folder)):
        beside = verify(folder, "--workers", "0", "--json")

    report = msgspec.json.decode(beside.stdout, type=VerificationReport)
    assert (beside.returncode, report.same, report.different, report.workers) == (0, 7, 0, 0)
    assert (store.last_position, log_digest(store)) == before
    store.close()


def test_a_part_of_the_log_and_some_of_the_commands_can_be_chosen(folder: Path) -> None:
    """X2: what stands before is not run, and its changes are there all the same."""
    told = verify(folder, "--workers", "0", "--from", "8", "--command", "TallyFile", "--json")

    report = msgspec.json.decode(told.stdout, type=VerificationReport)
    assert [(one.name, one.same) for one in report.commands] == [("census.TallyFile", 3)]
    assert report.first_position == 8


@pytest.mark.parametrize(
    "part", [("--from", "1000"), ("--from", "2", "--to", "2"), ("--from", "2", "--command", "StartSurvey")]
)
def test_a_part_in_which_nothing_can_be_compared_is_no_agreement(folder: Path, part: tuple[str, ...]) -> None:
    """X2: nothing was found out, and that is told apart from nothing being different, by people and by scripts."""
    told = verify(folder, "--workers", "0", *part)
    as_record = verify(folder, "--workers", "0", "--json", *part)

    assert (told.returncode, as_record.returncode) == (2, 2)
    assert told.stderr == "driven: nothing was compared; name another log, other positions or other commands\n"
    assert "no command of this part of the log could be run again" in told.stdout
    assert msgspec.json.decode(as_record.stdout, type=VerificationReport).compared == 0


def test_what_handlers_print_does_not_get_between_the_lines_of_a_record(folder: Path) -> None:
    """Style: `--json` is the record and nothing else, whoever prints, in this process or in a worker."""
    application = folder / "census" / "app.py"
    application.write_text(
        application.read_text().replace(
            "    try:\n        measures = measure(", "    print('measuring')\n    try:\n        measures = measure("
        )
    )

    told = verify(folder, "--workers", "1", "--json")

    assert msgspec.json.decode(told.stdout, type=VerificationReport).is_ok
    assert told.stderr == "measuring\n" * 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--store", "sqlite:///missing.db"], "missing.db failed: there is no such file; name the file of a log"),
        (["--workers", "-1"], "of the command line is not valid: 1 fault\n  1. [workers] count = -1"),
        (["--store", "memory://"], "is the memory of another process"),
        (["--store", "nonsense"], "store"),
        (["--command", "Nothing"], "it has: census.MeasureFile, census.StartSurvey, census.TallyFile"),
    ],
    ids=["no log", "no number", "memory", "no url", "no command"],
)
def test_what_cannot_be_verified_is_said_without_a_traceback(folder: Path, arguments: list[str], said: str) -> None:
    """Style: the culprit and the remedy, on standard error, and exit code 2."""
    told = verify(folder, *arguments)

    assert (told.returncode, told.stdout) == (2, "")
    assert said in told.stderr
    assert "Traceback" not in told.stderr
