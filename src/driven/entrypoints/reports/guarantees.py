"""What kind of worker a bus would get here, and what that kind guarantees: one column of the table in the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driven.configuration import load_settings
from driven.entrypoints.reports.finding import Finding
from driven.errors import SettingsError
from driven.pool.kinds import GUARANTEES, decided_kind, is_gil_enabled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.entrypoints.reports.finding import Machine
    from driven.pool.kinds import Kind
    from driven.settings import WorkerKind


def guarantees(machine: Machine) -> Iterator[Finding]:
    """Find out the kind that the configuration in the current folder and the environment mean here; then its column.

    The application is not known. Where it has timeouts, or a module that turns the GIL on, "auto" means processes.
    """
    try:
        asked = load_settings(environ=machine.environ).workers.kind
    except SettingsError as error:
        yield _unknown(error)
        return
    kind = decided_kind(asked, ())
    yield worker_kind_finding(asked, kind, is_gil_enabled=is_gil_enabled())
    for guarantee in GUARANTEES:
        told: str = getattr(guarantee, kind)
        yield Finding(
            topic="guarantees",
            name="guarantee",
            verdict="ok",
            summary=f"{guarantee.about}: {told}",
            facts={"about": guarantee.about, "kind": kind, "told": told},
        )


def worker_kind_finding(asked: WorkerKind, kind: Kind, *, is_gil_enabled: bool) -> Finding:
    """The kind, why it is that one, and whether it can use more than one CPU."""
    gil = "on" if is_gil_enabled else "off"
    is_slow = kind == "threads" and is_gil_enabled
    return Finding(
        topic="guarantees",
        name="worker_kind",
        verdict="note" if is_slow else "ok",
        summary=f'{kind}, as [workers] kind = "{asked}" and the GIL is {gil}',
        remedy='fine for handlers that release the GIL; for others set [workers] kind = "processes"' if is_slow else "",
        facts={"asked": asked, "kind": kind, "is_gil_enabled": is_gil_enabled},
    )


def _unknown(error: SettingsError) -> Finding:
    return Finding(
        topic="guarantees",
        name="worker_kind",
        verdict="problem",
        summary="cannot be known: " + "; ".join(error.faults),
        remedy="correct the configuration; a bus does not open with it",
        facts={"asked": None, "kind": None, "is_gil_enabled": is_gil_enabled()},
    )
