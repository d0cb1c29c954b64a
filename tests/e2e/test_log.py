"""`driven log` as users meet it: lines in a pipe and on a terminal, JSON, trees, a digest; beside a bus that writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import driven
import driven_worker
from driven import Application, Command, Event, Settings, StoreSettings, WorkerSettings, log_digest, open_bus_sync
from driven.adapters.stores.choice import store_at

BOUND_S = 60
ESCAPE = "\x1b"


class Order(Command):
    order_id: str
    cents: int


class Ordered(Event):
    order_id: str


class Pay(Command):
    order_id: str


class Paid(Event):
    order_id: str


shop = Application("shop")


@shop.handles(Order)
def order(command: Order) -> Ordered:
    """Take an order; of free ones none."""
    if not command.cents:
        raise ValueError(command.order_id)
    return Ordered(command.order_id)


@shop.reacts_to(Ordered)
def collect(event: Ordered) -> Pay:
    """Have it paid."""
    return Pay(event.order_id)


@shop.handles(Pay, key="order_id")
def pay(command: Pay) -> Paid:
    """Pay."""
    return Paid(command.order_id)


def settings(folder: Path) -> Settings:
    """A bus without workers over the log of the folder."""
    return Settings(store=StoreSettings(url=f"sqlite:///{folder}/driven.db"), workers=WorkerSettings(count=0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the log of two orders, of which one failed."""
    with open_bus_sync(shop, settings(tmp_path)) as bus:
        bus.submit(Order("one", 100), command_id="first").settled(BOUND_S)
        bus.submit(Order("two", 0)).settled(BOUND_S)
    return tmp_path


def environment() -> dict[str, str]:
    """The environment of a user who has installed Driven and set nothing else."""
    roots = (str(Path(package.__path__[0]).parent) for package in (driven, driven_worker))
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("DRIVEN_", "PYTHON", "FORCE_"))}
    return {**ours, "PYTHONPATH": os.pathsep.join(roots), "TERM": "xterm-256color"}


def log(folder: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Type `driven log` in the folder, with its output piped."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "driven", "log", *arguments],
        cwd=folder,
        env={**environment(), **changes},
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )


def test_a_pipe_gets_a_plain_line_for_each_message(folder: Path) -> None:
    """Style: position, time, name, status, cause, key and fields; no colours, no drawing characters."""
    told = log(folder)

    lines = told.stdout.splitlines()
    assert (told.returncode, told.stderr) == (0, "")
    assert [line.split()[0] for line in lines] == ["position", "1", "2", "3", "4", "5"]
    assert "shop.Order" in lines[1]
    assert lines[1].endswith("succeeded         -  order_id='one', cents=100")
    assert lines[3].endswith("succeeded      <- 2  [one] order_id='one'")
    assert lines[5].endswith("failed            -  order_id='two', cents=0  two")
    assert ESCAPE not in told.stdout


def test_json_lines_are_records_that_filters_have_let_through(folder: Path) -> None:
    """docs/reference/command-line.md: each line is a record of its own; names without the application are enough."""
    told = log(folder, "--json", "--name", "Order", "--status", "failed")

    (record,) = map(json.loads, told.stdout.splitlines())
    assert (record["position"], record["message"]) == (5, {"order_id": "two", "cents": 0})
    assert record["failures"][0]["error_type"] == "ValueError"


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_filters_that_let_nothing_through_say_so(folder: Path, form: list[str]) -> None:
    """An empty answer is an answer, and a misspelt name looks the same."""
    told = log(folder, "--name", "Oder", *form)

    assert (told.returncode, told.stdout) == (0, "")
    assert told.stderr == "driven: no message is like that; the log ends at position 5\n"


def test_the_tree_tells_who_caused_what(folder: Path) -> None:
    """docs/reference/command-line.md: by position and by the id that the caller gave, from the log alone."""
    by_position, by_id = log(folder, "--tree", "1"), log(folder, "--tree", "first")

    assert by_position.returncode == 0
    assert by_id.stdout == by_position.stdout
    names = [line.strip().split("  ")[0] for line in by_position.stdout.splitlines()[1:]]
    assert names == ["shop.Order 1", "-> shop.Ordered 2", "-> shop.Pay 3 [one]", "-> shop.Paid 4"]
    assert log(folder, "--tree", "nobody").returncode == 2


def test_the_digest_is_that_of_the_log(folder: Path) -> None:
    """O6: the same as `bus.log_digest()`."""
    store = store_at(settings(folder).store)

    told = log(folder, "--digest", "--json")

    assert json.loads(told.stdout) == {
        "log_id": store.log_id,
        "last_position": 5,
        "digest": log_digest(store),
    }
    store.close()


def test_a_terminal_is_drawn_on(folder: Path) -> None:
    """Style: in colour where somebody looks, cut to the width of the terminal."""
    shown = log(folder, FORCE_COLOR="1", COLUMNS="80", PYTHONIOENCODING="utf-8").stdout

    assert f"{ESCAPE}[1;36mshop.Order" in shown
    assert f"{ESCAPE}[31mfailed" in shown


def test_what_a_bus_writes_is_followed_until_somebody_interrupts(folder: Path) -> None:
    """U7: beside a bus that holds the lease, each line at once; Ctrl-C ends it without a traceback."""
    follower = subprocess.Popen(
        [sys.executable, "-m", "driven", "log", "--follow", "--json", "--from", "5"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with follower:
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["position"] == 5
        with open_bus_sync(shop, settings(folder)) as bus:
            bus.submit(Order("three", 1)).settled(BOUND_S)
            seen = [json.loads(follower.stdout.readline())["name"] for _ in range(4)]
        follower.send_signal(signal.SIGINT)
        _, complaints = follower.communicate(timeout=BOUND_S)

    assert seen == ["shop.Order", "shop.Ordered", "shop.Pay", "shop.Paid"]
    assert (follower.returncode, complaints) == (130, "")


def test_a_reader_that_has_left_is_no_accident(folder: Path) -> None:
    """Style: `driven log | head` ends without the traceback of a broken pipe."""
    program = textwrap.dedent("""
        import os, subprocess, sys
        reader, writer = os.pipe()
        os.close(reader)
        sys.exit(len(subprocess.run([sys.executable, "-m", "driven", "log"], stdout=writer, stderr=-1).stderr))
    """)

    told = subprocess.run([sys.executable, "-c", program], cwd=folder, env=environment(), timeout=BOUND_S, check=False)

    assert told.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--status", "done"], "--status done is not known; say one of: succeeded"),
        (["--kind", "query"], "--kind query is not known"),
        (["--since", "yesterday"], "is no time; write 2026-11-30"),
        (["--store", "sqlite:///missing.db"], "missing.db failed: there is no such file; name the file of a log"),
        (["--limit", "-1"], "--limit -1 is no number of messages; give 0 or more"),
        (["--tree", "77"], "it ends at position 5"),
    ],
)
def test_what_cannot_be_shown_is_said_without_a_traceback(folder: Path, arguments: list[str], said: str) -> None:
    """Style: the culprit and the remedy, on standard error, and exit code 2."""
    told = log(folder, *arguments)

    assert (told.returncode, told.stdout) == (2, "")
    assert said in told.stderr
    assert "Traceback" not in told.stderr
