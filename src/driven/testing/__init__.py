"""What users' tests and the authors of adapters need; nothing in the framework imports this package.

::

    given(app, ...).when(command).then(event)      scenario       one handler, one reaction, or a whole workflow
    Simulation(app, workers=3, seed=7)             simulation     the real bus, with workers that a seed moves
    FakeLane()                                     fake_lane      workers that a test moves by hand
    Clock()                                        clock          time that stands still until it is told to go on
    faulty_store(store, Fault(5, strike=die))      faults         a store that fails, or dies, at one point
    class TestMyStore(EventStoreContract)          contracts      what every store must do

`driven.testing.plugin` makes fixtures of these for pytest. Names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from driven.testing.aggregate_scenario import given_aggregate
    from driven.testing.clock import Clock
    from driven.testing.contracts import EventStoreContract
    from driven.testing.fake_lane import FakeLane
    from driven.testing.faults import Fault, die, fail, faulty_store
    from driven.testing.scenario import given, history
    from driven.testing.simulation import Faults, Simulation

_HOME = {
    "Clock": "clock",
    "EventStoreContract": "contracts",
    "FakeLane": "fake_lane",
    "Fault": "faults",
    "Faults": "simulation",
    "Simulation": "simulation",
    "die": "faults",
    "fail": "faults",
    "faulty_store": "faults",
    "given": "scenario",
    "given_aggregate": "aggregate_scenario",
    "history": "scenario",
}

__all__ = [
    "Clock",
    "EventStoreContract",
    "FakeLane",
    "Fault",
    "Faults",
    "Simulation",
    "die",
    "fail",
    "faulty_store",
    "given",
    "given_aggregate",
    "history",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever lives under that name
    home = _HOME.get(name)
    if home is None:
        text = f"module 'driven.testing' has no attribute {name!r}"
        raise AttributeError(text)
    found = globals()[name] = getattr(importlib.import_module(f"driven.testing.{home}"), name)
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
