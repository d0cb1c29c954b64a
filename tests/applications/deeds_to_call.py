"""What the tests of the executor have called in workers."""

from __future__ import annotations

import os
import signal
import sys
import time
from multiprocessing import process
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

READY: list[str] = []
"""What the initializer of this process has put here."""


def get_ready(word: str) -> None:
    """An initializer."""
    READY.append(word)


def ready() -> tuple[str, ...]:
    """What was put there, in this process."""
    return tuple(READY)


def fail_to_get_ready() -> NoReturn:
    """An initializer that raises."""
    raise LookupError("no model here")


def die_getting_ready() -> NoReturn:
    """An initializer that takes its worker along."""
    os._exit(5)


def kill_myself() -> NoReturn:
    """Die by SIGKILL, at work."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def die_if_told(path: str) -> None:
    """Die by SIGKILL when there is such a file, which then is gone; else do nothing, in no time."""
    if Path(path).exists():
        Path(path).unlink()
        kill_myself()


def wait_for(path: str) -> int:
    """Say that it runs, by a file, and wait until that is gone; return who ran it."""
    place = Path(path)
    place.write_text(str(os.getpid()), encoding="utf-8")
    while place.exists():
        time.sleep(0.002)
    return os.getpid()


def wait_for_words(path: str, number: int) -> None:
    """Wait until somebody else has put so many words into a file."""
    while len(Path(path).read_text("utf-8").split()) < number:
        time.sleep(0.002)


def note(path: str, word: str) -> None:
    """Add a word to a file, in one write."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{word}\n")


def authkey() -> bytes:
    """What processes of one program know each other by."""
    return bytes(process.current_process().authkey)


class Stubborn(Exception):
    """An exception that pickles, and cannot be made again (D9)."""

    def __init__(self, name: str, *, why: str) -> None:
        super().__init__(name)
        self.why = why


def be_stubborn() -> NoReturn:
    """Raise what cannot travel."""
    raise Stubborn("a mule", why="because")


class BecomesText(Exception):
    """An exception that pickles, and is made into something else (D9)."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return str, ("no exception",)


class BecomesTextAtHome(Exception):
    """As above, but only in the process that gets to know of it, which is `home`."""

    def __init__(self, home: int) -> None:
        super().__init__(home)
        self.home = home

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return _at_home, (self.home,)


def _at_home(home: int) -> object:
    return "no exception" if os.getpid() == home else BecomesTextAtHome(home)


class LetsNothingBeSet(Exception):
    """An exception with a will of its own (D9)."""

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(name)


def throw(kind: Callable[..., BaseException], *arguments: object) -> NoReturn:
    """Raise one."""
    raise kind(*arguments)


class ExitsWhenPickled:
    """Raises SystemExit when it is pickled, where a call has returned it."""

    def __reduce__(self) -> NoReturn:
        raise SystemExit(4)


class RaisesWhenMade:
    """Pickles well; whoever makes it again is told off."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return _refuse, ("not here",)


def _refuse(word: str) -> NoReturn:
    raise LookupError(word)


class ExitsWhenMade:
    """As above, with SystemExit."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return _leave, (3,)


def _leave(code: int) -> NoReturn:
    raise SystemExit(code)


class DiesWhenMade:
    """As above, with the death of the process that makes it, but for the one that made it first."""

    def __init__(self) -> None:
        self.home = os.getpid()

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return _die_abroad, (self.home,)


def _die_abroad(home: int) -> None:
    if os.getpid() != home:
        os._exit(9)


def interrupt() -> NoReturn:
    """Raise what ^C raises."""
    raise KeyboardInterrupt


def write_over_the_ring(number: int) -> NoReturn:
    """Send the main process a record that means nothing (S1)."""
    frame = sys._getframe()  # noqa: SLF001 - the loop that called us is some frames away
    while "loop" not in frame.f_locals:
        frame = cast("FrameType", frame.f_back)
    frame.f_locals["loop"].tell(number, b"nonsense")
    time.sleep(600)
    raise AssertionError


def wait_and_return(seconds: float, value: object) -> object:
    """As it says."""
    time.sleep(seconds)
    return value
