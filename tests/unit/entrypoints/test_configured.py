"""The configuration of a verb: what was typed wins over the file, and without either the log is a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driven import SettingsError
from driven.entrypoints.configured import DEFAULT_STORE, as_typed, configured

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_verb_keeps_its_log_in_a_file_unless_something_else_is_said() -> None:
    """U4: what was accepted is there the next time."""
    assert configured(None).store.url == DEFAULT_STORE


@pytest.mark.parametrize("url", ["memory://", "sqlite:///other.db"])
def test_the_file_names_the_store(tmp_path: Path, url: str) -> None:
    """Also the one that other programs have by default."""
    (tmp_path / "driven.toml").write_text(f'[store]\nurl = "{url}"\n', "utf-8")

    assert configured(None).store.url == url


def test_the_environment_names_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """It wins over the default as it wins over the file."""
    monkeypatch.setenv("DRIVEN_STORE_URL", "memory://")

    assert configured(None).store.url == "memory://"


def test_what_was_typed_wins_and_keeps_the_rest(tmp_path: Path) -> None:
    """Only the place is another."""
    (tmp_path / "driven.toml").write_text('[store]\nurl = "memory://"\ndurability = "each"\n', "utf-8")

    settings = configured(None, "sqlite:///typed.db")

    assert (settings.store.url, settings.store.durability) == ("sqlite:///typed.db", "each")


def test_a_store_that_there_is_not_is_refused(tmp_path: Path) -> None:
    """Typed, or a table that is none."""
    with pytest.raises(SettingsError, match="of the command line"):
        configured(None, "postgres://here")
    (tmp_path / "driven.toml").write_text("store = 5\n", "utf-8")
    with pytest.raises(SettingsError, match="not a table"):
        configured(None)


def test_what_was_typed_is_checked_and_what_was_not_is_left() -> None:
    """Style: the culprit is the command line, not a file that nobody wrote."""
    settings = configured(None)

    assert as_typed(settings, "http", host=None, port=None) is settings
    assert as_typed(settings, "http", host=None, port=0).http.port == 0
    with pytest.raises(SettingsError, match=r"of the command line .*\n.*\[http\] port = 99999"):
        as_typed(settings, "http", port=99_999)
