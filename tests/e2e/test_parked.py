"""`driven parked` as an operator meets it: over the log of a service that is down, and beside one that runs."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from driven import Application, Settings, StoreSettings, WorkerSettings, open_bus_sync
from driven.entrypoints import cli
from driven.service.registry import resolve_application

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BANK = """
    from pathlib import Path

    from driven import Application, Command, Event, Placement

    app = Application("bank")

    class Order(Command):
        customer: str
        amounts: list[int]

    class Ordered(Event):
        customer: str
        amounts: list[int]

    class Charge(Command):
        customer: str
        amount: int

    class Shout(Command):
        customer: str

    @app.handles(Order)
    def order(command: Order) -> Ordered:
        return Ordered(command.customer, command.amounts)

    @app.reacts_to(Ordered)
    def charge_each(event: Ordered) -> list[Charge]:
        return [Charge(event.customer, amount) for amount in event.amounts]

    @app.reacts_to(Ordered)
    def shout(event: Ordered) -> Shout | None:
        if not Path("open").exists():
            raise ConnectionError("nobody hears")

    @app.handles(Charge, key="customer", retries=0, placement=Placement.WORKER)
    def charge(command: Charge) -> None:
        if not Path("open").exists() or command.amount < 0:
            raise ConnectionError("the bank is closed")
        with Path("charged").open("a") as book:
            book.write(f"{command.customer} {command.amount}\\n")

    @app.handles(Shout)
    def shout_it(command: Shout) -> None: ...
"""


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
    """A folder with an application, and a log in which charges of two customers are parked, and the bank open now."""
    (tmp_path / "bank_of_tests.py").write_text(textwrap.dedent(BANK), "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRIVEN_WORKERS_COUNT", "1")  # the redrives of the command line have a real worker
    monkeypatch.syspath_prepend(str(tmp_path))
    application = resolve_application("bank_of_tests:app")
    order: Any = sys.modules["bank_of_tests"].Order
    with open_bus_sync(application, settings()) as bus:
        bus.submit(order("ada", [1, 2])).settled()
        bus.submit(order("bob", [-3, 4])).settled()
    (tmp_path / "open").touch()
    yield application
    del sys.modules["bank_of_tests"]


def settings() -> Settings:
    """Those of the service, as the command line has them by default."""
    return Settings(store=StoreSettings(url="sqlite:///driven.db"), workers=WorkerSettings(count=0))


def typed(capsysbinary: pytest.CaptureFixture[bytes], *words: str) -> tuple[int, str]:
    """The exit code, and what is printed."""
    code = cli.main(["parked", words[0], "bank_of_tests:app", *words[1:]])
    told = capsysbinary.readouterr()
    return code, (told.out or told.err).decode()


@pytest.mark.usefixtures("bank")
def test_an_operator_brings_back_what_is_parked(capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    """F3: list, show, retry and skip; what fails again is told by the exit code."""
    code, listed = typed(capsysbinary, "list")
    assert code == 0
    assert [one in listed for one in ("bank.Charge", "ada", "the bank is closed", "nobody hears")] == [True] * 4

    code, shown = typed(capsysbinary, "show", "--position", "2", "--json")
    details = json.loads(shown)
    assert (details["message"]["name"], details["body"]) == ("bank.Ordered", {"customer": "ada", "amounts": [1, 2]})
    assert [one["reaction"] for one in details["failures"]] == ["bank_of_tests.shout"]

    code, told = typed(capsysbinary, "retry", "--key", "ada", "--by", "eva", "--why", "it is open", "--json")
    assert code == 0
    assert [json.loads(told)[name] for name in ("verb", "failed", "parked")] == ["retry", 0, 0]
    assert (tmp_path / "charged").read_text() == "ada 1\nada 2\n"

    for wrong in ([], ["--key", "bob", "--position", "9"]):
        code, told = typed(capsysbinary, "retry", *wrong)
        assert (code, "retry takes either --key or --position" in told) == (2, True)

    code, told = typed(capsysbinary, "retry", "--key", "bob")
    assert code == 1
    assert "2 messages parked again" in told

    code, told = typed(capsysbinary, "skip", "--key", "bob")
    assert code == 0
    charged = (tmp_path / "charged").read_text().splitlines()
    assert list(dict.fromkeys(charged)) == ["ada 1", "ada 2", "bob 4"]  # it is stateless, so it may have run in vain

    assert [one["name"] for one in json.loads(typed(capsysbinary, "list", "--json")[1])["messages"]] == [
        "bank.Ordered",
        "bank.Ordered",
    ]


@pytest.mark.usefixtures("bank")
def test_an_operator_releases_and_discards(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """F3: what is released says so; what is discarded is gone; what is not parked is told."""
    assert typed(capsysbinary, "release", "--key", "ada")[0] == 0
    assert "ada (released)" in typed(capsysbinary, "list", "--limit", "3")[1]
    assert "released" in typed(capsysbinary, "show", "--position", "3")[1]
    for verb, *where in (("discard", "--key", "ada"), ("discard", "--position", "2")):
        assert typed(capsysbinary, verb, *where)[0] == 0

    code, told = typed(capsysbinary, "discard", "--key", "ada")
    assert code == 2
    assert told.startswith("driven: nothing is parked of key 'ada'; see")
    code, told = typed(capsysbinary, "retry", "--position", "9")
    assert (code, "nothing is parked at position 9" in told, "Traceback" in told) == (2, True, False)
    assert typed(capsysbinary, "list", "--limit", "0")[0] == 2
    assert typed(capsysbinary, "show", "--position", "2")[0] == 2
    assert typed(capsysbinary, "show")[0] == 2
    assert typed(capsysbinary, "retry")[0] == 2
    assert "there are more; ask again with --after" in typed(capsysbinary, "list", "--limit", "1")[1]


def test_beside_a_running_bus_one_may_look_and_nothing_else(
    bank: Application, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """U7: the redrive says who has the log."""
    with open_bus_sync(bank, settings()):
        assert typed(capsysbinary, "list")[0] == 0
        code, told = typed(capsysbinary, "retry", "--key", "ada")

    assert code == 2
    assert f"another bus writes to this log (process {os.getpid()} " in told


@pytest.mark.usefixtures("bank")
def test_a_log_that_is_not_there_has_nothing_parked(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """U7: a memory is of one process, and a file that is missing is not made by looking."""
    for url, told in (("memory://", "the memory of another process"), ("sqlite:///no.db", "no.db")):
        for words in (("list",), ("retry", "--key", "ada")):
            code, text = typed(capsysbinary, *words, "--store", url)
            assert code == 2
            assert told in text
