"""URLs of SQLite logs, as paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driven import Settings, StoreSettings
from driven.adapters.stores.choice import store_at
from driven.adapters.stores.memory import MemoryStore
from driven.adapters.stores.sqlite.address import path_of
from driven.adapters.stores.sqlite.store import SqliteStore
from driven.configuration import validate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///driven.db", "driven.db"),
        ("sqlite:///data/driven.db", "data/driven.db"),
        ("sqlite:////var/lib/driven.db", "/var/lib/driven.db"),
        ("sqlite:///a b%20?c#d.db", "a b%20?c#d.db"),
    ],
)
def test_a_url_names_a_file(url: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three slashes: in the current folder; four: anywhere; the path is taken as it is."""
    monkeypatch.chdir(tmp_path)

    assert path_of(url) == tmp_path / path
    assert not validate(Settings(store=StoreSettings(url=url)))


@pytest.mark.parametrize(
    "url", ["sqlite:///", "sqlite://driven.db", "sqlite:driven.db", "sqlite:///data/", "driven.db"]
)
def test_what_names_no_file_is_refused_with_the_settings(url: str) -> None:
    """Settings: before anything is opened."""
    (fault,) = validate(Settings(store=StoreSettings(url=url)))

    assert 'give "memory://" or "sqlite:///" and the path of a file' in fault


def test_the_store_is_chosen_by_its_url(tmp_path: Path) -> None:
    """docs/reference/settings.md: memory unless a file is named; how durable it is goes along."""
    assert isinstance(store_at(StoreSettings()), MemoryStore)

    store = store_at(StoreSettings(url=f"sqlite:///{tmp_path}/x.db", durability="each"))

    assert isinstance(store, SqliteStore)
    assert (store.path, store.durability) == (tmp_path / "x.db", "each")
    assert not store.path.exists()
