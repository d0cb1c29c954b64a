"""What this machine, container or sandbox gives to a bus: everything that Driven depends on, looked at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

import driven
from driven.entrypoints.reports.finding import Finding
from driven.entrypoints.reports.guarantees import guarantees
from driven.entrypoints.reports.interpreter import interpreter
from driven.entrypoints.reports.limits import limits
from driven.entrypoints.reports.processors import processors
from driven.entrypoints.reports.shared_memory import shared_memory
from driven.entrypoints.reports.worker_program import worker_program

if TYPE_CHECKING:
    from driven.entrypoints.reports.finding import Machine


class DoctorReport(msgspec.Struct, frozen=True):
    """What `driven doctor` finds."""

    version: str
    """The version of Driven."""
    findings: tuple[Finding, ...]

    @property
    def is_ok(self) -> bool:
        """Whether nothing keeps Driven from working; notes do not."""
        return all(finding.verdict != "problem" for finding in self.findings)


def doctor_report(machine: Machine) -> DoctorReport:
    """Look at everything; with as many workers in mind as this machine would get by itself."""
    of_cpus = tuple(processors(machine))
    workers = _workers(of_cpus)
    return DoctorReport(
        version=driven.__version__,
        findings=(
            *interpreter(),
            *of_cpus,
            *shared_memory(machine, workers),
            *worker_program(machine),
            *limits(machine, workers),
            *guarantees(machine),
        ),
    )


def _workers(of_cpus: tuple[Finding, ...]) -> int:
    """As many as there are CPUs; one where those cannot be counted."""
    count = next((finding.facts.get("count") for finding in of_cpus if finding.name == "cpus"), None)
    return count if isinstance(count, int) else 1
