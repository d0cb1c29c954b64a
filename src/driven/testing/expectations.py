"""What was expected beside what came: values told apart, place by place, in the words of an assertion. Pure."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import msgspec

from driven.domain.later import Later
from driven.verification.differences import differing
from driven.wire import body_encoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def check_same(what: str, expected: Sequence[msgspec.Struct], got: Sequence[msgspec.Struct]) -> None:
    """See that two rows of values are the same, in the same order.

    Raises:
        AssertionError: they are not; says which, and where they differ.

    """
    __tracebackhide__ = True
    told = list(_differences(expected, got))
    if told:
        raise AssertionError("\n".join([f"{what} are not what was expected:", *told, *_listed(expected, got)]))


def _differences(expected: Sequence[msgspec.Struct], got: Sequence[msgspec.Struct]) -> Iterator[str]:
    for number, (wanted, found) in enumerate(zip_longest(expected, got), 1):
        if wanted is None:
            yield f"  {number}. not expected: {found!r}"
        elif found is None:
            yield f"  {number}. missing: {wanted!r}"
        elif type(wanted) is not type(found) or isinstance(wanted, Later):
            if wanted == found:
                continue
            yield f"  {number}. expected {wanted!r}"
            yield f"     but got  {found!r}"
        else:
            for place, left, right in differing(_plain(wanted), _plain(found)):
                name = type(wanted).__name__
                yield f"  {number}. {name}.{place}: expected {left or 'nothing'}, got {right or 'nothing'}"


def _listed(expected: Sequence[msgspec.Struct], got: Sequence[msgspec.Struct]) -> Iterator[str]:
    """Both sides whole, where the differences alone would not tell what belongs to what."""
    if len(expected) != len(got):
        yield f"  expected: {', '.join(type(one).__name__ for one in expected) or 'none'}"
        yield f"  got:      {', '.join(type(one).__name__ for one in got) or 'none'}"


def _plain(value: msgspec.Struct) -> Any:  # noqa: ANN401 - fields of any kind
    """Its fields as they would be stored."""
    return msgspec.msgpack.decode(body_encoder(type(value))(value))
