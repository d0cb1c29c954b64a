"""`Segment`: memory behind a descriptor, on both backings alike, that leaves nothing behind."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driven.errors import SegmentUnavailable
from driven.ring.segment import Segment
from limits import limited
from shared_names import left_in_shared_memory, shared_memory_names

if TYPE_CHECKING:
    from driven.ring.segment import Backing

BACKINGS = ["shared_memory", "memfd"]
SIZE_BYTES = 300_000


def open_descriptors() -> set[str]:
    """What this process has open; the listing itself needs one, which is closed when it is returned."""
    return {name for name in os.listdir("/dev/fd") if Path(f"/dev/fd/{name}").exists()}  # noqa: PTH208 -- names only


@pytest.fixture(autouse=True, scope="module")
def _tracker() -> None:
    """Let Python 3.11 and 3.12 start the resource tracker, which keeps a descriptor, before any test counts."""
    Segment.create(4_096).close()


@pytest.mark.parametrize("backing", BACKINGS)
def test_a_new_segment_is_zero_and_of_the_size_that_was_asked_for(backing: Backing) -> None:
    """§6: same class, same behaviour, for both backings."""
    with Segment.create(SIZE_BYTES, backing=backing) as segment:
        assert (segment.size_bytes, len(segment.memory), segment.backing) == (SIZE_BYTES, SIZE_BYTES, backing)
        assert not any(segment.memory)


@pytest.mark.parametrize("backing", BACKINGS)
def test_two_mappings_of_a_descriptor_are_one_memory(backing: Backing) -> None:
    """§6: the other side gets the descriptor; either may close first."""
    with Segment.create(SIZE_BYTES, backing=backing) as segment:
        attached = Segment.attach(os.dup(segment.descriptor), SIZE_BYTES)
        segment.memory[:5] = b"hello"
        attached.memory[-5:] = b"world"
        assert bytes(segment.memory[-5:]) == b"world"
    assert bytes(attached.memory[:5]) == b"hello"
    assert attached.backing is None
    attached.close()


@pytest.mark.parametrize("backing", BACKINGS)
def test_a_segment_has_no_name(backing: Backing) -> None:
    """S3, W7: nothing in /dev/shm outlives anybody, because there is nothing in /dev/shm."""
    with Segment.create(SIZE_BYTES, backing=backing) as segment:
        assert os.fstat(segment.descriptor).st_nlink == 0


@pytest.mark.parametrize("backing", BACKINGS)
def test_every_page_is_there_before_it_is_touched(backing: Backing) -> None:
    """S2: allocated first, so that no store can be SIGBUS."""
    with Segment.create(SIZE_BYTES, backing=backing) as segment:
        assert os.fstat(segment.descriptor).st_blocks * 512 >= SIZE_BYTES


@pytest.mark.parametrize("backing", BACKINGS)
def test_a_descriptor_is_inherited_only_by_those_it_is_passed_to(backing: Backing) -> None:
    """P1: a stranger that inherits a segment would keep it alive."""
    with Segment.create(SIZE_BYTES, backing=backing) as segment:
        assert not os.get_inheritable(segment.descriptor)
        passed_on = os.dup(segment.descriptor)
        os.set_inheritable(passed_on, True)
        with Segment.attach(passed_on, SIZE_BYTES):
            assert not os.get_inheritable(passed_on)


def test_auto_prefers_shared_memory() -> None:
    """§6: the memfd is for where shared memory cannot be had."""
    if not Path("/dev/shm").is_dir():  # noqa: S108 -- the place, not a temporary file
        pytest.skip("this system has no /dev/shm to prefer")
    with Segment.create(4_096) as segment:
        assert segment.backing == "shared_memory"


def test_where_there_is_no_memfd_an_unlinked_file_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """W8: macOS has no memfd, and workers there must not start the resource tracker either."""
    monkeypatch.delattr(os, "memfd_create", raising=False)
    with Segment.create(SIZE_BYTES, backing="memfd") as segment:
        segment.memory[-1] = 1
        assert os.fstat(segment.descriptor).st_nlink == 0
        assert not os.get_inheritable(segment.descriptor)


def test_where_nothing_can_allocate_the_file_is_only_made_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """W8: macOS has no posix_fallocate; the segment works, without the guarantee."""
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    for backing in ("shared_memory", "memfd"):
        with Segment.create(SIZE_BYTES, backing=backing) as segment:
            segment.memory[-1] = 1


def test_a_segment_that_nothing_can_back_is_refused_with_every_reason() -> None:
    """S2: a clear error, that names the size and the remedy, and leaves nothing open."""
    before, names_before = open_descriptors(), shared_memory_names()
    with limited(resource.RLIMIT_FSIZE, 1 << 20), pytest.raises(SegmentUnavailable) as caught:
        Segment.create(2 << 20)

    assert caught.value.size_bytes == 2 << 20
    too_large = "said File too large (the limit on the size of files, ulimit -f, holds here too)"
    assert caught.value.reason == f"shared_memory {too_large}, memfd {too_large}"
    assert "larger /dev/shm" in str(caught.value)
    assert open_descriptors() == before
    assert not left_in_shared_memory(names_before)


@pytest.mark.parametrize("size_bytes", [0, -1])
def test_a_segment_of_nothing_is_refused(size_bytes: int) -> None:
    """STYLE: the number stands in the message."""
    with pytest.raises(ValueError, match=f"a segment of {size_bytes} bytes"):
        Segment.create(size_bytes)


def test_a_descriptor_of_something_smaller_is_refused_and_closed() -> None:
    """S2: mapping beyond the end would be SIGBUS at the first look."""
    before = open_descriptors()
    with Segment.create(4_096, backing="memfd") as segment:
        with pytest.raises(SegmentUnavailable, match="cannot be mapped"):
            Segment.attach(os.dup(segment.descriptor), 4_097)
        with pytest.raises(SegmentUnavailable, match="cannot be mapped"):
            Segment.attach(os.dup(segment.descriptor), 1 << 70)
    assert open_descriptors() == before


def test_a_descriptor_that_is_not_open_is_refused() -> None:
    """S1: the error says which descriptor it was."""
    descriptor = os.dup(0)
    os.close(descriptor)
    with pytest.raises(SegmentUnavailable, match=f"descriptor {descriptor} cannot be mapped"):
        Segment.attach(descriptor, 4_096)


def test_closing_twice_is_closing_once() -> None:
    """D4: stopping is idempotent; a descriptor number that somebody else got meanwhile is not closed."""
    segment = Segment.create(4_096, backing="memfd")
    descriptor = segment.descriptor
    segment.close()
    other = os.dup(0)
    os.dup2(other, descriptor)
    segment.close()
    os.close(other)
    if descriptor != other:
        os.close(descriptor)


def test_a_segment_of_which_a_view_is_held_says_so_and_can_be_closed_later() -> None:
    """S5: nothing is half closed."""
    before = open_descriptors()
    segment = Segment.create(4_096, backing="memfd")
    view = segment.memory[10:20]
    with pytest.raises(BufferError):
        segment.close()
    view.release()
    segment.close()
    assert open_descriptors() == before


@pytest.mark.parametrize("backing", BACKINGS)
def test_many_segments_leave_nothing_open(backing: Backing) -> None:
    """S5: descriptors and mappings are as before, and no warning was given."""
    mappings = Path("/proc/self/maps")
    before, names_before = open_descriptors(), shared_memory_names()
    for number in range(2_000):
        with Segment.create(4_096, backing=backing) as segment:
            segment.memory[0] = number % 256
    assert open_descriptors() == before
    assert not left_in_shared_memory(names_before)
    if mappings.exists():
        assert "memfd:driven" not in mappings.read_text()
        assert "/dev/shm" not in mappings.read_text()  # noqa: S108 -- the place, not a temporary file
