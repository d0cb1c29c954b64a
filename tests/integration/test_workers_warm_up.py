"""What warms up runs once in each worker, before its first command; where there are no workers, while the bus opens."""

from __future__ import annotations

import os
import signal

import pytest

from driven import CommandOutcome, RegistrationError, Settings, WorkerSettings, WorkersUnavailable, open_bus
from driven.service.registry import build_registry
from driven.service.wiring import recipe_of
from warm_test_app import Ask, Warmed, app
from watched_lane import watched_lane

SETTINGS = {"workers": WorkerSettings(count=2), "no workers": WorkerSettings(count=0)}


def asked(outcome: CommandOutcome) -> Warmed:
    """What the handler has found."""
    (event,) = outcome.events
    assert isinstance(event, Warmed)
    return event


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
async def test_a_handler_finds_what_was_warmed_up(settings: WorkerSettings) -> None:
    """W1: the same object of scope APP, made before the first command, with workers and without."""
    async with open_bus(app, Settings(workers=settings)) as bus:
        found = [asked(await (await bus.submit(Ask())).handled()) for _ in range(4)]

        assert {one.times for one in found} == {1}
        assert {one.pid == os.getpid() for one in found} == {not settings.count}


async def test_a_worker_that_replaces_another_warms_up_as_well() -> None:
    """W1: it is as warm as the first when it says HELLO."""
    recipe = recipe_of(build_registry(app), "warm_test_app:app")
    async with watched_lane(recipe=recipe) as lane:
        os.kill(lane.pid(), signal.SIGKILL)
        await lane.until(lambda: len(lane.gone) == 1 and len(lane.ready) == 1)

    assert any("the warm-up warm_test_app.warm_the_model" in line for line in recipe.wiring)


@pytest.mark.parametrize(
    ("settings", "error"),
    [(SETTINGS["workers"], WorkersUnavailable), (SETTINGS["no workers"], RegistrationError)],
    ids=SETTINGS.keys(),
)
async def test_one_that_raises_keeps_the_bus_from_opening_and_is_named(
    settings: WorkerSettings, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """W6, R1: with its traceback from the worker."""
    monkeypatch.setenv("WARM_TEST_RAISES", "no model today")
    with pytest.raises(error, match="no model today") as raised:
        async with open_bus(app, Settings(workers=settings)):
            pass

    assert "warm_test_app.warm_the_model, which warms up, raised LookupError" in str(raised.value)
    if error is WorkersUnavailable:
        assert "in warm_the_model" in str(raised.value)


async def test_one_that_takes_too_long_counts_into_the_time_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """W8: never a hang."""
    monkeypatch.setenv("WARM_TEST_SLEEPS", "600")
    with pytest.raises(WorkersUnavailable, match="was not ready within 1 s; look into what it imports and warms up"):
        async with open_bus(app, Settings(workers=WorkerSettings(count=1, start_timeout_s=1.0))):
            pass
