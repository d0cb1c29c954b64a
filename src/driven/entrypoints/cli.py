"""The command line, `driven`: what was typed, what is shown, the exit code. It lives for one verb.

::

    0   what was asked for is there, and all is well
    1   faults: an application that does not open, workers that do not start, a machine that keeps Driven from working
    2   nothing could be found out: a wrong command line or configuration, no such application, an extra is missing,
        or nothing was there to be compared
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

import driven
from driven.errors import DrivenError, MisuseError, ProjectionStopped, RegistrationError

if TYPE_CHECKING:
    from collections.abc import Sequence

FINE: Final = 0
FAULTY: Final = 1
UNUSABLE: Final = 2
INTERRUPTED: Final = 130
"""As shells count: 128 and the number of SIGINT."""

SHELLS: Final = ("bash", "zsh", "fish")
"""Those that completion is written for."""

DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Why what is told cannot be written into a file."""

_CLI: Final = "the command line needs more than the library: pip install 'driven-bus[cli]'"
_HTTP: Final = "serving over HTTP needs more than the command line: pip install 'driven-bus[http]'"
OF_EXTRAS: Final = dict.fromkeys(("rich", "tyro"), _CLI) | dict.fromkeys(
    ("httptools", "prometheus_client", "starlette", "uvicorn"), _HTTP
)
"""What the extras `cli` and `http` bring, and what is said where it is missing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what `arguments` say, by default those of this process; return the exit code."""
    typed = sys.argv[1:] if arguments is None else list(arguments)
    _have_streams()
    if typed == ["--version"]:
        sys.stdout.write(f"driven {driven.__version__}\n")
        return FINE
    try:
        return _run(typed)
    except DrivenError as error:
        return _failed(str(error), FAULTY if isinstance(error, RegistrationError | ProjectionStopped) else UNUSABLE)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in OF_EXTRAS:
            raise
        return _failed(OF_EXTRAS[missing], UNUSABLE)
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        return _not_told(error)


def _run(typed: list[str]) -> int:
    try:
        return _do(typed)
    finally:
        sys.stdout.flush()  # what fails now is told; what fails when the interpreter ends is not


def _do(typed: list[str]) -> int:
    _adapt_help()
    from driven.entrypoints import showing  # noqa: PLC0415 - tyro and rich may be missing
    from driven.entrypoints.verbs import carrying_out  # noqa: PLC0415 - the same
    from driven.entrypoints.verbs.log import Log  # noqa: PLC0415 - the same
    from driven.entrypoints.verbs.looking import Top  # noqa: PLC0415 - the same
    from driven.entrypoints.verbs.parsing import parse  # noqa: PLC0415 - the same

    if typed[:1] == ["dispatch"]:
        from driven.entrypoints.dispatching import dispatch  # noqa: PLC0415 - as above

        ours, theirs = carrying_out.split_dispatch(typed[1:])
        return dispatch(carrying_out.parse_dispatch(ours), theirs)
    _check_completion(typed)
    verb = parse(typed)
    if isinstance(verb, carrying_out.Run):
        verb.run()
        return FINE
    if isinstance(verb, Top) and not (verb.once or verb.json) and showing.is_terminal():
        showing.follow(answer.page for answer in verb.looks())
        return FINE
    if isinstance(verb, Log) and verb.is_list:
        verb.write()
        return FINE
    assert not isinstance(verb, carrying_out.Dispatch)  # noqa: S101 - told apart above
    report, page, unknown = verb.answer()
    if verb.json:
        # Bytes, as JSON is UTF-8 whatever the terminal is.
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    else:
        showing.show(page)
    if unknown:
        return _failed(unknown, UNUSABLE)
    return FINE if report.is_ok else FAULTY


def _check_completion(typed: list[str]) -> None:
    """Refuse a shell, or a file, that tyro would end for with a traceback."""
    if typed[:1] not in (["--tyro-write-completion"], ["--tyro-print-completion"]) or not typed[1:]:
        return
    if typed[1] not in SHELLS:
        raise MisuseError(f"completion is not written for {typed[1]!r}; name one of {', '.join(SHELLS)}")
    for file in typed[2:3]:
        if file == "-":
            continue  # standard output
        try:
            Path(file).open("ab").close()
        except OSError as error:
            raise MisuseError(f"{file} cannot be written: {error.strerror}; name another file") from error


def _have_streams() -> None:
    """Have standard streams that lead nowhere where the caller closed them: the next file opened would become one."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in the order of their descriptors
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8", closefd=False))


def _adapt_help() -> None:
    """Keep what tyro writes free of what only a terminal can show; it reads these variables when it is imported."""
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        os.environ.setdefault("PYTHON_TYRO_UTF8_BOXES", "False")
    if os.environ.get("NO_COLOR"):
        os.environ.setdefault("PYTHON_TYRO_ANSI_CODES", "False")


def _failed(text: str, exit_code: int) -> int:
    sys.stderr.write(f"driven: {text}\n")
    return exit_code


def _not_told(error: OSError) -> int:
    """End quietly when the reader of a pipe left, as `head` does, and with a word when there is no room."""
    is_pipe = isinstance(error, BrokenPipeError)
    if not is_pipe and (error.errno not in DISK_FULL or error.filename is not None):
        raise error
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter must not fail to flush
    if is_pipe:
        return FAULTY
    return _failed(f"standard output cannot be written: {error.strerror}; make room, or write elsewhere", FAULTY)
