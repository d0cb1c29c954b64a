"""The organs that admission, retirement and the conductor share; each belongs to one conductor and lives as long."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from driven.bus.agenda import Agenda
    from driven.bus.hazards import Hazards
    from driven.bus.journal import Journal
    from driven.bus.middleware import Hooks
    from driven.bus.order import Order
    from driven.bus.roots import OpenRoots
    from driven.bus.sequencer import Sequencer
    from driven.bus.tally import Tally
    from driven.bus.traffic import WorkerTraffic
    from driven.bus.working_state import WorkingState
    from driven.service.registry import Registry


class Organs(NamedTuple):
    """What a message meets on its way, in the order of the way."""

    registry: Registry
    sequencer: Sequencer
    order: Order
    hazards: Hazards
    parked_keys: dict[str, int]
    """The keys that are parked, each with the position since which it is."""
    traffic: WorkerTraffic
    state: WorkingState
    journal: Journal
    roots: OpenRoots
    hooks: Hooks
    tally: Tally
    agenda: Agenda
