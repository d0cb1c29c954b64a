"""`driven due` as an operator meets it: over the log of a service that is down, and beside one that runs."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from driven import Application, Settings, StoreSettings, WorkerSettings, open_bus_sync
from driven.adapters.stores.choice import store_at
from driven.entrypoints import cli
from driven.service.registry import resolve_application

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIBRARY = """
    from driven import Application, Command

    app = Application("library")

    class Remind(Command):
        book: str

    @app.handles(Remind)
    def remind(command: Remind) -> None: ...
"""
SETTINGS = Settings(store=StoreSettings(url="sqlite:///driven.db"), workers=WorkerSettings(count=0))


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
    """A folder with an application, and a log in which three reminders are due in years; the later first."""
    (tmp_path / "library_of_tests.py").write_text(textwrap.dedent(LIBRARY), "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRIVEN_WORKERS_COUNT", "0")
    monkeypatch.syspath_prepend(str(tmp_path))
    application = resolve_application("library_of_tests:app")
    remind: Any = sys.modules["library_of_tests"].Remind
    with open_bus_sync(application, SETTINGS) as bus:
        for years in (3, 2, 1):
            bus.submit(remind(f"book {years}"), deliver_at=datetime.now(UTC) + timedelta(days=365 * years))
    yield application
    del sys.modules["library_of_tests"]


def typed(capsysbinary: pytest.CaptureFixture[bytes], *words: str) -> tuple[int, str]:
    """The exit code, and what is printed."""
    code = cli.main(["due", words[0], "library_of_tests:app", *words[1:]])
    told = capsysbinary.readouterr()
    return code, (told.out or told.err).decode()


@pytest.mark.usefixtures("library")
def test_an_operator_sees_what_is_due_and_cancels_one(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """F3: in the order in which it enters; a cancel is in the log, with who and why, and is not possible twice."""
    code, listed = typed(capsysbinary, "list", "--json")
    found = json.loads(listed)
    assert (code, found["is_all"]) == (0, True)
    assert [(one["name"], one["cause"], one["number"]) for one in found["commands"]] == [
        ("library.Remind", cause, 1) for cause in (3, 2, 1)
    ]

    code, told = typed(capsysbinary, "cancel", "--cause", "2", "--by", "eva", "--why", "it is back", "--json")
    assert code == 0
    assert json.loads(told) == {"position": 4, "cause": 2, "number": 1}

    code, listed = typed(capsysbinary, "list", "--limit", "1")
    assert code == 0
    assert "library.Remind" in listed
    assert "there are more; ask again with --limit 2" in listed
    assert [one["cause"] for one in json.loads(typed(capsysbinary, "list", "--json")[1])["commands"]] == [3, 1]
    code, told = typed(capsysbinary, "cancel", "--cause", "2")
    assert (code, "Traceback" in told) == (2, False)
    assert told.startswith("driven: nothing is due later as number 1 of what position 2 scheduled")

    with closing(store_at(SETTINGS.store)) as store:
        cancel = store.read(3, 1)[0].message
    assert (cancel.name, b"eva" in cancel.body, b"it is back" in cancel.body) == ("driven.Cancel", True, True)


@pytest.mark.usefixtures("library")
def test_what_makes_no_sense_is_told_with_the_remedy(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """Style: exit code 2, the culprit and what to do."""
    for words, remedy in (
        (("list", "--limit", "0"), "give 1 or more"),
        (("cancel",), "see `driven due list`"),
        (("list", "--store", "sqlite:///no.db"), "no.db"),
        (("cancel", "--cause", "1", "--store", "memory://"), "the memory of another process"),
    ):
        code, told = typed(capsysbinary, *words)
        assert code == 2
        assert remedy in told
    assert typed(capsysbinary, "cancel", "--cause", "3")[1].endswith("will not enter\n")


def test_beside_a_running_bus_one_may_look_and_nothing_else(
    library: Application, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """U7: the cancel says who has the log."""
    with open_bus_sync(library, SETTINGS):
        assert typed(capsysbinary, "list")[0] == 0
        code, told = typed(capsysbinary, "cancel", "--cause", "1")

    assert code == 2
    assert f"another bus writes to this log (process {os.getpid()} " in told
