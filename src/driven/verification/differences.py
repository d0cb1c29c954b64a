"""Differences between two values, place by place, as people read them. Pure.

Values are what msgspec makes of encoded bodies: dicts, lists, text, numbers. A place is a path into them:
``measures.worst``, ``paths[3]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST: Final = 72
"""Characters of one side that are shown."""

LONGEST_VALUE: Final = 28
"""Characters of one field, where a whole message is told in a line."""

_CONTEXT: Final = 12
"""Characters before the first that differs, of two long texts."""

_MISSING: Final = object()


def differing(recorded: Any, now: Any, path: str = "") -> Iterator[tuple[str, str, str]]:  # noqa: ANN401 - any value
    """Each place at which two values differ, and both sides of it; an empty side: nothing is there."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*recorded, *now)):
            yield from differing(recorded.get(key, _MISSING), now.get(key, _MISSING), _member(path, key))
    elif isinstance(recorded, list) and isinstance(now, list):
        for number in range(max(len(recorded), len(now))):
            then, today = (side[number] if number < len(side) else _MISSING for side in (recorded, now))
            yield from differing(then, today, f"{path}[{number}]")
    elif type(recorded) is not type(now) or recorded != now:
        yield path, *shown_beside(recorded, now)


def shown_beside(recorded: Any, now: Any) -> tuple[str, str]:  # noqa: ANN401 - any value
    """Two values that are not the same, from a little before where their texts part."""
    texts = [("" if side is _MISSING else repr(side)) for side in (recorded, now)]
    if max(map(len, texts)) <= LONGEST:
        return texts[0], texts[1]
    same = next((number for number, (one, other) in enumerate(zip(*texts, strict=False)) if one != other), 0)
    start = max(same - _CONTEXT, 0)
    return _cut(texts[0], start), _cut(texts[1], start)


def shown_fields(body: object) -> str:
    """The fields of a message in one line; of long values both ends."""
    if not isinstance(body, dict):
        return _both_ends(repr(body), LONGEST)
    return _cut(", ".join(f"{name}={_both_ends(repr(value), LONGEST_VALUE)}" for name, value in body.items()), 0)


def _both_ends(text: str, longest: int) -> str:
    half = (longest - 3) // 2
    return text if len(text) <= longest else f"{text[:half]}...{text[-half:]}"


def _cut(text: str, start: int) -> str:
    if not text:
        return ""
    begun = f"...{text[start:]}" if start else text
    return begun if len(begun) <= LONGEST else f"{begun[: LONGEST - 3]}..."


def _member(path: str, key: object) -> str:
    name = key if isinstance(key, str) else f"[{key!r}]"
    return f"{path}.{name}" if path and isinstance(key, str) else f"{path}{name}"
