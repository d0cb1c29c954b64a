"""From what was typed to an application, or to words that help: wrong names, broken modules, modules that run."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from driven.entrypoints.loading import NoApplication, load_application

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Write modules into the current folder; the import path and what was imported are as before afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    monkeypatch.setattr(sys, "modules", dict(sys.modules))

    def write(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))

    return write


def refusal(reference: str) -> str:
    """What is said about a reference that leads nowhere."""
    with pytest.raises(NoApplication) as caught:
        load_application(reference)
    return str(caught.value)


def test_an_application_of_the_current_folder_is_found(module: Callable[[str, str], None]) -> None:
    """Whoever types `driven check shop:app` stands beside shop.py."""
    module("found_here", "import driven\napp = driven.Application('shop')")

    assert load_application("found_here:app").name == "shop"


def test_a_function_that_returns_an_application_will_do(module: Callable[[str, str], None]) -> None:
    """Wiring may be made by a function, as workers accept it too."""
    module("made_here", "import driven\ndef make():\n    return driven.Application('made')")

    assert load_application("made_here:make").name == "made"


def test_what_a_module_prints_does_not_mix_with_the_report(
    module: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output belongs to the report: `--json` must stay JSON."""
    module("talkative", "import driven\nprint('hello')\napp = driven.Application('shop')")

    load_application("talkative:app")

    assert capsys.readouterr() == ("", "hello\n")


def test_a_missing_module_is_named(module: Callable[[str, str], None]) -> None:
    """The culprit is what was typed; the remedy is how to type it."""
    module("unrelated", "")

    said = refusal("not_there:app")

    assert "No module named 'not_there'" in said
    assert '"package.module:attribute"' in said
    assert "raised at" not in said


def test_the_applications_that_are_there_are_offered(module: Callable[[str, str], None]) -> None:
    """A misspelt attribute is answered with those that would do."""
    module("offering", "import driven\nfirst = driven.Application('a')\nsecond = driven.Application('b')")

    assert refusal("offering:app").endswith("applications in offering: offering:first, offering:second")


def test_a_module_alone_is_answered_with_its_applications(module: Callable[[str, str], None]) -> None:
    """No attribute is guessed: it is asked for."""
    module("lonely", "import driven\nwiring = driven.Application('a')")

    said = refusal("lonely")

    assert said.startswith("'lonely' names a module; give an application in it")
    assert "lonely:wiring" in said


def test_an_error_of_the_module_is_shown_with_its_place(module: Callable[[str, str], None]) -> None:
    """Where user code raised is said, down to the line, without a traceback."""
    module("broken", "def fail():\n    return 1 / 0\n\nfail()")

    said = refusal("broken:app")

    assert "ZeroDivisionError: division by zero" in said
    assert "broken.py, line 2: return 1 / 0" in said
    assert "broken is there and raises that when it is imported; mend it" in said
    assert "on the import path" not in said


def test_a_module_that_cannot_be_read_is_shown_with_its_line(module: Callable[[str, str], None]) -> None:
    """A syntax error has no frame of its own, and is as much in want of a place."""
    module("unfinished", "import driven\napp = driven.Application('shop'")

    said = refusal("unfinished:app")

    assert "raises that when it is imported" in said
    assert "unfinished.py, line 2: app = driven.Application('shop'" in said


def test_a_module_that_lacks_another_is_not_said_to_be_missing(module: Callable[[str, str], None]) -> None:
    """What was typed was right; what it imports is not installed."""
    module("lacking", "import not_there_either")

    said = refusal("lacking:app")

    assert "No module named 'not_there_either'" in said
    assert "lacking is there and raises that" in said


@pytest.mark.parametrize("typed", ["meant.py:app", "./meant:app", "./meant.py:app"])
def test_a_file_is_answered_with_its_module(module: Callable[[str, str], None], typed: str) -> None:
    """Whoever completes a file's name with the shell types this."""
    module("meant", "import driven\napp = driven.Application('shop')")

    assert "did you mean meant:app?" in refusal(typed)


def test_a_module_that_ends_the_program_is_not_obeyed(module: Callable[[str, str], None]) -> None:
    """A script that runs when imported would end the command line with an exit code of its own."""
    module("script", "import sys\nsys.exit(0)")

    assert 'put what it runs under `if __name__ == "__main__":`' in refusal("script:app")


def test_something_else_is_no_application(module: Callable[[str, str], None]) -> None:
    """The kind of what was found is named."""
    module("other", "app = 'an application'")

    assert "is of type str; name a driven.Application" in refusal("other:app")
