"""Statistics for other processes: whole or refused, by whom they are meant for, and never in the way of the bus."""

from __future__ import annotations

import logging
import os
import re
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from both_loops import until
from driven import (
    Application,
    Command,
    Placement,
    Settings,
    StatisticsUnavailable,
    WorkerSettings,
    open_bus,
    read_statistics,
)
from driven.bus.shared_statistics import LABEL
from driven.ring.bulletin import Bulletin
from driven.ring.nameless import nameless_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven import MessageBus

INLINE = Settings(workers=WorkerSettings(count=0))
NOBODY = 65_534

pytestmark = pytest.mark.skipif(
    not (sys.platform == "linux" and hasattr(os, "memfd_create")), reason="needs /proc and memfd_create"
)


class Count(Command):
    """Counted."""


def counting(name: str = "counting") -> Application:
    """An application whose only command does nothing, inline."""
    application = Application(name)

    @application.handles(Count, placement=Placement.INLINE)
    def count(command: Count) -> None:
        """Nothing."""

    return application


def shown_descriptors() -> list[Path]:
    """The bulletins of this process."""
    links = Path("/proc/self/fd").iterdir()
    return [link for link in links if os.path.lexists(link) and str(link.readlink()).startswith(f"/memfd:{LABEL}")]


async def settled(bus: MessageBus, commands: int) -> None:
    """So many commands have retired, and the others were told."""
    for _ in range(commands):
        await bus.handle(Count())
    await until(lambda: read_statistics(os.getpid()).retired == commands)


async def test_another_process_reads_what_statistics_says() -> None:
    """bus.statistics(), also readable from another process: the same record, with nothing left to come when idle."""
    async with open_bus(counting(), INLINE) as bus:
        await settled(bus, 3)
        told = read_statistics(os.getpid())
        own = bus.statistics()

    assert (told.application, told.pid, told.admitted, told.queued) == ("counting", os.getpid(), 3, 0)
    assert told.commands == own.commands
    assert told.taken_at_ns <= own.taken_at_ns


async def test_a_bus_that_has_done_nothing_yet_can_be_seen() -> None:
    """From the moment it is open."""
    async with open_bus(counting(), INLINE):
        await until(lambda: len(shown_descriptors()) == 1 and _is_told(os.getpid()))

        assert read_statistics(os.getpid()).admitted == 0


def _is_told(pid: int) -> bool:
    try:
        read_statistics(pid)
    except StatisticsUnavailable:
        return False
    return True


async def test_what_is_shown_is_for_its_owner_and_goes_with_the_bus() -> None:
    """Descriptors are 0600, have no name, and are not inherited; nothing is left of them."""
    async with open_bus(counting(), INLINE):
        (link,) = shown_descriptors()
        mode = stat.S_IMODE(link.stat().st_mode)
        is_inherited = os.get_inheritable(int(link.name))

    assert (mode, is_inherited) == (0o600, False)
    assert shown_descriptors() == []
    with pytest.raises(StatisticsUnavailable, match="it has no open bus; give the process id of the program"):
        read_statistics(os.getpid())


async def test_of_several_buses_in_one_process_one_has_to_be_named() -> None:
    """No guessing."""
    async with open_bus(counting("a"), INLINE), open_bus(counting("b"), INLINE):
        await until(lambda: _is_told_by("a") and _is_told_by("b"))

        assert read_statistics(os.getpid(), "b").application == "b"
        with pytest.raises(StatisticsUnavailable, match=re.escape("it has several buses (a, b)")):
            read_statistics(os.getpid())
        with pytest.raises(StatisticsUnavailable, match="it has no bus of 'c', but of a, b; name one of these"):
            read_statistics(os.getpid(), "c")


def _is_told_by(application: str) -> bool:
    try:
        return read_statistics(os.getpid(), application).application == application
    except StatisticsUnavailable:
        return False


@pytest.fixture
def foreign() -> Iterator[int]:
    """A file that says that it is a bulletin of statistics, and is what a test makes of it."""
    descriptor = nameless_file(LABEL)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("content", [b"", b"\0" * 64, b"drivenBB\x09\0\0\0\0\0\0\0", os.urandom(9_000)])
def test_what_is_no_statistics_is_refused_in_words(foreign: int, content: bytes) -> None:
    """A reader never trusts what it reads."""
    os.pwrite(foreign, content, 0)

    with pytest.raises(StatisticsUnavailable, match="read it with the version of Driven that the process has"):
        read_statistics(os.getpid())


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x81\xa1a\x01", b"\x93\x01\x02\x03"])
def test_a_whole_post_of_something_else_is_refused_in_words(body: bytes) -> None:
    """Of another version, for example."""
    bulletin = Bulletin.create(LABEL)
    bulletin.post(body)

    with pytest.raises(StatisticsUnavailable, match="its statistics cannot be understood"):
        read_statistics(os.getpid())
    bulletin.close()


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1, 2**70])
def test_a_process_that_is_not_there_is_said_not_to_be(pid: int) -> None:
    """A wrong number is the commonest mistake."""
    with pytest.raises(StatisticsUnavailable, match=f"in process {pid}: there is no such process"):
        read_statistics(pid)


def test_a_process_of_somebody_else_is_said_to_be_somebody_elses() -> None:
    """Whoever may look into the process may read, and nobody else."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        with pytest.raises(StatisticsUnavailable, match="it belongs to somebody else; ask as its user, or as root"):
            read_statistics(1)
    finally:
        if is_root:
            os.seteuid(0)


async def test_a_bus_that_can_post_no_more_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """What is shown to others is never in the way: it is given up, and that is said once."""
    caplog.set_level(logging.INFO, "driven")
    async with open_bus(counting(), INLINE) as bus:
        await settled(bus, 1)
        (link,) = shown_descriptors()
        read_only = os.open(link, os.O_RDONLY)
        os.dup2(read_only, int(link.name))
        os.close(read_only)

        await bus.handle(Count())
        await until(lambda: shown_descriptors() == [])
        await bus.handle(Count())

        assert bus.statistics().retired == 3
    assert [record.message for record in caplog.records if "shared" in record.message or "shown" in record.message] == [
        "The statistics of the bus are not shown to other processes: [Errno 9] Bad file descriptor."
    ]
