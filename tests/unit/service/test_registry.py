"""Finding an application by name, and what a registry knows of it."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING

import pytest

from driven import Application, Command, Event, RegistrationError
from driven.service.registry import application_reference, build_registry, resolve_application

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODULE = "driven_registry_test_module"


@pytest.fixture
def module() -> Iterator[types.ModuleType]:
    """A module that can be imported."""
    made = types.ModuleType(MODULE)
    sys.modules[MODULE] = made
    yield made
    del sys.modules[MODULE]


def in_module(name: str = "shop") -> Application:
    """An application that was made in the module."""
    namespace = {"__name__": MODULE, "Application": Application}
    exec(f"app = Application({name!r})", namespace)  # noqa: S102 - as if the module had done it
    app = namespace["app"]
    assert isinstance(app, Application)
    return app


def test_an_application_is_found_under_the_name_of_its_variable(module: types.ModuleType) -> None:
    """W1: a worker imports what the bus has."""
    module.wiring = types.SimpleNamespace(app=in_module())  # type: ignore[attr-defined]
    module.app = in_module()  # type: ignore[attr-defined]

    assert application_reference(module.app) == f"{MODULE}:app"
    assert resolve_application(f"{MODULE}:app") is module.app
    assert resolve_application(f"{MODULE}:wiring.app") is module.wiring.app


def test_an_application_may_be_made_by_a_function(module: types.ModuleType) -> None:
    """W1: where making it needs a decision."""
    module.make = in_module  # type: ignore[attr-defined]

    assert resolve_application(f"{MODULE}:make").name == "shop"


def test_an_application_that_is_no_variable_has_no_reference(module: types.ModuleType) -> None:
    """R1: workers could not import it, and the bus says so."""
    module.app = in_module()  # type: ignore[attr-defined]

    assert application_reference(in_module()) is None
    assert application_reference(module.app.copy()) is None


def broken() -> Application:
    """A function that cannot make one."""
    raise ValueError("no")


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("no_such_module_anywhere:app", "cannot be imported (ModuleNotFoundError: No module named"),
        (f"{MODULE}:absent", "cannot be imported (AttributeError"),
        (MODULE, "cannot be imported (AttributeError"),
        ("", "cannot be imported (ValueError"),
        (f"{MODULE}:number", "is of type int; name a driven.Application, or a function that returns one"),
        (f"{MODULE}:nothing", "is of type NoneType; name a driven.Application"),
        (f"{MODULE}:broken", "cannot be imported (ValueError: no); it is called without arguments, to make one"),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused(module: types.ModuleType, reference: str, words: str) -> None:
    """R1: with what was found instead, and how a reference is written."""
    module.number, module.nothing, module.broken = 3, lambda: None, broken  # type: ignore[attr-defined]

    with pytest.raises(RegistrationError) as raised:
        resolve_application(reference)

    assert words in str(raised.value)


class Order(Command):
    """A command."""


class Ordered(Event):
    """An event."""


class Cancel(Command):
    """Another command."""


def wire(app: Application, *, backwards: bool) -> None:
    """Two handlers and two reactions, registered in one order or the other."""

    def order(command: Order) -> Ordered: ...  # type: ignore[empty-body]

    def cancel(command: Cancel) -> None: ...

    def first(event: Ordered) -> Cancel: ...  # type: ignore[empty-body]

    def second(event: Ordered) -> Cancel | None: ...

    steps: list[Callable[[], object]] = [
        lambda: app.handles(Order)(order),
        lambda: app.handles(Cancel)(cancel),
        lambda: app.reacts_to(Ordered)(first),
        lambda: app.reacts_to(Ordered)(second),
    ]
    for step in reversed(steps) if backwards else steps:
        step()


def test_a_registry_does_not_depend_on_the_order_of_registration() -> None:
    """W1: numbers of types are places in the order of names, so that every process has the same."""
    apps = [Application("shop"), Application("shop")]
    for app, backwards in zip(apps, (False, True), strict=True):
        wire(app, backwards=backwards)

    one, other = (build_registry(app) for app in apps)

    assert one.catalog.fingerprint == other.catalog.fingerprint
    assert {type_id: handler.command for type_id, handler in one.handlers.items()} == {
        type_id: handler.command for type_id, handler in other.handlers.items()
    }
    assert [one.name_of(type_id) for type_id in range(3)] == ["shop.Cancel", "shop.Order", "shop.Ordered"]


def test_reactions_run_in_the_order_of_registration() -> None:
    """O3: what they issue takes positions in that order."""
    app = Application("shop")
    wire(app, backwards=False)

    (reactions,) = build_registry(app).reactions.values()

    assert [reaction.name.rpartition(".")[2] for reaction in reactions] == ["first", "second"]


def test_an_application_can_be_examined_again_and_again() -> None:
    """W1: in the main process and in every worker; an examination leaves no trace."""
    app = Application("shop")
    wire(app, backwards=False)

    fingerprints = {build_registry(app).catalog.fingerprint for _ in range(3)}

    assert len(fingerprints) == 1
