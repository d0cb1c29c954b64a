"""Projections: fed in position order with what is durable; one that fails stops at its place, alone (B8)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from driven import Application, Command, Envelope, Event
from driven.bus.projections import Projections
from driven.service.event_store import LoggedMessage, MessageKind
from driven.service.registry import build_registry

if TYPE_CHECKING:
    from driven.domain.messages import Message
    from driven.service.registry import Registry


class Bake(Command):
    loaf: int


class Baked(Event):
    loaf: int


class Burnt(Event):
    loaf: int


class Shelf:
    """A read model."""

    def __init__(self) -> None:
        self.loaves: list[int] = []


class Bin:
    """Another one."""

    def __init__(self) -> None:
        self.loaves: list[int] = []


def bakery() -> Application:
    """Two read models; the first breaks at loaf 13."""
    app = Application("bakery")
    app.binds(Shelf)
    app.binds(Bin)

    @app.handles(Bake)
    def bake(command: Bake) -> Baked | Burnt:
        return Baked(command.loaf)

    @app.projects(Baked)
    def fill_shelf(event: Baked, shelf: Shelf) -> None:
        if event.loaf == 13:
            raise ValueError("no such number")
        if event.loaf == 14:
            raise SystemExit
        shelf.loaves.append(event.loaf)

    @app.projects(Baked)
    def count(event: Baked, waste: Bin, shelf: Shelf) -> None:
        waste.loaves.append(len(shelf.loaves))

    @app.projects(Burnt)
    def throw_away(event: Burnt, waste: Bin) -> None:
        waste.loaves.append(event.loaf)

    return app


def logged(registry: Registry, messages: list[Message]) -> list[LoggedMessage]:
    """As the log has them, from position 1 on."""
    found = []
    for position, message in enumerate(messages, 1):
        encoded = registry.catalog.encode(message)
        kind = MessageKind.COMMAND if isinstance(message, Command) else MessageKind.EVENT
        envelope = Envelope(position, f"@{position}", position, 0, 0, None, 0)
        found.append(LoggedMessage(envelope, kind, registry.name_of(encoded.type_id), 1, encoded.body))
    return found


def test_a_projector_sees_its_events_in_position_order_with_its_read_models() -> None:
    """B7, B8: one after the other, siblings in the order of registration, commands not at all."""
    registry = build_registry(bakery())
    projections = Projections(registry)

    projections.feed(logged(registry, [Bake(1), Baked(1), Burnt(2), Baked(3)]))

    assert registry.injector.container.get(Shelf).loaves == [1, 3]
    assert registry.injector.container.get(Bin).loaves == [1, 2, 2]
    positions = {one.name.rpartition(".")[2]: one.position for one in projections.statistics()}
    assert positions == {"fill_shelf": 4, "count": 4, "throw_away": 3}


@pytest.mark.parametrize("poison", [13, 14], ids=["Exception", "SystemExit"])
def test_a_projector_that_fails_stops_at_its_position_and_its_siblings_go_on(
    poison: int, caplog: pytest.LogCaptureFixture
) -> None:
    """B8, B9: a read model with a hole would look complete, so it is not skipped over the event."""
    registry = build_registry(bakery())
    projections = Projections(registry)

    with caplog.at_level(logging.ERROR, "driven.bus"):
        projections.feed(logged(registry, [Baked(1), Baked(poison), Baked(3)]))

    assert registry.injector.container.get(Shelf).loaves == [1]
    assert registry.injector.container.get(Bin).loaves == [1, 1, 1]
    filling, counting, _ = projections.statistics()
    assert filling.position == 1
    assert (filling.stopped_by or "").startswith(("ValueError: no such number", "SystemExit"))
    assert (counting.position, counting.stopped_by) == (3, None)
    assert "is stopped there; mend it" in caplog.text


def test_an_interrupt_is_not_taken_for_a_faulty_projector() -> None:
    """P5: Ctrl-C during a projector reaches the program."""
    app = Application("impatient")

    @app.handles(Bake)
    def bake(command: Bake) -> Baked:
        return Baked(command.loaf)

    @app.projects(Baked)
    def interrupt(event: Baked) -> None:
        raise KeyboardInterrupt

    registry = build_registry(app)
    with pytest.raises(KeyboardInterrupt):
        Projections(registry).feed(logged(registry, [Baked(1)]))
