"""Readiness: whether to send commands here, and why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from driven.bus.message_bus import MessageBus
    from driven.settings import HttpSettings


def readiness(bus: MessageBus | None, settings: HttpSettings) -> str:
    """Why commands are better sent elsewhere now; empty: send them."""
    if bus is None:
        return "the bus is not open: it starts, recovers or has ended"
    if not bus.is_open:
        return "the bus takes no more commands"
    seen = bus.statistics()
    if seen.head is not None and seen.head.age_s > settings.head_timeout_s:
        return f"the head of the queue has been blocked for {seen.head.age_s:.0f} s"
    if seen.pool is not None:
        without = [group.name for group in seen.pool.groups if group.wanted and not group.ready]
        if without:
            return f"no worker is up in group {', '.join(without)}"
    return ""
