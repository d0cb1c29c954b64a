"""Reactions: what an event at the head leads to. One that fails leaves its siblings alone (F2)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from driven.wire import Failure

if TYPE_CHECKING:
    from driven.bus.sequencer import Entry
    from driven.service.execution import Execution
    from driven.service.intake import Draft
    from driven.service.registry import Registry

logger = logging.getLogger("driven.bus")


def react(
    entry: Entry, registry: Registry, execution: Execution, retries: int
) -> tuple[list[Draft], tuple[Failure, ...]]:
    """Run every reaction to an event, in the order of registration: the commands, and what failed after `retries`."""
    drafts: list[Draft] = []
    failures: list[Failure] = []
    reactions = registry.reactions.get(entry.type_id)
    if reactions:
        event = registry.catalog.decode(entry.type_id, entry.body)
        for reaction in reactions:
            result = execution.react(reaction, event, entry.envelope, 1)
            for attempt in range(2, retries + 2):
                if not isinstance(result, Failure):
                    break
                result = execution.react(reaction, event, entry.envelope, attempt)
            if isinstance(result, Failure):
                logger.warning("Reaction %s to position %d failed: %s", reaction.name, entry.position, result.message)
                failures.append(result)
            else:
                drafts.extend(result)
    return drafts, tuple(failures)
