"""Shared statistics: what a bus says about itself, for other processes to read.

::

    bus thread: Observer.look -> MessagePack -> Bulletin "driven-statistics"
                                                    ^
    other process: read_statistics(pid) -- /proc/PID/fd

The bus posts when it opens, then at most every `INTERVAL_S` while it does anything, and once more when it has done it
all: an idle bus has no timer. Posting may take `LARGEST_SHARE` of the bus thread's time and no more; with very many
command types it happens less often. What cannot be posted is said once, and harms nobody.

Whoever may look into the process may read, and nobody else: the file has no name, and is its owner's alone.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from driven.bus.statistics import BusStatistics
from driven.errors import StatisticsUnavailable
from driven.ring.bulletin import Bulletin, read_bulletin

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

logger = logging.getLogger("driven.bus")

LABEL: Final = "driven-statistics"
"""Of the nameless file; what readers look for."""

INTERVAL_S: Final = 0.25
LARGEST_SHARE: Final = 0.01
"""Of the bus thread's time."""

_LINK: Final = f"/memfd:{LABEL}"
_PROC: Final = Path("/proc")

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(BusStatistics).decode


class Publisher:
    """Posts the statistics of one bus; bus thread only, as long-lived as the bus."""

    __slots__ = ("_bulletin", "_look", "_loop", "_next_s", "_timer")

    def __init__(self, look: Callable[[], BusStatistics], loop: asyncio.AbstractEventLoop) -> None:
        """`look` tells the statistics; the first ones are posted as soon as `loop` comes to it."""
        self._look: Final = look
        self._loop: Final = loop
        self._bulletin = _bulletin()
        self._next_s = 0.0
        self._timer: asyncio.Handle | None = loop.call_soon(self._on_time) if self._bulletin else None

    def stir(self) -> None:
        """Something happened on the bus."""
        if self._timer is None and self._bulletin is not None:
            self._timer = self._loop.call_later(max(self._next_s - time.monotonic(), INTERVAL_S), self._on_time)

    def post_if_due(self) -> None:
        """Post now, unless that was done just before: for whoever holds up the bus thread."""
        if time.monotonic() >= self._next_s:
            self._post()

    def close(self) -> None:
        """Take it away; may be called twice."""
        if self._timer is not None:
            self._timer.cancel()
        if self._bulletin is not None:
            self._bulletin.close()
        self._bulletin = None

    def _on_time(self) -> None:
        self._timer = None
        if self._post():
            self.stir()

    def _post(self) -> bool:
        """Post; True: there is more to come, as something is queued."""
        if self._bulletin is None:
            return False
        began_ns = time.thread_time_ns()
        try:
            statistics = self._look()
            self._bulletin.post(_encode(statistics))
        except OSError as error:  # where there is no memory for workers there is none for this
            logger.info("The statistics of the bus are not shown to other processes: %s.", error)
            self.close()
            return False
        except Exception:
            logger.exception("The statistics of the bus cannot be shown any more; the bus itself is well.")
            self.close()
            return False
        cost_s = (time.thread_time_ns() - began_ns) / 1e9
        self._next_s = time.monotonic() + max(INTERVAL_S, cost_s / LARGEST_SHARE)
        return statistics.queued > 0


def _bulletin() -> Bulletin | None:
    """Where to post; None where nobody could find it."""
    if not hasattr(os, "memfd_create"):
        return None
    try:
        return Bulletin.create(LABEL)
    except OSError as error:
        logger.warning("The statistics of the bus cannot be shared with other processes: %s.", error)
        return None


def read_statistics(pid: int, application: str | None = None) -> BusStatistics:
    """What the bus in the process `pid` said about itself last; of `application`, where there are several.

    It is as old as `taken_at_ns` says: an idle bus says nothing new, and neither does one whose thread is held up.

    Raises:
        StatisticsUnavailable: there is no such process or no bus in it, it is somebody else's, or it says nothing that
            can be understood; there are several, and it is not said which; or this system has no /proc.

    """
    found, reasons = [], []
    for link in _links(pid):
        try:
            found.append(_read(link))
        except FileNotFoundError:  # closed meanwhile
            continue
        except (OSError, ValueError) as error:
            reasons.append(str(error))
    wanted = [one for one in found if application in {None, one.application}]
    if len(wanted) == 1:
        return wanted[0]
    names = ", ".join(sorted(one.application for one in found))
    if wanted:
        raise StatisticsUnavailable(
            pid, f"it has several buses ({names}); name an application that only one of them has"
        )
    if found:
        raise StatisticsUnavailable(pid, f"it has no bus of {application!r}, but of {names}; name one of these")
    if reasons:
        raise StatisticsUnavailable(pid, f"{reasons[0]}; read it with the version of Driven that the process has")
    raise StatisticsUnavailable(pid, "it has no open bus; give the process id of the program that opened one")


def _links(pid: int) -> Iterator[Path]:
    """Those descriptors of a process that say that they are a bulletin of statistics."""
    folder = _PROC / str(pid) / "fd"
    if not _PROC.joinpath("self", "fd").is_dir():
        raise StatisticsUnavailable(pid, "this system has no /proc; call statistics() in the process itself")
    try:
        links = list(folder.iterdir())
    except (FileNotFoundError, ProcessLookupError):
        raise StatisticsUnavailable(pid, "there is no such process, or it has ended; look for the right one") from None
    except PermissionError:
        raise StatisticsUnavailable(pid, "it belongs to somebody else; ask as its user, or as root") from None
    for link in links:
        try:
            target = str(link.readlink())
        except OSError:  # closed meanwhile
            continue
        if target.partition(" ")[0] == _LINK:
            yield link


def _read(link: Path) -> BusStatistics:
    descriptor = os.open(link, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # never waits, whatever it really is
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("its statistics are no file")
        return _decode(read_bulletin(descriptor))
    except msgspec.MsgspecError as error:
        raise ValueError(f"its statistics cannot be understood ({error})") from error
    finally:
        os.close(descriptor)
