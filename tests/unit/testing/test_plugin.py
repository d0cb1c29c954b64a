"""The pytest plugin as a user's test run meets it: fixtures to override, readable failures, nothing for nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import driven
import driven_worker

pytest_plugins = ("pytester",)

APPLICATION = """
    import pytest
    from driven import Application, Command, Context, Event, Settings, WorkerSettings

    class Greet(Command):
        name: str

    class Greeted(Event):
        name: str
        at: str

    app = Application("hello")

    @app.handles(Greet)
    def greet(command: Greet, context: Context) -> Greeted:
        return Greeted(command.name, context.now.isoformat())

    @pytest.fixture
    def application():
        return app
"""
ARGUMENTS = ("-p", "driven.testing.plugin", "-p", "no:cacheprovider", "-W", "error")


@pytest.fixture(autouse=True)
def _our_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever runs in another folder finds the packages that are tested here."""
    roots = (str(Path(package.__path__[0]).resolve().parent) for package in (driven, driven_worker))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(roots))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # other plugins have options that this run does not set


def ran(pytester: pytest.Pytester, tests: str) -> pytest.RunResult:
    """A run of these tests of the application, in a process of its own."""
    pytester.makepyfile(test_hello=APPLICATION + tests)
    return pytester.runpytest_subprocess(*ARGUMENTS)


def test_a_bus_over_the_application_is_there_for_a_test(pytester: pytest.Pytester) -> None:
    """docs/how-to/test-an-application.md: bus, store and clock belong to each test alone."""
    result = ran(
        pytester,
        """
    @pytest.mark.parametrize("number", range(2))
    def test_greeting(bus, store, bus_clock, number):
        bus_clock.advance(60)
        assert bus.handle(Greet("Ada")).events == (Greeted("Ada", "2030-01-01T12:01:00+00:00"),)
        assert store.last_position == 2

    async def nothing(): ...
        """,
    )

    result.assert_outcomes(passed=2)


def test_everything_can_be_overridden(pytester: pytest.Pytester) -> None:
    """docs/how-to/test-an-application.md: settings, clock and store of one's own."""
    result = ran(
        pytester,
        """
    from driven.adapters.stores.memory import MemoryStore

    @pytest.fixture
    def bus_settings(bus_settings):
        return Settings(workers=WorkerSettings(count=0), commands={})

    @pytest.fixture
    def bus_clock():
        return lambda: 0

    @pytest.fixture
    def store():
        return MemoryStore("mine")

    def test_greeting(bus, store):
        assert bus.handle(Greet("Ada")).events[0].at == "1970-01-01T00:00:00+00:00"
        assert store.log_id == "mine"
        """,
    )

    result.assert_outcomes(passed=1)


def test_who_forgets_the_application_is_told_what_to_write(pytester: pytest.Pytester) -> None:
    """Style: the remedy, ready to be copied."""
    pytester.makepyfile("def test_greeting(bus): pass")

    result = pytester.runpytest_subprocess(*ARGUMENTS)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*needs to know your application; define a fixture in conftest.py:", "*def application():"]
    )


def test_a_scenario_that_fails_shows_the_difference_and_not_our_frames(pytester: pytest.Pytester) -> None:
    """Style: the line of the test, and what is different."""
    result = ran(
        pytester,
        """
    def test_greeting(application):
        from driven.testing import given
        given(application).when(Greet("Ada")).then(Greeted("Eva", "2030-01-01T12:00:00+00:00"))
        """,
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E * events are not what was expected:", "E * 1. Greeted.name: expected 'Eva', got 'Ada'"]
    )
    result.stdout.no_fnmatch_line("*expectations.py*")


def test_the_contract_of_stores_fails_with_both_sides(pytester: pytest.Pytester) -> None:
    """docs/how-to/write-a-store.md: a store that loses something is told what."""
    pytester.makepyfile(
        """
        from driven.adapters.stores.memory import MemoryStore
        from driven.testing import EventStoreContract

        class Forgetful(MemoryStore):
            def find(self, command_id):
                return None

        class TestForgetful(EventStoreContract):
            def make_store(self):
                return Forgetful()
        """
    )

    result = pytester.runpytest_subprocess(*ARGUMENTS, "-k", "found_by_the_id")

    assert result.parseoutcomes()["failed"] >= 1
    result.stdout.fnmatch_lines(["E * assert None == LogRecord(*"])


def test_the_plugin_loads_nothing_that_a_run_may_not_need() -> None:
    """Style: pytest starts as fast as without it."""
    ours = "(name for name in sys.modules if name.startswith('driven'))"
    program = f"import sys, driven.testing.plugin; print(*{ours}, 'msgspec' in sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert loaded == ["driven", "driven.testing", "driven.testing.plugin", "False"]


def test_pytest_finds_the_plugin_by_its_entry_point() -> None:
    """Style: installed is enough."""
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))["project"]

    assert project["entry-points"]["pytest11"] == {"driven": "driven.testing.plugin"}
