"""Names: how types and functions are called in logs, on wires, and in sentences for people. Pure functions."""

from __future__ import annotations

import types
import typing
from typing import Any, Final

_UNIONS: Final = (typing.Union, types.UnionType)


def stable_name(application: str, subject: type, attribute: str) -> str:
    """The explicit name of a message or aggregate type, else ``<application>.<ClassName>``.

    A name is a class's own: a subclass does not inherit it, as two types cannot share one.
    """
    return vars(subject).get(attribute) or f"{application}.{subject.__name__}"


def qualified_name(target: Any) -> str:  # noqa: ANN401 - anything that may or may not have a name
    """``module.qualname`` of a function or class; what has no name is shown."""
    name = getattr(target, "__qualname__", None)
    return repr(target) if name is None else f"{target.__module__}.{name}"


def shown(annotation: Any) -> str:  # noqa: ANN401 - any type annotation
    """An annotation as one writes it: ``Clock``, ``list[Clock]``, ``Clock | None``."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return shown(arguments[0])
    if origin in _UNIONS:
        return " | ".join(shown(argument) for argument in arguments)
    if annotation is type(None):
        return "None"
    if annotation is Ellipsis:
        return "..."
    if origin is not None:
        inner = ", ".join(shown(argument) for argument in arguments)
        return f"{shown(origin)}[{inner}]"
    return str(getattr(annotation, "__name__", None) or annotation)


def plain_text(name: str, value: str) -> str:
    """`value` as text that can be stored and sent, without what a subclass of str may add.

    Raises:
        TypeError: it is no text.
        ValueError: it holds lone surrogates, as some file names do.

    """
    if not isinstance(value, str):
        raise TypeError(f"{name} is a {type(value).__name__}; give it as a str")
    text = str.__str__(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} {text!a} cannot be encoded as UTF-8; replace its lone surrogates") from error
    return text
