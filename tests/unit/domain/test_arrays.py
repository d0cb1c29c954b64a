"""NumPy arrays in messages: what comes back is what was sent, the same bytes each time, and nothing that runs code."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

if importlib.util.find_spec("numpy") is None:
    pytest.skip("NumPy is not installed here", allow_module_level=True)

import numpy as np
import numpy.typing as npt

from driven import Aggregate, Application, Command, Event, Placement, Settings, UnitOfWork, WorkerSettings, open_bus
from driven.domain.arrays import UnfitArray, from_plain, to_plain
from driven.errors import MalformedMessage
from driven.service.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable


class Smooth(Command):
    signal: npt.NDArray[np.float64]
    mask: np.ndarray | None = None


class Smoothed(Event):
    signal: npt.NDArray[np.float64]


catalog = Catalog([("t.Smooth", Smooth), ("t.Smoothed", Smoothed)])
DTYPES = ["?", "i1", "<i4", ">i4", "u8", "f2", "<f8", ">f8", "c16", "S5", "U3", "<M8[ns]", "m8[s]"]


def there_and_back(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Through bytes, as a field that may be any array."""
    encoded = catalog.encode(Smooth(np.zeros(1), array))
    decoded = catalog.decode(encoded.type_id, encoded.body)
    assert isinstance(decoded, Smooth)
    assert decoded.mask is not None
    return decoded.mask


@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.lists(st.integers(0, 4), max_size=4),
    seed=st.integers(0, 2**32 - 1),
    layout=st.sampled_from(["C", "F", "reversed", "every other"]),
)
def test_an_array_comes_back_as_it_was_sent(dtype: str, shape: list[int], seed: int, layout: str) -> None:
    """R1, O6: members, dtype, byte order and shape, from whatever layout in memory; equal arrays, equal bytes."""
    kind = np.dtype(dtype)
    full = [length * 2 for length in shape] if layout == "every other" else shape
    size = int(np.prod(full)) * kind.itemsize
    if kind.kind in "?bU":
        array = np.random.default_rng(seed).integers(0, 2, full).astype(kind)
    else:
        array = np.frombuffer(np.random.default_rng(seed).bytes(size), kind).reshape(full)
    array = {
        "C": lambda: array,
        "F": lambda: np.asfortranarray(array).reshape(shape),
        "reversed": lambda: array[::-1] if shape else array,
        "every other": lambda: np.asarray(array[tuple(slice(None, None, 2) for _ in shape)]),
    }[layout]()

    back = there_and_back(array)

    assert (back.dtype, back.dtype.str, back.shape) == (array.dtype, array.dtype.str, array.shape)
    assert back.tobytes() == array.tobytes()
    assert not back.flags.writeable
    twin = Smooth(np.zeros(1), np.asfortranarray(array).reshape(array.shape))
    assert catalog.encode(twin) == catalog.encode(Smooth(np.zeros(1), array))


def test_a_decoded_array_lies_in_its_own_bytes_and_cannot_be_changed() -> None:
    """S6: no copy is made of what was decoded, and a message is a value."""
    back = there_and_back(np.arange(10.0))
    assert isinstance(back.base.base if back.base.base is not None else back.base, bytes)  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="read-only"):
        back[0] = 1


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: np.array([object()]), "an array of dtype object cannot cross"),
        (lambda: np.zeros(2, [("a", "i4"), ("b", "f8")]), "cannot cross from one process to another"),
        (lambda: np.zeros(2, "V3"), "cannot cross from one process to another"),
        (lambda: np.ma.masked_array([1.0], [True]), "Encoding objects of type MaskedArray is unsupported"),
    ],
)
def test_what_needs_code_or_memory_to_be_rebuilt_is_refused(make: Callable[[], Any], says: str) -> None:
    """D9: pickle would take it; the field and the remedy are named."""
    with pytest.raises(MalformedMessage, match=says) as caught:
        catalog.encode(Smooth(np.zeros(1), make()))
    assert "field 'mask'" in str(caught.value)


def test_an_array_of_another_type_than_declared_is_refused_at_the_gate() -> None:
    """R1: as an int in a field of str is."""
    with pytest.raises(MalformedMessage, match="an array of int64, where float64 is declared; convert it with astype"):
        catalog.encode(Smooth(np.arange(3)))  # type: ignore[arg-type]  # that is what is wrong with it


@pytest.mark.parametrize(
    "told",
    [
        None,
        b"",
        [],
        ["<f8", [1]],
        ["<f8", [1], "text"],
        ["<f8", [-1], b""],
        ["<f8", [True], bytes(8)],
        ["<f8", [2], bytes(8)],
        ["<f8", [1 << 62, 1 << 62], bytes(8)],
        ["O", [1], bytes(8)],
        ["V8", [1], bytes(8)],
        ["no dtype", [1], bytes(8)],
        ["i4,f8", [1], bytes(12)],
        ["(2,)i4", [1], bytes(8)],
    ],
)
def test_bytes_that_are_no_array_are_refused(told: Any) -> None:  # noqa: ANN401 - anything that MessagePack can say
    """D10: nothing is built from them, and no memory is taken on their word."""
    with pytest.raises(UnfitArray):
        from_plain(np.ndarray, told)


def test_an_array_that_lies_in_one_piece_is_encoded_from_where_it_is() -> None:
    """W2: the view that msgspec writes from is the array's own memory."""
    array = np.arange(1_000.0)
    _, _, data = to_plain(array)
    assert isinstance(data, memoryview)
    array[0] = 7.0
    assert data[:8] == np.float64(7.0).tobytes()


app = Application("signals")


class Trace(Aggregate):
    """The last signal."""

    samples: np.ndarray | None = None


@app.handles(Smooth, placement=Placement.WORKER)
def smooth(command: Smooth, uow: UnitOfWork) -> Smoothed:
    """Halve it, and remember it."""
    trace = uow.find(Trace, "t")
    if trace is None:
        trace = Trace("t")
        uow.add(trace)
    trace.samples = command.signal / 2
    return Smoothed(trace.samples)


async def test_arrays_travel_to_a_worker_and_back_and_into_aggregates() -> None:
    """W2, O6: small ones in the ring, large ones beside it; the log is that of the inline run."""
    digests = set()
    for workers in (0, 1):
        async with open_bus(app, Settings(workers=WorkerSettings(count=workers))) as bus:
            for size in (0, 10, 1 << 18):
                receipt = await bus.submit(Smooth(np.arange(float(size))))
                (event,) = (await receipt.handled()).events
                await receipt.settled()
                assert isinstance(event, Smoothed)
                assert np.array_equal(event.signal, np.arange(float(size)) / 2)
            digests.add(bus.log_digest())
    assert len(digests) == 1
