"""Reactions: what an event at the head leads to. One that fails leaves its siblings alone (F2)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from driven.bus.sequencer import Repeat
from driven.wire import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driven.bus.sequencer import Entry
    from driven.service.execution import Execution
    from driven.service.handlers import Reaction
    from driven.service.intake import Draft
    from driven.service.registry import Registry

logger = logging.getLogger("driven.bus")

GONE: Final = "driven.errors.MalformedMessage"
"""The type of failure of a reaction that is to run again and is not there."""


class Reacted(NamedTuple):
    """What follows an event, and what went wrong."""

    drafts: list[Draft]
    """The commands that follow, in order."""
    failures: tuple[Failure, ...]
    later: list[Draft]
    """Those that follow when they are due."""
    failed: tuple[str, ...]
    """The names of the reactions that failed, one for each failure."""


class Reactions:
    """All reactions of an application; as long-lived as its bus."""

    def __init__(self, registry: Registry, execution: Execution, retries: int) -> None:
        """`retries` is how often a reaction that raises is tried again."""
        self._registry: Final = registry
        self._execution: Final = execution
        self._retries: Final = retries
        self._with_timers: Final = frozenset(
            type_id
            for type_id, reactions in registry.reactions.items()
            if any(one.signature.later for one in reactions)
        )
        """Events that something follows later."""

    def to(self, entry: Entry) -> Reacted:
        """Run every reaction to an event, in the order of registration; of one that was parked, those that failed."""
        drafts: list[Draft] = []
        failures: list[Failure] = []
        failed: list[str] = []
        reactions = self._registry.reactions.get(entry.type_id, ())
        if not reactions and entry.aside is None:  # the common case, made short
            return Reacted(drafts, (), drafts, ())
        if isinstance(entry.aside, Repeat):
            reactions, failed = _named(reactions, entry.aside.reactions)
            failures = [Failure(GONE, f"there is no reaction {name} any more") for name in failed]
        event = self._registry.catalog.decode(entry.type_id, entry.body) if reactions else None
        for reaction in reactions:
            result = self._execution.react(reaction, event, entry.envelope, 1)
            for attempt in range(2, self._retries + 2):
                if not isinstance(result, Failure):
                    break
                result = self._execution.react(reaction, event, entry.envelope, attempt)
            if isinstance(result, Failure):
                logger.warning("Reaction %s to position %d failed: %s", reaction.name, entry.position, result.message)
                failures.append(result)
                failed.append(reaction.name)
            else:
                drafts.extend(result)
        if entry.type_id not in self._with_timers:
            return Reacted(drafts, tuple(failures), [], tuple(failed))
        later = [draft for draft in drafts if draft.due_at_ns]
        at_once = [draft for draft in drafts if not draft.due_at_ns]
        return Reacted(at_once, tuple(failures), later, tuple(failed))


def _named(reactions: Sequence[Reaction], names: Sequence[str]) -> tuple[tuple[Reaction, ...], list[str]]:
    """Those of these names, in the order of registration; and the names of which there is none."""
    found = tuple(one for one in reactions if one.name in names)
    known = {one.name for one in found}
    return found, [name for name in names if name not in known]
