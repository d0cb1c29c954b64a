"""An application whose workers take as long to start as it takes somebody to make a file ``go``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from driven import Application, Command, Placement
from driven.entrypoints.http import Api

if "driven_worker" in sys.modules:
    while not Path("go").exists():
        time.sleep(0.01)

app = Application("slow_start")


class Go(Command):
    """Do nothing."""


@app.handles(Go, placement=Placement.WORKER, exposed=True)
def go(command: Go) -> None:
    """Do it in a worker."""


api = Api(app)
