"""Errors say whose fault it is, hold what they speak of, and end in what to do."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import TYPE_CHECKING, Any

import pytest

from driven import errors

if TYPE_CHECKING:
    from collections.abc import Callable

# How each error is made, and how its text ends. None: it ends in the words of somebody else, which are not ours to end.
ENDINGS: dict[type[errors.DrivenError], tuple[dict[str, Any], str | None]] = {
    errors.RegistrationError: ({"application": "a", "faults": ["first; mend it"]}, "first; mend it"),
    errors.SettingsError: ({"source": "a.toml", "faults": ["first; mend it"]}, "first; mend it"),
    errors.UnknownCommand: (
        {"command": "a.Do", "application": "a", "known": ["a.Be"]},
        "register one with @app.handles(Do)",
    ),
    errors.EmptyKey: ({"command": "a.Do", "field": "name"}, "without key= to serialise it with all stateful commands"),
    errors.CommandIdReused: ({"command_id": "x", "recorded": "a.Do", "position": 3}, "use a new id"),
    errors.ReentrantDispatch: ({"running": "a.do"}, "let a reaction to it issue the command"),
    errors.NothingParked: ({"what": "at position 3"}, "for what is"),
    errors.NothingDue: ({"cause": 3, "number": 1}, "for what is"),
    errors.MalformedMessage: ({"name": "a.Do", "reason": "why"}, "send the fields and types that a.Do declares"),
    errors.UnreadableMessage: ({"name": "a.Did", "version": 2, "reason": "why; mend it"}, "why; mend it"),
    errors.BusFull: ({"pending": 7, "capacity": 7}, "or raise [bus] max_pending"),
    errors.BusClosed: ({"reason": "why"}, "open a new bus"),
    errors.CommandFailed: (
        {"command": "a.Do", "position": 3, "error_type": "KeyError", "error_message": "'k'"},
        None,
    ),
    errors.CommandParked: ({"command": "a.Do", "position": 3, "reason": "why"}, "or `driven parked retry`"),
    errors.AggregateNotFound: ({"aggregate": "a.Thing", "aggregate_id": "x"}, "use find() where it may be missing"),
    errors.AggregateExists: ({"aggregate": "a.Thing", "aggregate_id": "x"}, "or choose another id"),
    errors.UndeclaredEvent: ({"handler": "a.do", "event": "Did"}, "or to emits= of @app.handles"),
    errors.EventNotApplied: (
        {"aggregate": "a.Thing", "aggregate_id": "x", "event": "a.Did", "reason": "why; mend it", "version": 3},
        "why; mend it",
    ),
    errors.WrongReturn: ({"handler": "a.do", "returned": "an int", "allowed": "Did"}, "it may return Did"),
    errors.ProjectionStopped: ({"projection": "a", "position": 3, "reason": "why"}, "or rebuild it"),
    errors.WorkersUnavailable: ({"reason": "why"}, None),
    errors.SegmentUnavailable: ({"size_bytes": 4096, "reason": "why"}, "or lower [workers] ring_bytes"),
    errors.RingBroken: ({"reason": "why"}, "its worker is replaced"),
    errors.StatisticsUnavailable: ({"pid": 7, "reason": "it has no open bus; look for it"}, "look for it"),
    errors.StoreFailed: ({"store": "memory://", "reason": "why"}, "what was appended before is still there"),
    errors.LogBusy: ({"store": "memory://", "holder": "process 7"}, "stop it, or open another log"),
}
# The branches: they are caught, and raised only where no leaf fits.
BRANCHES = {errors.DrivenError, errors.MisuseError, errors.HandlerError, errors.InfrastructureError}

ALL = {found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, Exception)}


def test_every_error_is_in_this_table() -> None:
    """Style: an error without a remedy is found here."""
    assert {*ENDINGS, *BRANCHES} == ALL


@pytest.mark.parametrize("error", ENDINGS, ids=lambda error: error.__name__)
def test_an_error_ends_in_what_to_do(error: type[errors.DrivenError]) -> None:
    """Style: errors name the culprit and the remedy."""
    told, ending = ENDINGS[error]

    text = str(error(**told))

    if ending is not None:
        assert text.endswith(ending)


@pytest.mark.parametrize("error", ENDINGS, ids=lambda error: error.__name__)
def test_an_error_holds_the_values_that_it_speaks_of(error: type[errors.DrivenError]) -> None:
    """Style: whoever catches it need not read its text."""
    told, _ = ENDINGS[error]

    raised = error(**told)

    for name, value in told.items():
        if name == "reason" and error is errors.LogBusy:
            continue
        held = getattr(raised, name)
        assert held == (tuple(value) if isinstance(value, list) else value)
        assert str(value if not isinstance(value, list) else value[0])[:3] in str(raised).replace(",", "")


@pytest.mark.parametrize("error", ENDINGS, ids=lambda error: error.__name__)
@pytest.mark.parametrize("through", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301 - our own bytes
def test_an_error_survives_copies_and_pickles(error: type[errors.DrivenError], through: Callable[[Any], Any]) -> None:
    """F1: what a submitter catches may be sent on, to another process too, and says the same there."""
    raised = error(**ENDINGS[error][0])
    raised.add_note("seen by the night shift")

    twin = through(raised)

    assert type(twin) is error
    assert twin is not raised
    assert (str(twin), twin.args, vars(twin)) == (str(raised), raised.args, vars(raised))


def test_the_tree_at_the_head_of_the_module_is_the_tree_of_classes() -> None:
    """Style: a reader begins with the tree, so it is true."""
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^    ((?:\|  |   )*)(?:\|- |`- )(\w+)", line) or re.match(r"^    ()(DrivenError)$", line)
        if found:
            depth = len(found[1]) // 3 + (found[2] != "DrivenError")
            above[depth:] = [found[2]]
            drawn[found[2]] = above[depth - 1] if depth else "Exception"

    assert drawn == {error.__name__: error.__base__.__name__ for error in ALL if error.__base__}


def test_a_failed_command_shows_where_it_ran() -> None:
    """F1: the remote traceback stands behind the sentence."""
    failed = errors.CommandFailed("a.Do", 3, "KeyError", "'k'", "Traceback\n  in do\n")

    assert str(failed) == "a.Do at position 3 failed: KeyError: 'k'\n\nwhere it ran:\nTraceback\n  in do"


def test_faults_are_numbered_and_counted() -> None:
    """R1: one line each."""
    assert str(errors.RegistrationError("shop", ["one", "two"])) == (
        "application 'shop' cannot be opened: 2 faults\n  1. one\n  2. two"
    )
