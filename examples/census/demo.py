"""The demonstration: the census with workers, then the same inline, and whether both left the same log.

Exit codes: 0 all is well; 1 the two logs differ, or the framework could not do its work; 2 a wrong argument or
a root that cannot be surveyed; 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace
from rich.console import Console
from rich.text import Text

from census import errors
from census.app import app
from census.look import look_of, open_console, printable
from census.messages import StartSurvey
from census.progress import NoView, view_for, watching
from census.report import Run, comparison, ranking, summary
from census.table import FileTable
from census.tree import standard_library
from driven import CommandFailed, DrivenError, load_settings, open_bus, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal

    from rich.console import RenderableType

    from census.progress import View
    from driven import Application, Settings

SURVEY_ID = "demo"
"""The same in every run: two runs of one tree are to leave the same log, to the byte."""

LOGS = ("driven.db", "inline.db")
"""The logs of the run with workers and of the one without."""

FAILED, REFUSED = 1, 2
_REFUSALS = {f"{kind.__module__}.{kind.__qualname__}" for kind in errors.SurveyRefused.__subclasses__()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments`, by default those of the process; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        with _folder_of_logs(options.keep) as folder:
            return run(_as_json(options, folder) if options.json else _as_report(options, folder))
    except SystemExit:  # told to end by a signal
        _complain("interrupted")
        raise
    except CommandFailed as error:
        is_refused = error.error_type in _REFUSALS
        _complain(f"error: {error.error_message if is_refused else error}")
        return REFUSED if is_refused else FAILED
    except errors.LogsThere as error:
        _complain(f"error: {error}")
        return REFUSED
    except (DrivenError, errors.SurveyIncomplete) as error:
        _complain(f"error: {error}")
        return FAILED


async def _as_report(options: argparse.Namespace, folder: Path) -> int:
    console = open_console()
    look = look_of(console)

    def show(*parts: RenderableType) -> None:
        for part in parts:
            look.show(console, part)

    async def survey(workers: int | Literal["auto"], title: str) -> Run:
        made = await run_census(app, options.root, workers, view_for(console, title), folder)
        show(f"{made.rows.done:,} files in {made.seconds:.2f} s, {made.name}", "")
        return made

    show(Text(f"Census of {printable(options.root)}", "bold"))
    first = await survey(options.workers, "with workers" if options.workers else "inline")
    show(ranking(first.rows, options.top, look, console.width), "", summary(first.rows, look, console.width), "")
    if _is_single(options):
        show(Text(f"log digest  {first.digest}"))
        return 0
    show(Text("The same once more, without workers", "bold"))
    inline = await survey(0, "inline")
    show(comparison(first, inline, look))
    return exit_code(first, inline)


async def _as_json(options: argparse.Namespace, folder: Path) -> int:
    first = await run_census(app, options.root, options.workers, NoView(), folder)
    inline = None if _is_single(options) else await run_census(app, options.root, 0, NoView(), folder)
    result = {"root": options.root, **_as_dict(first), "inline": inline and _as_dict(inline)}
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    return exit_code(first, inline)


@contextlib.contextmanager
def _folder_of_logs(keep: Path | None) -> Iterator[Path]:
    """Where the logs are while the demonstration runs, and afterwards where they are to be kept."""
    if keep is not None:
        if logs := [name for name in LOGS if (keep / name).exists()]:
            raise errors.LogsThere(keep, logs)
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="census-") as folder:
        yield Path(folder)


async def run_census(
    application: Application, root: str, workers: int | Literal["auto"], view: View, folder: Path
) -> Run:
    """Survey `root` on a bus of its own, timed from before the bus opens until everything has settled.

    Its log is a file in `folder`, one of `LOGS`: the first with workers, the second without.

    Raises:
        CommandFailed: the survey was refused, or its handler is broken.
        SurveyIncomplete: measuring some of the files failed.

    """
    started_s = time.perf_counter()
    async with open_bus(application, _settings(workers, folder / LOGS[not workers])) as bus:
        rows = bus.resolve(FileTable).survey(SURVEY_ID)
        async with watching(bus, rows, view):
            receipt = await bus.submit(StartSurvey(SURVEY_ID, root))
            await receipt.handled()
            await receipt.settled()
        seconds = time.perf_counter() - started_s
        if not rows.is_finished:
            raise errors.SurveyIncomplete(rows.done, rows.expected)
        return Run(len(bus.statistics().workers), seconds, bus.log_digest(), rows)


def _settings(workers: int | Literal["auto"], log: Path) -> Settings:
    """Those of driven.toml and of the environment, but for what the demonstration is about."""
    settings = load_settings()
    return replace(
        settings,
        # Nothing is to be drained: whoever interrupts the run does not want the rest of it.
        bus=replace(settings.bus, drain_timeout_s=0.0),
        store=replace(settings.store, url=f"sqlite:///{log.absolute()}"),
        workers=replace(settings.workers, count=workers),
    )


def _is_single(options: argparse.Namespace) -> bool:
    return bool(options.once) or options.workers == 0


def _as_dict(run: Run) -> dict[str, object]:
    return {
        "workers": run.workers,
        "seconds": round(run.seconds, 3),
        "files": run.rows.done,
        "unreadable": len(run.rows.unreadable),
        "digest": run.digest,
    }


def exit_code(first: Run, inline: Run | None) -> int:
    """0, or `FAILED` where both runs were made and their logs are not the same."""
    return 0 if inline is None or first.digest == inline.digest else FAILED


def _complain(text: str) -> None:
    Console(stderr=True, highlight=False).print(Text(text, "red"), soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m census", description="A census of Python source code.")
    parser.add_argument(
        "root", nargs="?", type=_absolute, default=standard_library(), help="folder to survey; default: %(default)s"
    )
    parser.add_argument(
        "--workers",
        type=_worker_count,
        default="auto",
        metavar="N",
        help="how many, or auto (the default); 0: inline only",
    )
    parser.add_argument("--top", type=_positive, default=15, metavar="N", help="files to rank; default: %(default)s")
    parser.add_argument("--once", action="store_true", help="skip the second run, which has no workers")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep the logs there, for driven log and driven verify"
    )
    parser.add_argument("--json", action="store_true", help="print the figures of both runs as JSON, and nothing else")
    return parser


def _absolute(text: str) -> str:
    return str(Path(text).absolute())


def _worker_count(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if text.isdecimal():
        return int(text)
    message = f"{text!r} is no number of workers; give 0, 1, 2, ... or auto"
    raise argparse.ArgumentTypeError(message)


def _positive(text: str) -> int:
    if text.isdecimal() and int(text):
        return int(text)
    message = f"{text!r} is no number of files; give 1 or more"
    raise argparse.ArgumentTypeError(message)
