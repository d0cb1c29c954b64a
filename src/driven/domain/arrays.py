"""NumPy arrays as fields of messages and aggregates: how they become bytes, and arrays again.

NumPy is never imported here. A type that names `numpy.ndarray` has been imported by whoever declared it, and with it
NumPy; where nobody did, nothing here is ever called.

::

    numpy.ndarray --to_plain--> (dtype, shape, bytes in C order) ~~ MessagePack ~~> --from_plain--> read-only array

- **One copy.** An array that lies in one piece is written from where it is; one that does not is copied once. On the
  other side the array lies in the bytes that were decoded.
- **Read-only**, as a message is a value, and its bytes may be shared by all who read it.
- **The same bytes for equal arrays**: byte order and dtype are kept, and the memory layout is not (O6).
- **Nothing that needs a memory address or code to rebuild**: no objects, no structured dtypes, no subclasses.
"""

from __future__ import annotations

import math
import sys
import typing
from typing import Any, Final

KINDS: Final = frozenset("biufcSUmM")
"""Of dtypes: truth values, whole numbers, floating point, complex, bytes, text, durations and dates."""


class UnfitArray(ValueError):
    """Bytes that are no array, or an array that is not what the field declares; it becomes a `MalformedMessage`."""


def is_array_type(cls: object) -> bool:
    """Whether a class is NumPy's array."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and cls is numpy.ndarray


def to_plain(value: Any) -> tuple[str, tuple[int, ...], memoryview | bytes]:  # noqa: ANN401 - whatever msgspec does not know
    """What msgspec is to write instead of an array.

    Raises:
        TypeError: it is none, or one that cannot cross from one process to another.

    """
    if not is_array_type(type(value)):
        raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")
    dtype = value.dtype
    if dtype.kind not in KINDS:
        raise TypeError(
            f"an array of dtype {dtype} cannot cross from one process to another; "
            f"send arrays of numbers, truth values, dates, bytes or text, one for each column"
        )
    if not value.nbytes:
        return dtype.str, value.shape, b""
    numpy = sys.modules["numpy"]
    return dtype.str, value.shape, memoryview(numpy.ascontiguousarray(value).reshape(-1).view(numpy.uint8))


def from_plain(wanted: Any, told: Any) -> Any:  # noqa: ANN401 - any type annotation, any value
    """Rebuild an array that is to fit the annotation `wanted`; it is read-only and lies in the bytes it came in.

    Raises:
        UnfitArray: it cannot be rebuilt, or is of another dtype than `wanted` says.

    """
    numpy = sys.modules["numpy"]
    match told:
        case [str(name), list(shape), bytes(data)] if all(type(length) is int and length >= 0 for length in shape):
            pass
        case _:
            raise UnfitArray("no array: it should be a dtype, a shape and bytes")
    try:
        dtype = numpy.dtype(name)
    except (TypeError, ValueError, SyntaxError) as error:
        raise UnfitArray(f"an array of dtype {name!r}, which NumPy does not know") from error
    if dtype.kind not in KINDS or math.prod(shape) * dtype.itemsize != len(data):
        raise UnfitArray(f"an array of dtype {name!r} and shape {shape} in {len(data):,} bytes")
    _check_dtype(wanted, dtype)
    if not data:
        empty = numpy.zeros(shape, dtype)
        empty.flags.writeable = False
        return empty
    return numpy.frombuffer(data, dtype).reshape(shape)


def _check_dtype(wanted: Any, dtype: Any) -> None:  # noqa: ANN401 - as above
    """Raise `UnfitArray` when an annotation like `NDArray[float64]` names another type of member."""
    _, *of_members = typing.get_args(wanted) or (None,)
    for declared in (member for one in of_members for member in typing.get_args(one)):
        if isinstance(declared, type) and not issubclass(dtype.type, declared):
            raise UnfitArray(f"an array of {dtype.name}, where {declared.__name__} is declared; convert it with astype")
