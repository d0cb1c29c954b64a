"""The budget: how far and how wide the consequences of one root command may go (F5).

An endless loop of messages otherwise shows only as load. A message beyond the budget is parked, with the chain of
causes that led to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.bus.sequencer import Entry
    from driven.settings import BusSettings


def over_budget(entry: Entry, settings: BusSettings, name_of: Callable[[int], str]) -> str | None:
    """Why a message goes beyond what its root may cause; None: it does not."""
    if entry.envelope.hop > settings.max_hops:
        hops = f"it is {entry.envelope.hop} hops from its root and max_hops is {settings.max_hops}"
        return f"{hops}; {_chain(entry, name_of)}"
    if entry.root.descendants > settings.max_descendants:
        return f"its root caused more than max_descendants = {settings.max_descendants}; {_chain(entry, name_of)}"
    return None


def _chain(entry: Entry, name_of: Callable[[int], str]) -> str:
    """The causes of a message, nearest first; what lies between those that it remembers and the root is left out."""
    causes, root = entry.causes, entry.root
    links = [f"{name_of(type_id)} at {position}" for type_id, position in zip(causes[::2], causes[1::2], strict=True)]
    left_out = entry.envelope.hop - len(links) - 1
    if left_out > 0:
        links.append("…")
    if left_out >= 0:
        links.append(f"{name_of(root.draft.type_id)} at {root.position}")
    return "caused by " + ", caused by ".join(links)
