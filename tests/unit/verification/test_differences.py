"""Differences as people read them: the place, both sides, and no more of these than is needed."""

from __future__ import annotations

import pytest

from driven.verification.differences import LONGEST, differing, shown_beside


@pytest.mark.parametrize(
    ("recorded", "now", "told"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 1.0}, [("a", "1", "1.0")]),
        ({"a": {"b": [1, 2, 3]}}, {"a": {"b": [1, 9]}}, [("a.b[1]", "2", "9"), ("a.b[2]", "3", "")]),
        ({"a": None}, {}, [("a", "None", "")]),
        ({"a": {"x": 1}}, {"a": [1]}, [("a", "{'x': 1}", "[1]")]),
        ({1: "x"}, {1: "y"}, [("[1]", "'x'", "'y'")]),
        ({"a": {1: "x"}}, {"a": {1: "y"}}, [("a[1]", "'x'", "'y'")]),
        (1, 2, [("", "1", "2")]),
        (True, 1, [("", "True", "1")]),
    ],
)
def test_each_place_is_told_by_its_path(recorded: object, now: object, told: list[tuple[str, str, str]]) -> None:
    """X2: what changed is found without reading two whole messages."""
    assert list(differing(recorded, now)) == told


def test_long_texts_are_shown_from_where_they_part() -> None:
    """X2: a path of 4,000 characters that differs in its last letter is shown by its end."""
    then, now = shown_beside("x" * 4_000 + "a" + "y" * 4_000, "x" * 4_000 + "b" + "y" * 4_000)

    assert then.startswith("...xxx")
    assert "xa" in then
    assert "xb" in now
    assert max(len(then), len(now)) <= LONGEST
