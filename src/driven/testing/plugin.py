"""The pytest plugin: fixtures for an application, found by pytest once Driven is installed.

::

    application <--override-- your conftest.py
         |        bus_settings   bus_clock   store        each may be overridden as well
         `-------------`-------------`---------`--> bus   open while the test runs, without workers

Its modules are imported when a fixture is used: a test run that uses none pays for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven import Application, EventStore, Settings, SyncBus
    from driven.testing.clock import Clock

pytest.register_assert_rewrite("driven.testing.contracts")


@pytest.fixture
def application() -> Application | str:
    """The application under test; overridden in a ``conftest.py`` or in the test's own module."""
    pytest.fail(
        "the fixture `bus` of Driven needs to know your application; define a fixture in conftest.py:\n"
        "    @pytest.fixture\n"
        "    def application():\n"
        "        return app",
        pytrace=False,
    )


@pytest.fixture
def bus_settings() -> Settings:
    """The settings of `bus`: no workers, so that nothing is started; override it for others."""
    from driven import Settings, WorkerSettings  # noqa: PLC0415 - see the head of this module

    return Settings(workers=WorkerSettings(count=0))


@pytest.fixture
def bus_clock() -> Clock:
    """The clock of `bus`: it stands still until ``bus_clock.advance(seconds)``."""
    from driven.testing.clock import Clock  # noqa: PLC0415 - see the head of this module

    return Clock()


@pytest.fixture
def store() -> EventStore:
    """The store of `bus`: in memory, empty, one per test."""
    from driven.adapters.stores.memory import MemoryStore  # noqa: PLC0415 - see the head of this module

    return MemoryStore()


@pytest.fixture
def bus(
    application: Application | str, bus_settings: Settings, store: EventStore, bus_clock: Clock
) -> Iterator[SyncBus]:
    """An open bus of `application`, closed when the test is over; calls block, also in an asynchronous test."""
    from driven import open_bus_sync  # noqa: PLC0415 - see the head of this module

    with open_bus_sync(application, bus_settings, store=store, clock_ns=bus_clock) as opened:
        yield opened
