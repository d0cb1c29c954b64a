"""Async tests on both event loops: asyncio's own, and uvloop's, which differ where threads and signals matter.

A decorated test is run once on each, in a loop of its own, and fails after `PATIENCE_S` seconds instead of hanging.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

PATIENCE_S = 30.0
"""How long anything may take before a test says that it does not come."""

LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test on each loop; its own parameters are fixtures as ever."""

    @functools.wraps(test)
    def run(*, new_loop: Callable[[], asyncio.AbstractEventLoop], **fixtures: object) -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(asyncio.wait_for(test(**fixtures), PATIENCE_S))

    signature = inspect.signature(test)
    own = inspect.Parameter("new_loop", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), own])  # type: ignore[attr-defined]
    marked: Callable[..., None] = LOOPS(run)
    return marked


async def until(claim: Callable[[], bool]) -> None:
    """Let the loop go on until `claim` holds; the test's patience is the bound."""
    while not claim():
        await asyncio.sleep(0)
