"""Check the wheel as a user gets it: built afresh, installed alone, used with the sources out of reach.

Run by `make wheel-check`. It owns one temporary folder, gone when it ends, in which it builds the wheel, makes an
environment, installs the wheel and runs a tiny application on one worker from there; then the command line, with the
extra it needs. What passes in a checkout and fails here is what packaging breaks: a file left out, an undeclared
dependency, a worker that is found only because the sources are on the path.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 600
ROOTS = {"driven", "driven_worker"}
MUST_HOLD = ("driven/__init__.py", "driven/py.typed", "driven_worker/__main__.py")

TINY_APPLICATION = '''"""A tiny application: one stateless command, computed by a worker."""

import os

from driven import Application, Command, Event, Placement

app = Application("tinyapp")


class Double(Command):
    number: int


class Doubled(Event):
    number: int
    process_id: int


@app.handles(Double, placement=Placement.WORKER, timeout_s=30)
def double(command: Double) -> Doubled:
    return Doubled(number=2 * command.number, process_id=os.getpid())
'''

PROBE = '''"""Open the tiny application on one worker, and see that everything came from this environment."""

import os
import sys
from pathlib import Path

import driven
import driven_worker
from driven import open_bus_sync
from driven.settings import Settings, WorkerSettings

for package in (driven, driven_worker):
    if not Path(package.__file__).resolve().is_relative_to(Path(sys.prefix).resolve()):
        sys.exit(f"{package.__name__} was imported from {package.__file__}, not from the installed wheel")

with open_bus_sync("tinyapp:app", Settings(workers=WorkerSettings(count=1))) as bus:
    from tinyapp import Double

    outcome = bus.submit(Double(number=21)).handled()

(doubled,) = outcome.events
if doubled.number != 42 or doubled.process_id == os.getpid():
    sys.exit(f"expected 42 from a worker, got {doubled} in process {os.getpid()}")
'''


def run(*command: str | Path, cwd: Path) -> str:
    """Run one step out of reach of the sources and return what it printed.

    Raises:
        SystemExit: the step failed; carries the command and everything it said.

    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"wheel check failed at: {' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


def build_wheel(into: Path) -> Path:
    """Build the wheel from the checkout, in an isolated build environment."""
    run(sys.executable, "-m", "build", "--wheel", "--outdir", into, ROOT, cwd=into)
    (wheel,) = into.glob("*.whl")
    return wheel


def check_contents(wheel: Path) -> None:
    """Both roots, the type marker and the licence are in; nothing else is.

    Raises:
        SystemExit: a file is missing, or one is there that should not be.

    """
    names = zipfile.ZipFile(wheel).namelist()
    missing = [name for name in MUST_HOLD if name not in names]
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
        missing.append("LICENSE")
    strangers = [name for name in names if name.split("/")[0] not in ROOTS and ".dist-info/" not in name]
    if missing or strangers:
        sys.exit(f"wheel check failed: {wheel.name}: missing {missing}, not wanted {strangers}")


def make_environment(folder: Path) -> Path:
    """Make an empty environment; return its Python."""
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    return folder / "bin" / "python"


def install(requirement: str, python: Path) -> None:
    """Install something into the environment of that Python."""
    run(python, "-m", "pip", "--disable-pip-version-check", "-q", "install", requirement, cwd=python.parent)


def use_the_library(python: Path, folder: Path) -> None:
    """Run the tiny application on one worker, from a folder that knows no sources."""
    folder.mkdir()
    (folder / "tinyapp.py").write_text(TINY_APPLICATION, "utf-8")
    (folder / "probe.py").write_text(PROBE, "utf-8")
    run(python, "-W", "error", "probe.py", cwd=folder)


def use_the_command_line(python: Path, folder: Path, wheel: Path) -> None:
    """Let the command line say its version, which must be the wheel's, and open the tiny application."""
    driven = python.with_name("driven")
    version = run(driven, "--version", cwd=folder).split()[-1]
    if version != wheel.name.split("-")[1]:
        sys.exit(f"wheel check failed: {wheel.name} says that it is {version}")
    run(driven, "check", "tinyapp:app", "--json", cwd=folder)


def main() -> None:
    """Build, look inside, install, use; the core first, and without what its extras bring."""
    with tempfile.TemporaryDirectory(prefix="driven-wheel-") as name:
        folder = Path(name)
        wheel = build_wheel(folder)
        check_contents(wheel)
        python, elsewhere = make_environment(folder / "environment"), folder / "elsewhere"
        install(str(wheel), python)
        use_the_library(python, elsewhere)
        install(f"{wheel}[cli]", python)
        use_the_command_line(python, elsewhere, wheel)
        print(f"{wheel.name}: holds what it should, installs alone, runs a command on a worker")


if __name__ == "__main__":
    main()
