"""Routing: the decorator's word, then the operator's; every section that means nothing is refused."""

from __future__ import annotations

import pytest

from driven import (
    Application,
    Command,
    CommandSettings,
    GroupSettings,
    OnExhausted,
    Placement,
    Settings,
    SettingsError,
    WorkerSettings,
)
from driven.bus.routing import Route, routes
from driven.service.registry import build_registry

PRICING = WorkerSettings(groups={"pricing": GroupSettings(count=2)})


class Price(Command):
    """Runs on workers by its decorator."""

    book: str


class File(Command):
    """Runs inline by its decorator."""

    book: str


app = Application("books")


@app.handles(Price, placement=Placement.WORKER, timeout_s=3, group="pricing", retries=0, on_exhausted=OnExhausted.HALT)
def price(command: Price) -> None:
    """Nothing is done: only its route matters."""


@app.handles(File)
def file(command: File) -> None:
    """As above."""


def route_of(command: str, settings: Settings) -> Route:
    """The route of one command."""
    registry = build_registry(app)
    table = routes(registry, settings, ())
    return next(route for type_id, route in table.items() if registry.name_of(type_id) == command)


def faults_of(settings: Settings) -> tuple[str, ...]:
    """What `routes` refuses."""
    with pytest.raises(SettingsError) as refused:
        routes(build_registry(app), settings, ())
    return refused.value.faults


def test_a_decorator_decides_where_the_configuration_is_silent() -> None:
    """docs/how-to/place-commands-on-workers.md: what the developer said holds, with the defaults of the settings."""
    route = route_of("books.Price", Settings(workers=PRICING))

    assert route == Route(
        placement=Placement.WORKER,
        group="pricing",
        sticky=False,
        detached=False,
        timeout_s=3,
        max_attempts=3,
        retries=0,
        on_exhausted=OnExhausted.HALT,
        decided_by="decorator",
    )


@pytest.mark.parametrize("name", ["Price", "books.Price"])
def test_the_operator_has_the_last_word_by_short_or_full_name(name: str) -> None:
    """docs/how-to/place-commands-on-workers.md: what stands in the section wins, and what does not stays as it was."""
    section = CommandSettings(group="default", max_attempts=9)

    route = route_of("books.Price", Settings(workers=PRICING, commands={name: section}))

    assert (route.group, route.max_attempts, route.timeout_s) == ("default", 9, 3)
    assert route.decided_by == f"[commands.{name}]"


def test_a_command_that_is_not_there_is_refused_with_what_is_there() -> None:
    """R1: bad input names the culprit and the remedy."""
    (fault,) = faults_of(Settings(workers=PRICING, commands={"Prices": CommandSettings(max_attempts=2)}))

    assert "[commands.Prices]" in fault
    assert "did you mean Price?" in fault
    assert "books.File" in fault


def test_a_group_that_is_not_configured_is_refused() -> None:
    """docs/how-to/place-commands-on-workers.md: a group has workers, or nobody can name it; all faults come at once."""
    first, second = faults_of(Settings(commands={"File": CommandSettings(placement=Placement.WORKER, group="x")}))

    assert "'x'" in first + second
    assert "'pricing'" in first + second
    assert "add [workers.groups." in first


def test_without_workers_a_group_may_stay_configured() -> None:
    """[workers] count = 0 puts everything inline, and no other line has to change for it."""
    workers = WorkerSettings(count=0, groups=PRICING.groups)

    assert route_of("books.Price", Settings(workers=workers)).group == "pricing"


def test_a_timeout_for_what_runs_inline_is_refused() -> None:
    """W5: a handler in the main process cannot be killed, so nobody is promised that it will be."""
    (fault,) = faults_of(Settings(workers=PRICING, commands={"File": CommandSettings(timeout_s=2.0)}))

    assert "timeout_s = 2" in fault
    assert 'placement = "worker"' in fault


def test_stickiness_without_a_key_is_refused() -> None:
    """The scheduler keeps a key with its worker: without a key there is nothing to keep."""
    (fault,) = faults_of(Settings(workers=PRICING, commands={"Price": CommandSettings(sticky=True)}))

    assert "which has no key to stick to" in fault
    assert "say key= in its decorator" in fault


@pytest.mark.parametrize("name", ["FILE", "BOOKS_FILE"])
def test_a_section_from_the_environment_means_the_command_that_is_spelt_so_there(name: str) -> None:
    """docs/reference/settings.md: DRIVEN_COMMANDS_FILE_PLACEMENT, or with the full name; no letter is small there."""
    settings = Settings(workers=PRICING, commands={name: CommandSettings(placement=Placement.WORKER)})

    assert route_of("books.File", settings).placement is Placement.WORKER


def test_a_variable_for_a_command_that_is_not_there_is_refused() -> None:
    """R1: an unknown command is refused at opening, with those that are there."""
    settings = Settings(workers=PRICING, commands={"FLIE": CommandSettings(placement=Placement.WORKER)})

    (fault,) = faults_of(settings)

    assert fault.startswith("[commands.FLIE] names no command of this application")
    assert "there are: books.Price, books.File" in fault
