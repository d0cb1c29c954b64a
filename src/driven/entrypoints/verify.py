"""`driven verify`: the verification with its workers, its progress and its log; what handlers print is kept apart."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from driven.entrypoints.configured import as_typed, configured
from driven.entrypoints.drawing.progress import progress_bar
from driven.entrypoints.loading import load_application
from driven.entrypoints.output import kept_clean
from driven.entrypoints.reading import log_to_read
from driven.program import run
from driven.verification.running import verify

if TYPE_CHECKING:
    from pathlib import Path

    from driven.verification.report import VerificationReport


def verification(  # noqa: PLR0913 - what can be typed
    reference: str,
    *,
    config: Path | None,
    url: str | None,
    first: int,
    last: int | None,
    workers: int | None,
    commands: tuple[str, ...],
) -> VerificationReport:
    """Verify the log that was meant.

    Raises:
        DrivenError: the application, the configuration or the log is not there or not sound, or workers do not start.

    """
    load_application(reference)
    settings = as_typed(configured(config, url), "workers", count=workers)
    store = log_to_read(settings.store)
    with contextlib.closing(store), kept_clean(), progress_bar("verifying") as tell:
        return run(
            verify(
                reference,
                settings,
                store=store,
                first_position=first,
                last_position=last,
                commands=commands,
                tell=tell,
            )
        )
