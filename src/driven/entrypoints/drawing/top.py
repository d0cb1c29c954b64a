"""How a running bus looks: what it does, what its head waits for, its command types and its workers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from driven.entrypoints.drawing.page import Heading, Paragraph, Phrase, Table, Tone, line
from driven.entrypoints.words import counted, short, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven import (
        CommandStatistics,
        HeadStatistics,
        NotifierStatistics,
        PoolStatistics,
        Progress,
        WorkerStatistics,
    )
    from driven.entrypoints.drawing.page import Block, Line, Page
    from driven.entrypoints.reports.top import TopReport

STALE_S: Final = 1.0
"""A bus that has something queued and says nothing for longer than this is held up."""

BAR: Final = 10
"""Signs of a whole bar of progress."""

STATES: Final = {"running": Tone.GOOD, "waiting": Tone.CAUTION, "idle": Tone.FAINT}

COMMAND_TITLES: Final = ("command", "done", "queued", "waited p50", "p99", "ran p50", "p99", "longest", "trouble")
WORKER_TITLES: Final = ("worker", "pid", "group", "state", "done", "cpu", "memory", "doing")


def top_page(report: TopReport) -> Page:
    """Draw one look at a bus."""
    return tuple(_parts(report))


def _parts(report: TopReport) -> Iterator[Block]:
    now = report.bus
    yield Heading(now.application, f"process {now.pid}, open for {duration(now.uptime_s)}")
    yield Paragraph(tuple(_figures(report)))
    if now.head is not None:
        yield Heading("head")
        yield Paragraph((_head(now.head, now.application),))
    yield Heading("commands")
    yield Table(COMMAND_TITLES, tuple(_command(one, now.application) for one in now.commands))
    if now.workers:
        yield Heading("workers", _manning(now.pool))
        yield Table(WORKER_TITLES, tuple(_worker(one, now.application) for one in now.workers))
    stopped = [one for one in now.projections if one.stopped_by]
    if stopped:
        yield Heading("stopped projections")
        yield Paragraph(
            tuple(line(f"{one.name} at position {one.position}: {one.stopped_by}", Tone.BAD) for one in stopped)
        )
    failing = [one for one in now.notifiers if one.stopped_by or one.attempts]
    if failing:
        yield Heading("notifiers that fail")
        yield Paragraph(tuple(map(_failing, failing)))


def _failing(notifier: NotifierStatistics) -> Line:
    where = f"{notifier.name} at position {notifier.position:,}, {notifier.lag:,} behind"
    if notifier.stopped_by:
        return line(f"{where}: stopped by {notifier.stopped_by}", Tone.BAD)
    return line(f"{where}: called {counted(notifier.attempts, 'time')} in vain, {notifier.last_error}", Tone.CAUTION)


def _figures(report: TopReport) -> Iterator[Line]:
    now = report.bus
    pace = () if report.retired_per_s is None else (Phrase(f", {report.retired_per_s:,.0f} per second"),)
    yield (Phrase(f"{now.retired:,} of {now.admitted:,} messages retired", Tone.STRONG), *pace)
    parked = (Phrase(f", {now.parked:,} parked", Tone.BAD),) if now.parked else ()
    early = f"{now.early:,} early (at most {now.early_most:,})"
    yield (Phrase(f"{now.queued:,} queued, {now.in_flight:,} in flight, {early}"), *parked)
    if now.inline_because:
        yield line(f"no workers: {now.inline_because}", Tone.CAUTION)
    if now.queued and report.age_s > STALE_S:
        yield line(
            f"as of {duration(report.age_s)} ago: its thread is held up, by an inline handler or from outside", Tone.BAD
        )
    elif report.age_s > STALE_S:
        yield line(f"idle for {duration(report.age_s)}", Tone.FAINT)


def _head(head: HeadStatistics, application: str) -> Line:
    name = Phrase(short(head.name, application), Tone.COMMAND)
    since = f" at position {head.position:,} {head.blocked_by}; at the head for {duration(head.age_s)}"
    return (name, Phrase(since), *_progress(head.progress))


def _command(one: CommandStatistics, application: str) -> tuple[Line, ...]:
    done = one.succeeded + one.failed + one.parked
    times = (one.waiting.p50_s, one.waiting.p99_s, one.running.p50_s, one.running.p99_s, one.running.longest_s)
    shown = [duration(time_s) if one.running.count else "-" for time_s in times]
    trouble = [
        (one.failed, "failed"),
        (one.parked, "parked"),
        (one.discarded, "stale"),
        (one.deaths, "died"),
    ]
    troubles = ", ".join(f"{number:,} {word}" for number, word in trouble if number)
    return (
        line(short(one.name, application), Tone.COMMAND),
        line(f"{done:,}"),
        line(f"{one.queued:,}"),
        *(line(text) for text in shown),
        line(troubles or "-", Tone.CAUTION if troubles else Tone.FAINT),
    )


def _manning(pool: PoolStatistics | None) -> str:
    """How the groups are manned, where that is not as it should be, and what died."""
    if pool is None:
        return ""
    parts = [pool.kind]
    for group in pool.groups:
        if group.ready != group.wanted:
            parts.append(f"{group.ready} of {group.wanted} of group {group.name} ready")
        if group.died:
            parts.append(f"{group.died:,} of group {group.name} died")
    return ", ".join(parts)


def _worker(one: WorkerStatistics, application: str) -> tuple[Line, ...]:
    return (
        line(str(one.worker_id)),
        line(str(one.pid)),
        line(one.group),
        line(one.state, STATES.get(one.state, Tone.PLAIN)),
        line(f"{one.completed:,}"),
        line(duration(one.cpu_s) if one.cpu_s else "-"),
        line(size(one.rss_bytes) if one.rss_bytes else "-"),
        _doing(one, application),
    )


def _doing(one: WorkerStatistics, application: str) -> Line:
    if not one.command:
        return line("-", Tone.FAINT)
    name = Phrase(short(one.command, application), Tone.COMMAND)
    return (name, Phrase(f" at {one.position:,} for {duration(one.age_s)}"), *_progress(one.progress))


def _progress(progress: Progress | None) -> Line:
    """A bar and what is being done; nothing where the handler does not say."""
    if progress is None:
        return ()
    full = int(progress.fraction * BAR)
    bar = f"[{'#' * full}{'.' * (BAR - full)}]"
    return line(f"  {bar} {progress.fraction:.0%} {progress.text}".rstrip())


def duration(seconds: float) -> str:
    """Write a time in the unit that suits it, with three digits: ``48.3 us``, ``1.20 s``, ``2 h 05 min``."""
    for limit, factor, unit in ((1e-3, 1e6, "us"), (1.0, 1e3, "ms"), (60.0, 1.0, "s")):
        if seconds < limit:
            value = seconds * factor
            digits = 2 - int(math.log10(value)) if value >= 1.0 else 2
            return f"{value:.{max(digits, 0)}f} {unit}"
    minutes, rest_s = divmod(int(seconds), 60)
    hours, rest_min = divmod(minutes, 60)
    return f"{hours} h {rest_min:02d} min" if hours else f"{minutes} min {rest_s:02d} s"
