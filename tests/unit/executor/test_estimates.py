"""How long calls of a name are thought to take."""

from __future__ import annotations

from functools import partial

import pytest

from driven.executor.estimates import LEAST_NS, MOST_NAMES, Estimates, name_of


def test_what_nobody_has_seen_nobody_knows() -> None:
    """D7: an unknown call goes to an idle worker, and nothing behind it."""
    assert Estimates().of("a.b") is None


def test_one_long_call_is_remembered_for_a_while() -> None:
    """D7: it rises in half steps and falls in eighths."""
    estimates = Estimates()
    estimates.learn("a", 0)

    estimates.learn("a", 1_000_000)
    risen = estimates.of("a")
    for _ in range(40):
        estimates.learn("a", 0)

    assert risen == LEAST_NS + 500_000
    assert LEAST_NS <= (estimates.of("a") or 0) < LEAST_NS + 10_000


def test_names_without_end_do_not_fill_the_memory() -> None:
    """P13: so many names, and it begins anew."""
    estimates = Estimates()

    for number in range(3 * MOST_NAMES):
        estimates.learn(str(number), 1)

    assert sum(estimates.of(str(number)) is not None for number in range(3 * MOST_NAMES)) <= MOST_NAMES


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (abs, "abs"),
        ([].append, "list.append"),
        (partial(partial(int, base=2), "1"), "int"),
        (Estimates().of, "Estimates.of"),
        (partial, "partial"),
        (object(), "object"),
    ],
)
def test_a_call_is_known_by_what_is_called(function: object, name: str) -> None:
    """P14: an error names it, and an average is kept for it; the thing itself is not kept."""
    assert name_of(function) == name
