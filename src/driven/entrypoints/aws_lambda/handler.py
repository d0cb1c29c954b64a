"""The handler of a Lambda function: one event, one bus, everything settled before the answer.

::

    event --kind--> commands --> bus (opened for this event, or kept) --> settled --> answer; workers and threads gone

By default the bus is opened for each event and closed before the answer: Lambda freezes the sandbox between events, and
nothing of ours is there to be frozen. ``keeps_bus=True`` keeps it from one event to the next, with its workers.

There is no ``/dev/shm`` on Lambda: rings lie in memfds. Workers are started only where the memory size gives more than
one vCPU.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from driven.bootstrap import open_bus
from driven.configuration import load_settings
from driven.domain.arrays import to_plain
from driven.entrypoints.aws_lambda.batches import SqsBatch, afresh, carry_out
from driven.entrypoints.aws_lambda.events import Unintelligible, is_http
from driven.entrypoints.aws_lambda.sources import Sources, direct, of_eventbridge, of_s3
from driven.program import new_event_loop
from driven.service.registry import build_registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.bus.message_bus import MessageBus
    from driven.domain.messages import Event
    from driven.entrypoints.http import Api, HttpApi
    from driven.service.application import Application
    from driven.settings import Settings

logger = logging.getLogger("driven.aws_lambda")

MARGIN_S: Final = 1.0
"""How long before the end of its time an invocation gives up waiting, in seconds: what is left is for closing."""

LONGEST_S: Final = 900.0
"""How long Lambda lets anything run, in seconds."""


def lambda_handler(
    application: Application,
    settings: Settings | None = None,
    *,
    api: Api | None = None,
    sources: Sources | None = None,
    keeps_bus: bool = False,
) -> Function:
    """What the configuration of a Lambda function names as its handler.

    Args:
        application: whose commands events become.
        settings: the configuration; None: ``driven.toml`` beside the function, and the environment.
        api: the HTTP face, for API Gateway and function URLs; None: the exposed commands alone. Needs the extra `http`.
        sources: what records of SQS, EventBridge and S3 mean.
        keeps_bus: keep the bus, its threads and its workers from one event to the next.

    Raises:
        RegistrationError, SettingsError: the application or the configuration is faulty; now, and not with an event.

    """
    return Function(application, settings or load_settings(), api, sources or Sources(), keeps_bus=keeps_bus)


class Function:
    """One Lambda function; as long-lived as its sandbox."""

    def __init__(
        self, application: Application, settings: Settings, api: Api | None, sources: Sources, *, keeps_bus: bool
    ) -> None:
        """Check the application, as at import time nobody waits for an answer."""
        registry = build_registry(application)
        registry.injector.close()
        self._catalog: Final = registry.catalog
        self._application: Final = application
        self._settings: Final = settings
        self._api: Final = api
        self._sources: Final = sources
        self._keeps_bus: Final = keeps_bus
        self._http: HttpApi | None = None
        self._kept: _Kept | None = None

    def __call__(self, event: Mapping[str, Any], context: Any) -> Any:  # noqa: ANN401 - as AWS has it
        """Carry out one event.

        Raises:
            Unintelligible: it stands for no command.
            CommandFailed, CommandParked: the command did not do what it was told; AWS delivers it again, or tells
                whoever invoked the function. Of SQS and HTTP that is told in the answer instead.
            TimeoutError: time ran out. Of a batch of SQS what is not done by then is given back instead.

        """
        left_s = context.get_remaining_time_in_millis() / 1_000 - MARGIN_S if context is not None else None
        kept = self._kept or _Kept(self._application, self._settings)
        self._kept = kept if self._keeps_bus else None
        try:
            answer = kept.run(lambda bus: self._carry_out(bus, event), left_s)
        except BaseException:
            if self._kept is None or not kept.is_sound:  # the next event gets a new one
                self._kept = None
                kept.close()
            raise
        if self._kept is None:
            kept.close()
        return answer

    def close(self) -> None:
        """Close a bus that is kept; for tests, as Lambda tells nobody when a sandbox ends."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    async def _carry_out(self, bus: MessageBus, event: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever the kind
        if not isinstance(event, Mapping):
            raise Unintelligible("the event", f"it is a {type(event).__name__}, and no object")
        if is_http(event):
            return await self._served(bus, event)
        records = event.get("Records")
        if isinstance(records, list) and records:
            return await self._records(bus, records)
        if "detail-type" in event:
            return await _outcomes(bus, await afresh(bus, of_eventbridge(event, self._sources, self._catalog)))
        asked = direct(event, self._catalog)
        return (await _outcomes(bus, [asked]))[0]

    async def _records(self, bus: MessageBus, records: list[Mapping[str, Any]]) -> Any:  # noqa: ANN401 - as above
        if not all(isinstance(record, Mapping) for record in records):
            raise Unintelligible("the event", "one of its records is no object")
        source = records[0].get("eventSource")
        if source == "aws:sqs":
            failed = await SqsBatch(bus, self._sources, self._catalog).carry_out(records)
            return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}
        if source == "aws:s3":
            asked = [one for record in records for one in of_s3(record, self._sources)]
            return await _outcomes(bus, await afresh(bus, asked))
        raise Unintelligible("the event", f"its records are of {source!r}; this takes SQS and S3")

    async def _served(self, bus: MessageBus, event: Mapping[str, Any]) -> dict[str, Any]:
        from driven.entrypoints.aws_lambda.bridge import answer  # noqa: PLC0415 - only where there is HTTP
        from driven.entrypoints.http import Api, asgi  # noqa: PLC0415 - the same: it costs time at a cold start

        if self._http is None:
            http = msgspec.structs.replace(self._settings.http, wait_s=LONGEST_S)  # nothing is left for later here
            settings = msgspec.structs.replace(self._settings, http=http)
            self._http = asgi(self._api or Api(self._application), settings)
        async with self._http.opened(bus):
            told = await answer(self._http, event)
            await self._http.settled()
        return told


async def _outcomes(bus: MessageBus, asked: list[Any]) -> list[dict[str, Any]]:
    outcomes = await carry_out(bus, asked)
    return [{"position": one.position, "events": [_plain(event) for event in one.events]} for one in outcomes]


def _plain(event: Event) -> Any:  # noqa: ANN401 - whatever JSON can hold
    return msgspec.to_builtins(event, enc_hook=to_plain)


class _Kept:
    """A bus in an event loop of its own, which turns only while there is an event."""

    def __init__(self, application: Application, settings: Settings) -> None:
        self.is_sound = False
        """Whether the next event can have it."""
        self._is_late = False
        self._loop: Final = new_event_loop()
        self._stack: Final = contextlib.AsyncExitStack()
        self._opening: Final = open_bus(application, settings)
        self._bus: MessageBus | None = None

    def run(self, work: Callable[[MessageBus], Any], left_s: float | None) -> Any:  # noqa: ANN401 - whatever it gives
        asyncio.set_event_loop(self._loop)
        try:
            return self._loop.run_until_complete(self._within(work, left_s))
        finally:
            asyncio.set_event_loop(None)

    async def _within(self, work: Callable[[MessageBus], Any], left_s: float | None) -> Any:  # noqa: ANN401 - as above
        if self._bus is None:
            self._bus = await self._stack.enter_async_context(self._opening)
        limit = asyncio.timeout(left_s)
        try:
            async with limit:
                return await work(self._bus)
        finally:
            self.is_sound = self._bus.is_open
            self._is_late = limit.expired()

    def close(self) -> None:
        """Close the bus, and with it everything that it started; without draining when no time is left for that."""
        try:
            left_by = (TimeoutError, TimeoutError(), None) if self._is_late else (None, None, None)
            self._loop.run_until_complete(self._stack.__aexit__(*left_by))
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()
