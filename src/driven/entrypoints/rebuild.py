"""`driven rebuild`: projections built anew from the log of a service that is down, and a bar that says how far."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from driven.entrypoints.configured import configured
from driven.entrypoints.drawing.progress import progress_bar
from driven.entrypoints.loading import load_application
from driven.entrypoints.output import kept_clean
from driven.entrypoints.reading import log_to_read
from driven.rebuilding import Rebuilt, rebuild

if TYPE_CHECKING:
    from pathlib import Path


class RebuildReport(msgspec.Struct, frozen=True):
    """What `driven rebuild` has done."""

    projections: tuple[Rebuilt, ...]

    @property
    def is_ok(self) -> bool:
        """One that raises ends the verb."""
        return True


def rebuilding(reference: str, projections: tuple[str, ...], *, config: Path | None, url: str | None) -> RebuildReport:
    """Build anew what was named; all, when nothing was.

    Raises:
        DrivenError: the application, the configuration or the log is not there or not sound, or a projection raised.

    """
    application = load_application(reference)
    log = log_to_read(configured(config, url).store)
    with kept_clean(), progress_bar("rebuilding") as tell:
        done = rebuild(
            application, *projections, store=log, tell=lambda progress: tell(progress.position, progress.end)
        )
    return RebuildReport(done)
