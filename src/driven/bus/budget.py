"""The budget: how far and how wide the consequences of one root command may go (F5).

An endless loop of messages otherwise shows only as load. A message beyond the budget is parked, with the chain of
causes that led to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.bus.sequencer import Entry
    from driven.settings import BusSettings

SHOWN_CAUSES: Final = 10
"""Nearest causes that a chain shows before it skips to the root."""


def over_budget(entry: Entry, settings: BusSettings, name_of: Callable[[int], str]) -> str | None:
    """Why a message goes beyond what its root may cause; None: it does not."""
    if entry.envelope.hop > settings.max_hops:
        hops = f"it is {entry.envelope.hop} hops from its root and max_hops is {settings.max_hops}"
        return f"{hops}; {_chain(entry, name_of)}"
    if entry.root.descendants > settings.max_descendants:
        return f"its root caused more than max_descendants = {settings.max_descendants}; {_chain(entry, name_of)}"
    return None


def _chain(entry: Entry, name_of: Callable[[int], str]) -> str:
    """The causes of a message, nearest first."""
    links, cause = [], entry.cause
    while cause is not None:
        links.append(f"{name_of(cause.type_id)} at {cause.envelope.position}")
        cause = cause.cause
    if len(links) > SHOWN_CAUSES + 1:
        links = [*links[:SHOWN_CAUSES], "…", links[-1]]
    return "caused by " + ", caused by ".join(links)
