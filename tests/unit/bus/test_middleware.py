"""Middleware: hooks see everything in the order given, change nothing, and do no harm when they raise."""

from __future__ import annotations

import logging

import pytest

from driven import Envelope, Middleware
from driven.bus.middleware import HOOKS, Hooks

ENVELOPE = Envelope(1, "@1", 1, 0, 0, None, 0)


class Noting(Middleware):
    """Notes admissions in a list that it shares with others."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self.notes = notes

    def admitted(self, name: str, envelope: Envelope) -> None:
        """Note it."""
        self.notes.append(f"{self.name} saw {name} at {envelope.position}")


class Raising(Middleware):
    """Raises what it is given."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def admitted(self, name: str, envelope: Envelope) -> None:
        """Raise."""
        raise self.error


def test_hooks_are_called_in_the_order_in_which_the_middleware_was_given() -> None:
    """Middleware: first given, first called."""
    notes: list[str] = []
    hooks = Hooks([Noting("first", notes), Noting("second", notes)])

    assert hooks.admitted is not None
    hooks.admitted("shop.Order", ENVELOPE)

    assert notes == ["first saw shop.Order at 1", "second saw shop.Order at 1"]


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(3)], ids=["Exception", "SystemExit"])
def test_a_hook_that_raises_harms_neither_its_siblings_nor_the_bus(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """Middleware: the error is logged with the hook's name, the next hook is called all the same."""
    notes: list[str] = []
    hooks = Hooks([Raising(error), Noting("second", notes)])

    assert hooks.admitted is not None
    with caplog.at_level(logging.ERROR, "driven.bus"):
        hooks.admitted("shop.Order", ENVELOPE)

    assert notes == ["second saw shop.Order at 1"]
    assert "Raising.admitted" in caplog.text


def test_an_interrupt_is_not_swallowed() -> None:
    """P5: Ctrl-C during a hook reaches the program."""
    hooks = Hooks([Raising(KeyboardInterrupt())])

    assert hooks.admitted is not None
    with pytest.raises(KeyboardInterrupt):
        hooks.admitted("shop.Order", ENVELOPE)


def test_nothing_is_paid_for_hooks_that_nobody_overrides() -> None:
    """Middleware: the bus finds None where nobody listens."""
    hooks = Hooks([Noting("only", []), Middleware()])

    assert {name: getattr(hooks, name) is None for name in HOOKS} == {name: name != "admitted" for name in HOOKS}


def test_every_hook_of_the_base_class_is_known() -> None:
    """Middleware: one base class lists every hook there is, and a new one cannot be forgotten."""
    defined = {name for name, value in vars(Middleware).items() if callable(value) and not name.startswith("_")}

    assert defined == set(HOOKS)
