"""What a worker imports is what the bus has, or the bus does not open: layouts, swapped bindings, and scripts."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION = """
from driven import Application, Command, Event, Placement

app = Application("shop")

class Clock:
    def now(self): return "real"

class StoppedClock(Clock):
    def now(self): return "stopped"

app.binds(Clock)

class Ring(Command):
    pass

class Rang(Event):
    at: str

def swapped():
    twin = app.copy()
    twin.binds(Clock, to=StoppedClock)
    return twin
"""
HANDLERS = """
from driven import Placement
from shop_app import Clock, Rang, Ring, app

@app.handles(Ring, placement=Placement.WORKER)
def ring(command: Ring, clock: Clock) -> Rang:
    return Rang(clock.now())
"""
SETTINGS = (
    "from driven import Settings, WorkerSettings, open_bus_sync\nsettings = Settings(workers=WorkerSettings(count=1))\n"
)
RUN = "with open_bus_sync({application}, settings) as bus:\n    print(bus.handle(Ring()).events[0].at)\n"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """An application in one module, and its handlers in another."""
    (tmp_path / "shop_app.py").write_text(APPLICATION)
    (tmp_path / "shop_handlers.py").write_text(HANDLERS)
    return tmp_path


def ran(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Run a main program in the folder."""
    (folder / "main.py").write_text(SETTINGS + program)
    command = [sys.executable, "-W", "error", "main.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_workers_import_the_modules_that_handlers_are_defined_in(shop: Path) -> None:
    """R1, W1: the application's module need not know who registers handlers with it."""
    done = ran(shop, "import shop_handlers\nfrom shop_app import Ring, app\n" + RUN.format(application="app"))

    assert done.stdout == "real\n", done.stderr


def test_a_binding_that_only_the_main_program_swapped_is_refused(shop: Path) -> None:
    """O6: else a command's outcome would depend on where it runs; the culprit and the remedy are named."""
    swap = "app.binds(Clock, to=StoppedClock)\n"
    imports = "import shop_handlers\nfrom shop_app import Clock, Ring, StoppedClock, app\n"

    done = ran(shop, imports + swap + RUN.format(application="app"))

    assert done.returncode == 1
    assert "the bus has shop_app.Clock bound to shop_app.StoppedClock in scope APP" in done.stderr
    assert "the worker has shop_app.Clock bound to shop_app.Clock in scope APP" in done.stderr
    assert '"module:function"' in done.stderr


def test_a_binding_that_is_swapped_in_a_function_of_a_module_holds_in_workers(shop: Path) -> None:
    """O6: workers call the same function."""
    imports = "import shop_handlers\nfrom shop_app import Ring\n"

    done = ran(shop, imports + RUN.format(application='"shop_app:swapped"'))

    assert done.stdout == "stopped\n", done.stderr


def test_an_application_that_a_script_makes_itself_is_refused_with_what_to_move(shop: Path) -> None:
    """R1, W1: a worker does not run the script, and there is no guard to forget."""
    done = ran(
        shop,
        APPLICATION
        + HANDLERS.replace("from shop_app import Clock, Rang, Ring, app", "")
        + RUN.format(application="app"),
    )

    assert done.returncode == 1
    assert "__main__.ring is defined in __main__" in done.stderr
    assert "the application is made in __main__" in done.stderr
    assert "move it to a module and import that" in done.stderr
    assert "count = 0" in done.stderr
