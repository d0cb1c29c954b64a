"""Reactions: what an event at the head leads to. One that fails leaves its siblings alone (F2)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeAlias

from driven.service.intake import Draft
from driven.wire import Failure

if TYPE_CHECKING:
    from driven.bus.sequencer import Entry
    from driven.service.execution import Execution
    from driven.service.registry import Registry

logger = logging.getLogger("driven.bus")

Reacted: TypeAlias = tuple[list[Draft], tuple[Failure, ...]]
"""The commands that follow an event, in order, and what went wrong."""


class Reactions:
    """All reactions of an application; as long-lived as its bus."""

    def __init__(self, registry: Registry, execution: Execution, retries: int) -> None:
        """`retries` is how often a reaction that raises is tried again."""
        self._registry: Final = registry
        self._execution: Final = execution
        self._retries: Final = retries

    def to(self, entry: Entry) -> Reacted:
        """Run every reaction to an event, in the order of registration."""
        drafts: list[Draft] = []
        failures: list[Failure] = []
        reactions = self._registry.reactions.get(entry.type_id)
        if reactions:
            event = self._registry.catalog.decode(entry.type_id, entry.body)
            for reaction in reactions:
                result = self._execution.react(reaction, event, entry.envelope, 1)
                for attempt in range(2, self._retries + 2):
                    if not isinstance(result, Failure):
                        break
                    result = self._execution.react(reaction, event, entry.envelope, attempt)
                if isinstance(result, Failure):
                    logger.warning(
                        "Reaction %s to position %d failed: %s", reaction.name, entry.position, result.message
                    )
                    failures.append(result)
                else:
                    drafts.extend(result)
        return drafts, tuple(failures)
