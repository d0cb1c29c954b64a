"""What `driven placement` finds: decorator against configuration, groups and their numbers, and what will not work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from driven import Application, Command, Placement, SettingsError, UnitOfWork
from driven.entrypoints.reports.placement import PlacedCommand, PlacementReport, placement_report
from driven.pool.cpus import available_cpus

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NO_SUCH_CPU = 60_000
HERE = available_cpus().affinity


class Price(Command, frozen=True):
    """Compute a price."""

    book: str


class Sort(Command, frozen=True):
    """Sort something."""

    book: str


class Enter(Command, frozen=True):
    """Change something."""

    book: str


def bookshop() -> Application:
    """One command for each placement."""
    app = Application("books")

    @app.handles(Price, placement=Placement.WORKER, timeout_s=30, max_attempts=2)
    def price(command: Price) -> None: ...

    @app.handles(Sort, placement=Placement.AUTO)
    def sort(command: Sort) -> None: ...

    @app.handles(Enter, key="book")
    def enter(command: Enter, uow: UnitOfWork) -> None: ...

    return app


@pytest.fixture
def placed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., PlacementReport]:
    """Report on the bookshop under a configuration, on a machine that gives one CPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRIVEN_CPUS", "1")

    def report(configuration: str = "", application: Application | None = None) -> PlacementReport:
        file = tmp_path / "books.toml"
        file.write_text(configuration)
        return placement_report(application or bookshop(), "books:app", file)

    return report


def command(report: PlacementReport, name: str) -> PlacedCommand:
    """The command of this name."""
    return next(one for one in report.commands if one.name == f"books.{name}")


def test_the_decorator_decides_where_nothing_else_does(placed: Callable[..., PlacementReport]) -> None:
    """docs/how-to/place-commands-on-workers.md: placement, group, timeout and attempts come with the handler."""
    price = command(placed(), "Price")

    assert (price.placement, price.runs, price.group, price.workers) == (Placement.WORKER, "worker", "default", 1)
    assert (price.timeout_s, price.max_attempts, price.decided_by) == (30, 2, "decorator")


def test_a_section_of_the_configuration_wins(placed: Callable[..., PlacementReport]) -> None:
    """docs/how-to/place-commands-on-workers.md: what operators write is stronger, and named as the reason."""
    report = placed('[commands.Sort]\nplacement = "worker"\ntimeout_s = 2.5\n[commands.Price]\nplacement = "inline"')

    assert (command(report, "Sort").runs, command(report, "Sort").timeout_s) == ("worker", 2.5)
    assert command(report, "Sort").decided_by == "[commands.Sort]"
    assert command(report, "Price").runs == "inline"


def test_auto_runs_in_either_place(placed: Callable[..., PlacementReport]) -> None:
    """docs/how-to/place-commands-on-workers.md: `Placement.AUTO` is decided by measurement, while the bus runs."""
    assert (command(placed(), "Sort").placement, command(placed(), "Sort").runs) == (Placement.AUTO, "either")


def test_without_workers_everything_runs_inline_and_that_is_said(placed: Callable[..., PlacementReport]) -> None:
    """`[workers] count = 0` is legal, so it is a warning for each command that was meant for workers."""
    report = placed("[workers]\ncount = 0")

    assert {one.runs for one in report.commands} == {"inline"}
    assert report.groups[0].workers == 0
    assert report.is_ok
    assert [warning.split()[0] for warning in report.warnings] == ["books.Price", "books.Price", "books.Sort"]


def test_a_group_says_how_many_workers_it_has_and_why(placed: Callable[..., PlacementReport]) -> None:
    """docs/how-to/place-commands-on-workers.md: `default` follows the CPUs, the others their section."""
    report = placed('[workers.groups.pricing]\ncount = 1\n[commands.Price]\ngroup = "pricing"')

    default, pricing = report.groups
    assert (default.name, default.workers, default.commands) == ("default", 1, ("books.Sort",))
    limit = "DRIVEN_CPUS=1" if len(HERE) > 1 else "affinity to 1 CPU"  # of two that allow as much, the first is named
    assert default.because == f'[workers] count = "auto": {limit}'
    assert (pricing.name, pricing.workers, pricing.commands) == ("pricing", 1, ("books.Price",))
    assert pricing.because == "[workers.groups.pricing] count = 1"


@pytest.mark.parametrize(("variable", "because"), [("", "[workers] count = 3"), ("4", "DRIVEN_WORKERS_COUNT = 4")])
def test_a_fixed_number_names_who_fixed_it(
    placed: Callable[..., PlacementReport], monkeypatch: pytest.MonkeyPatch, variable: str, because: str
) -> None:
    """A setting in the environment wins over the file, and is found only by whoever is told."""
    if variable:
        monkeypatch.setenv("DRIVEN_WORKERS_COUNT", variable)

    assert placed("[workers]\ncount = 3").groups[0].because == because


def test_workers_are_not_started_for_an_application_that_has_no_use_for_them(
    placed: Callable[..., PlacementReport],
) -> None:
    """A bus without worker commands starts no process, and needs no advice about them."""
    report = placed(
        '[workers]\ncount = 8\n[commands.Sort]\nplacement = "inline"\n[commands.Price]\nplacement = "inline"'
    )

    assert not report.groups[0].is_started
    assert [warning.split()[0] for warning in report.warnings] == ["books.Price"]


def test_a_cpu_that_is_not_there_is_a_fault_that_names_those_that_are(placed: Callable[..., PlacementReport]) -> None:
    """R1: such workers would not start; whoever asks learns it here and not in production."""
    report = placed(f'[workers.groups.far]\ncount = 1\ncpus = [{NO_SUCH_CPU}]\n[commands.Price]\ngroup = "far"')

    assert not report.is_ok
    assert report.faults[0].startswith(f"[workers.groups.far] cpus: CPU {NO_SUCH_CPU} is not there")
    assert f"give CPUs that are (there are: {HERE[0]}" in report.faults[0]


def test_a_configuration_that_does_not_fit_the_application_is_refused(placed: Callable[..., PlacementReport]) -> None:
    """R1: a section for a command that is not there is a typing error, as opening a bus finds too."""
    with pytest.raises(SettingsError, match="did you mean Price"):
        placed('[commands.Prise]\nplacement = "worker"')


def test_the_file_that_was_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --config, driven.toml in the current folder is read where there is one."""
    monkeypatch.chdir(tmp_path)

    without = placement_report(bookshop(), "books:app", None)
    (tmp_path / "driven.toml").write_text("[workers]\ncount = 1")
    with_default = placement_report(bookshop(), "books:app", None)

    assert (without.config, with_default.config) == ("", "driven.toml")
    assert with_default.groups[0].because == "[workers] count = 1"


def test_the_record_survives_json(placed: Callable[..., PlacementReport]) -> None:
    """The JSON output decodes into the very same record."""
    report = placed("[workers.groups.pricing]\ncount = 1\ncpus = [0]")

    assert msgspec.json.decode(msgspec.json.encode(report), type=PlacementReport) == report
