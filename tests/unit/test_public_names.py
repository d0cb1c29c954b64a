"""What `driven` offers, and what it costs to look at it: names are imported when they are first used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import driven


def loaded_by(program: str) -> set[str]:
    """The modules that are loaded in a new interpreter after `program`."""
    printed = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    return set(printed.split())


def within(modules: set[str], *packages: str) -> set[str]:
    """Those of `modules` that are one of `packages` or inside one."""
    return {name for name in modules if any(name == one or name.startswith(f"{one}.") for one in packages)}


def test_importing_driven_imports_nothing_of_it() -> None:
    """Style: `import driven` costs next to nothing."""
    loaded = loaded_by("import driven")

    assert within(loaded, "driven") == {"driven"}
    assert within(loaded, "asyncio", "msgspec", "dishka", "psutil", "uvloop") == set()


def test_defining_an_application_loads_neither_the_bus_nor_the_pool() -> None:
    """W1: a worker imports the same module and never sees the bus."""
    loaded = loaded_by("from driven import Aggregate, Application, Command, Context, Event, Placement, UnitOfWork")

    assert within(loaded, "driven.bus", "driven.pool", "driven.adapters", "driven.bootstrap", "driven.testing") == set()
    assert within(loaded, "psutil", "uvloop", "sqlite3", "pytest") == set()


@pytest.mark.parametrize("name", driven.__all__)
def test_a_public_name_can_be_imported_by_itself_and_is_kept(name: str) -> None:
    """docs/reference/python-api.md: every listed name is there, and looking it up twice gives the same thing."""
    assert getattr(driven, name) is getattr(driven, name)
    assert name in dir(driven)
    assert name in vars(driven)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """Style: as of any module; `hasattr` and star imports work."""
    with pytest.raises(AttributeError, match="module 'driven' has no attribute 'Kafka'"):
        _ = driven.Kafka
    assert not hasattr(driven, "kafka")


def test_a_star_import_brings_what_is_listed() -> None:
    """docs/reference/python-api.md: no more, no less."""
    namespace: dict[str, object] = {}

    exec("from driven import *", namespace)  # noqa: S102 - a star import stands at the top of a module only

    assert set(namespace) - {"__builtins__"} == set(driven.__all__)


def test_names_are_listed_in_order() -> None:
    """Style: sorted, so that a reader finds them."""
    assert list(driven.__all__) == sorted(driven.__all__)
