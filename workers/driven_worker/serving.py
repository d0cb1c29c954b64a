"""The worker of a bus: the application that its assignment names, made ready once, at startup."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from driven.service.execution import Execution
from driven.service.registry import build_registry, resolve_application
from driven.service.warming import warm_up
from driven.service.wiring import wiring_of
from driven.wire import Hello
from driven_worker.commands import CommandWork

if TYPE_CHECKING:
    from driven.service.context import TellProgress
    from driven.service.registry import Registry
    from driven.wire import Assignment


def application_work(assignment: Assignment, reference: str, tell: TellProgress) -> tuple[CommandWork, Hello]:
    """Import the application; return what runs its commands, and what to say to the bus.

    `tell` hears how far they are.
    """
    for module in assignment.modules:  # first: the reference may name a function that copies what they complete
        importlib.import_module(module)
    registry = build_registry(resolve_application(reference))
    warm_up(registry)
    work = CommandWork(Execution(registry, assignment.log_id, tell), registry.injector.close)
    return work, Hello(wiring_of(registry), _source(reference, registry))


def _source(reference: str, registry: Registry) -> str:
    """The file that the application was imported from, for whoever wonders which code a worker runs."""
    named = sys.modules.get(reference.partition(":")[0])
    found = getattr(named, "__file__", None) or registry.application.module
    return str(found)
