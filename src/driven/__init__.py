"""Driven: commands, events and reactions in strict order, with their heavy work done by all CPUs.

Everything public is here. Names are imported when they are first used: a worker that needs `Application` and
`Command` never loads the bus, and ``import driven`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from driven.bootstrap import open_bus, open_bus_sync
    from driven.bus.auto_placement import PlacementDecision
    from driven.bus.due_messages import DueCommand, DueMessages
    from driven.bus.following.notifier_statistics import NotifierStatistics
    from driven.bus.following.rebuild import Rebuild, RebuildProgress
    from driven.bus.histogram import Durations
    from driven.bus.lane import GroupStatistics, Lane, LaneListener, PoolStatistics, Progress, Vitals
    from driven.bus.message_bus import MessageBus
    from driven.bus.middleware import Middleware
    from driven.bus.parked_messages import ParkedDetails, ParkedMessage, ParkedMessages
    from driven.bus.projections import ProjectionStatistics
    from driven.bus.receipts import CommandOutcome, Receipt, Settlement
    from driven.bus.shared_statistics import read_statistics
    from driven.bus.statistics import BusStatistics, CommandStatistics, HeadStatistics, WorkerStatistics
    from driven.bus.sync_bus import SyncBus, SyncDueMessages, SyncParkedMessages, SyncRebuild, SyncReceipt
    from driven.configuration import load_settings
    from driven.domain.aggregate import Aggregate
    from driven.domain.event_sourced import EventSourcedAggregate, applies
    from driven.domain.later import Later
    from driven.domain.messages import Command, Envelope, Event, Message
    from driven.errors import (
        AggregateExists,
        AggregateNotFound,
        BusClosed,
        BusFull,
        CommandFailed,
        CommandIdReused,
        CommandParked,
        DrivenError,
        EmptyKey,
        EventNotApplied,
        HandlerError,
        InfrastructureError,
        LogBusy,
        MalformedMessage,
        MisuseError,
        NothingDue,
        NothingParked,
        ProjectionStopped,
        ReentrantDispatch,
        RegistrationError,
        RingBroken,
        SegmentUnavailable,
        SettingsError,
        StatisticsUnavailable,
        StoreFailed,
        UndeclaredEvent,
        UnknownCommand,
        UnreadableMessage,
        WorkersUnavailable,
        WrongReturn,
    )
    from driven.executor.errors import (
        CallFailed,
        CallUnpicklable,
        CallUnreadable,
        ExecutorBroken,
        ExecutorClosed,
        WorkerDied,
    )
    from driven.executor.executor import Executor, ExecutorStatistics
    from driven.placement import Placement
    from driven.program import run
    from driven.rebuilding import Rebuilt, rebuild
    from driven.service.application import Application
    from driven.service.context import Context
    from driven.service.event_store import EventStore, log_digest
    from driven.service.handlers import OnExhausted
    from driven.service.injection import Scope
    from driven.service.notifier import Delivery
    from driven.service.projection import EditionLabel, Projection
    from driven.service.repository import Repository
    from driven.service.tables import Tables
    from driven.service.unit_of_work import UnitOfWork
    from driven.settings import (
        BusSettings,
        CommandSettings,
        GroupSettings,
        HttpSettings,
        Settings,
        StoreSettings,
        WorkerSettings,
    )
    from driven.verification.report import VerificationReport
    from driven.verification.running import verify

_HOME = {
    "driven.bootstrap": ("open_bus", "open_bus_sync"),
    "driven.bus.auto_placement": ("PlacementDecision",),
    "driven.bus.due_messages": ("DueCommand", "DueMessages"),
    "driven.bus.following.notifier_statistics": ("NotifierStatistics",),
    "driven.bus.following.rebuild": ("Rebuild", "RebuildProgress"),
    "driven.bus.histogram": ("Durations",),
    "driven.bus.lane": ("GroupStatistics", "Lane", "LaneListener", "PoolStatistics", "Progress", "Vitals"),
    "driven.bus.message_bus": ("MessageBus",),
    "driven.bus.middleware": ("Middleware",),
    "driven.bus.parked_messages": ("ParkedDetails", "ParkedMessage", "ParkedMessages"),
    "driven.bus.projections": ("ProjectionStatistics",),
    "driven.bus.receipts": ("CommandOutcome", "Receipt", "Settlement"),
    "driven.bus.shared_statistics": ("read_statistics",),
    "driven.bus.statistics": (
        "BusStatistics",
        "CommandStatistics",
        "HeadStatistics",
        "WorkerStatistics",
    ),
    "driven.bus.sync_bus": ("SyncBus", "SyncDueMessages", "SyncParkedMessages", "SyncRebuild", "SyncReceipt"),
    "driven.configuration": ("load_settings",),
    "driven.domain.aggregate": ("Aggregate",),
    "driven.domain.event_sourced": ("EventSourcedAggregate", "applies"),
    "driven.domain.later": ("Later",),
    "driven.domain.messages": ("Command", "Envelope", "Event", "Message"),
    "driven.errors": (
        "AggregateExists",
        "AggregateNotFound",
        "BusClosed",
        "BusFull",
        "CommandFailed",
        "CommandIdReused",
        "CommandParked",
        "Delivery",
        "DrivenError",
        "EmptyKey",
        "EventNotApplied",
        "HandlerError",
        "InfrastructureError",
        "LogBusy",
        "MalformedMessage",
        "MisuseError",
        "NothingDue",
        "NothingParked",
        "ProjectionStopped",
        "ReentrantDispatch",
        "RegistrationError",
        "RingBroken",
        "SegmentUnavailable",
        "SettingsError",
        "StatisticsUnavailable",
        "StoreFailed",
        "UndeclaredEvent",
        "UnknownCommand",
        "UnreadableMessage",
        "WorkersUnavailable",
        "WrongReturn",
    ),
    "driven.executor.errors": (
        "CallFailed",
        "CallUnpicklable",
        "CallUnreadable",
        "ExecutorBroken",
        "ExecutorClosed",
        "WorkerDied",
    ),
    "driven.executor.executor": ("Executor", "ExecutorStatistics"),
    "driven.placement": ("Placement",),
    "driven.program": ("run",),
    "driven.rebuilding": ("Rebuilt", "rebuild"),
    "driven.service.application": ("Application",),
    "driven.service.context": ("Context",),
    "driven.service.event_store": ("EventStore", "log_digest"),
    "driven.service.handlers": ("OnExhausted",),
    "driven.service.injection": ("Scope",),
    "driven.service.notifier": ("Delivery",),
    "driven.service.projection": ("EditionLabel", "Projection"),
    "driven.service.repository": ("Repository",),
    "driven.service.tables": ("Tables",),
    "driven.service.unit_of_work": ("UnitOfWork",),
    "driven.settings": (
        "BusSettings",
        "CommandSettings",
        "GroupSettings",
        "HttpSettings",
        "Settings",
        "StoreSettings",
        "WorkerSettings",
    ),
    "driven.verification.report": ("VerificationReport",),
    "driven.verification.running": ("verify",),
}

_HOME_OF = {name: module for module, names in _HOME.items() for name in names}

__version__ = "0.1.0"

__all__ = [
    "Aggregate",
    "AggregateExists",
    "AggregateNotFound",
    "Application",
    "BusClosed",
    "BusFull",
    "BusSettings",
    "BusStatistics",
    "CallFailed",
    "CallUnpicklable",
    "CallUnreadable",
    "Command",
    "CommandFailed",
    "CommandIdReused",
    "CommandOutcome",
    "CommandParked",
    "CommandSettings",
    "CommandStatistics",
    "Context",
    "Delivery",
    "DrivenError",
    "DueCommand",
    "DueMessages",
    "Durations",
    "EditionLabel",
    "EmptyKey",
    "Envelope",
    "Event",
    "EventNotApplied",
    "EventSourcedAggregate",
    "EventStore",
    "Executor",
    "ExecutorBroken",
    "ExecutorClosed",
    "ExecutorStatistics",
    "GroupSettings",
    "GroupStatistics",
    "HandlerError",
    "HeadStatistics",
    "HttpSettings",
    "InfrastructureError",
    "Lane",
    "LaneListener",
    "Later",
    "LogBusy",
    "MalformedMessage",
    "Message",
    "MessageBus",
    "Middleware",
    "MisuseError",
    "NothingDue",
    "NothingParked",
    "NotifierStatistics",
    "OnExhausted",
    "ParkedDetails",
    "ParkedMessage",
    "ParkedMessages",
    "Placement",
    "PlacementDecision",
    "PoolStatistics",
    "Progress",
    "Projection",
    "ProjectionStatistics",
    "ProjectionStopped",
    "Rebuild",
    "RebuildProgress",
    "Rebuilt",
    "Receipt",
    "ReentrantDispatch",
    "RegistrationError",
    "Repository",
    "RingBroken",
    "Scope",
    "SegmentUnavailable",
    "Settings",
    "SettingsError",
    "Settlement",
    "StatisticsUnavailable",
    "StoreFailed",
    "StoreSettings",
    "SyncBus",
    "SyncDueMessages",
    "SyncParkedMessages",
    "SyncRebuild",
    "SyncReceipt",
    "Tables",
    "UndeclaredEvent",
    "UnitOfWork",
    "UnknownCommand",
    "UnreadableMessage",
    "VerificationReport",
    "Vitals",
    "WorkerDied",
    "WorkerSettings",
    "WorkerStatistics",
    "WorkersUnavailable",
    "WrongReturn",
    "applies",
    "load_settings",
    "log_digest",
    "open_bus",
    "open_bus_sync",
    "read_statistics",
    "rebuild",
    "run",
    "verify",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever lives under that name
    home = _HOME_OF.get(name)
    if home is None:
        text = f"module 'driven' has no attribute {name!r}"
        raise AttributeError(text)
    found = globals()[name] = getattr(importlib.import_module(home), name)
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
