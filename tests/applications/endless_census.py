"""One survey after the other over one file, until it is enough: `python endless_census.py <folder>`.

Each survey has an id, so a program that is started again goes on with the one at which the last was killed. In the
folder are the log, the tree to survey, the number of surveys that have settled, and, at the end, a file `enough`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from census.messages import StartSurvey
from driven import Settings, StoreSettings, WorkerSettings, open_bus

SETTINGS = WorkerSettings(count=2, max_attempts=1_000_000)


async def main(folder: Path) -> None:
    """Until it is enough."""
    settled = folder / "settled"
    number = int(settled.read_text("ascii")) if settled.exists() else 0
    settings = Settings(store=StoreSettings(url=f"sqlite:///{folder / 'driven.db'}"), workers=SETTINGS)
    async with open_bus("census.app:app", settings) as bus:
        while True:
            number += 1
            command = StartSurvey(f"s{number}", str(folder / "tree"))
            receipt = await bus.submit(command, command_id=f"s{number}")
            sys.stdout.write(f"accepted {receipt.id} {receipt.position}\n")
            sys.stdout.flush()
            await receipt.settled()
            (folder / "settled.new").write_text(str(number), "ascii")
            (folder / "settled.new").replace(settled)
            if (folder / "enough").exists():
                return


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
