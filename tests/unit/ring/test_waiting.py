"""`Doorbell` and `Sleeper`: a bell that never blocks, and sleep that never lasts."""

from __future__ import annotations

import os
import select
import threading
from typing import TYPE_CHECKING

import pytest

from driven.ring.layout import RING_HEADER_BYTES
from driven.ring.ring_buffer import RingBuffer
from driven.ring.waiting import SPIN_LOOKS, Doorbell, Sleeper

if TYPE_CHECKING:
    from collections.abc import Iterator

FOR_EVER_S = 3_600.0


@pytest.fixture(params=["eventfd", "pipe"])
def bell(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Doorbell]:
    """A bell of each sort; a system without eventfd makes a pipe in both cases."""
    if request.param == "pipe":
        monkeypatch.delattr(os, "eventfd", raising=False)
    with Doorbell.create() as made:
        yield made


@pytest.fixture
def memory() -> memoryview:
    """The bytes of an empty ring."""
    return memoryview(bytearray(RING_HEADER_BYTES + 128))


def rings(bell: Doorbell) -> bool:
    """Whether somebody who polls the bell would wake."""
    return bool(select.select([bell], [], [], 0)[0])


def test_a_bell_rings_until_it_is_cleared(bell: Doorbell) -> None:
    """§6: however often it was rung, it is silenced once."""
    assert not rings(bell)
    for _ in range(3):
        bell.ring()
    assert rings(bell)
    bell.clear()
    assert not rings(bell)


def test_clearing_a_bell_that_does_not_ring_returns_at_once(bell: Doorbell) -> None:
    """D2: nothing here blocks."""
    bell.clear()
    assert not rings(bell)


def test_ringing_a_bell_that_can_ring_no_more_returns_at_once(bell: Doorbell) -> None:
    """D2: a full counter, or a full pipe, is ringing already."""
    _, write_descriptor = bell.descriptors
    if len(set(bell.descriptors)) == 1:
        os.write(write_descriptor, ((1 << 64) - 2).to_bytes(8, "little"))
    for _ in range(10_000):
        bell.ring()
    assert rings(bell)
    bell.clear()
    assert not rings(bell)


def test_a_bell_can_be_rung_through_descriptors_that_were_handed_over(bell: Doorbell) -> None:
    """W2: one doorbell each way; both processes hold both ends."""
    read_descriptor, write_descriptor = bell.descriptors
    twins = {descriptor: os.dup(descriptor) for descriptor in (read_descriptor, write_descriptor)}
    for twin in twins.values():
        os.set_inheritable(twin, True)
    with Doorbell.from_descriptors(twins[read_descriptor], twins[write_descriptor]) as other:
        assert not any(os.get_inheritable(descriptor) for descriptor in other.descriptors)
        other.ring()
        assert rings(bell)
        assert rings(other)
        bell.clear()
        assert not rings(other)


def test_no_descriptor_of_a_bell_is_inherited_by_strangers(bell: Doorbell) -> None:
    """P1: only `pass_fds` hands it on."""
    assert not any(os.get_inheritable(descriptor) for descriptor in bell.descriptors)


def test_a_bell_is_closed_once_however_often_it_is_closed(bell: Doorbell) -> None:
    """D4: stopping is idempotent."""
    descriptors = bell.descriptors
    bell.close()
    bell.close()
    for descriptor in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_a_reader_does_not_sleep_when_there_is_something_to_read(bell: Doorbell, memory: memoryview) -> None:
    """§6: flag, then look again."""
    ring = RingBuffer(memory[:])
    ring.try_write(1, b"here")
    Sleeper(ring, bell).sleep(FOR_EVER_S)
    assert not ring.reader_sleeps


@pytest.mark.parametrize("timeout_s", [FOR_EVER_S, 0.001, 0.0, -1.0])
def test_no_sleep_is_for_ever(bell: Doorbell, memory: memoryview, timeout_s: float) -> None:
    """D5: a wake-up that was lost costs one bounded sleep; this test would otherwise never end."""
    ring = RingBuffer(memory[:])
    Sleeper(ring, bell).sleep(timeout_s)
    assert not ring.reader_sleeps


def test_a_sleeping_reader_is_woken_by_the_bell_and_clears_it(bell: Doorbell, memory: memoryview) -> None:
    """§6: the writer rings because the reader says it sleeps; awake, it says so, and the bell is silent."""
    ring, writer = RingBuffer(memory[:]), RingBuffer(memory[:])
    received = []

    def read_one() -> None:
        sleeper = Sleeper(ring, bell)
        while not (record := ring.read()):
            sleeper.sleep()
        received.append(record)

    thread = threading.Thread(target=read_one)
    thread.start()
    while not writer.reader_sleeps:
        pass
    writer.try_write(1, b"wake")
    if writer.must_wake_reader():
        bell.ring()
    thread.join(timeout=60)

    assert received == [(1, b"wake")]
    assert not ring.reader_sleeps


def test_a_reader_that_was_woken_has_silenced_the_bell(bell: Doorbell, memory: memoryview) -> None:
    """D5: else the next sleep would end before it began."""
    bell.ring()
    Sleeper(RingBuffer(memory[:]), bell).sleep(FOR_EVER_S)
    assert not rings(bell)


class CountingRing(RingBuffer):
    """An empty ring that counts how often it is looked at."""

    looks = 0

    @property
    def is_empty(self) -> bool:
        """Count, and answer as the ring does."""
        self.looks += 1
        return super().is_empty


@pytest.mark.parametrize(("available_cpus", "looks"), [(1, 1), (2, 1), (3, SPIN_LOOKS + 1), (64, SPIN_LOOKS + 1)])
def test_a_reader_spins_only_where_a_cpu_is_to_spare(memory: memoryview, available_cpus: int, looks: int) -> None:
    """§6: do not spin on 2 vCPUs or fewer; then sleep in any case."""
    ring = CountingRing(memory[:])
    with Doorbell.create() as bell:
        Sleeper(ring, bell, available_cpus=available_cpus).sleep(0)
    assert ring.looks == looks


def test_a_spinning_reader_stops_at_what_it_finds(memory: memoryview) -> None:
    """§6: spinning ends at the first record, without a system call."""
    ring = CountingRing(memory[:])
    ring.try_write(1, b"here")
    with Doorbell.create() as bell:
        sleeper = Sleeper(ring, bell, available_cpus=8)
    sleeper.sleep()
    assert ring.looks == 1
