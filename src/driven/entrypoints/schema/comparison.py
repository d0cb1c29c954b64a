"""The comparison: what became of each message and aggregate since a baseline, and whether logs can still be read.

::

    baseline, today --> per type: backward? forward? why? --> breaks: logs hold what nobody can read

What was raised to a new version is read through upcasters, whose chain a registry has checked. Pure functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from driven.entrypoints.schema.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from driven.entrypoints.schema.document import AggregateSchema, MessageSchema, SchemaDocument


class TypeChange(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one message or aggregate."""

    name: str
    """Its stable name."""
    what: str
    """``command``, ``event``, ``document`` or ``stream``."""
    change: str
    """``new``, ``gone``, ``changed`` or ``same``."""
    is_backward: bool = True
    """Whether today's code reads what the baseline recorded."""
    is_forward: bool = True
    """Whether the baseline's code reads what today's records."""
    is_breaking: bool = False
    """Whether logs may hold what nobody can read any more."""
    reasons: tuple[str, ...] = ()
    """Why not, or through what; in words."""
    remedy: str = ""


def changes_since(
    baseline: SchemaDocument, today: SchemaDocument, forgotten: Collection[str] = ()
) -> tuple[TypeChange, ...]:
    """Every type of either, by name; `forgotten` are events that the application says nobody needs."""
    return tuple(sorted(_changes(baseline, today, forgotten), key=lambda one: (one.what, one.name)))


def _changes(baseline: SchemaDocument, today: SchemaDocument, forgotten: Collection[str]) -> Iterator[TypeChange]:
    backward = Reading(baseline.components, today.components)
    forward = Reading(today.components, baseline.components)
    for name, message in today.messages.items():
        known = baseline.messages.get(name)
        if known is None:
            yield TypeChange(name=name, what=message.kind, change="new")
        else:
            yield _of_message(name, known, message, backward, forward)
    for name, message in baseline.messages.items():
        if name not in today.messages:
            yield _gone(name, message, forgotten)
    for name, aggregate in today.aggregates.items():
        before = baseline.aggregates.get(name)
        if before is None:
            yield TypeChange(name=name, what=aggregate.kind, change="new")
        else:
            yield _of_aggregate(name, before, aggregate, backward, forward)
    for name, aggregate in baseline.aggregates.items():
        if name not in today.aggregates:
            reason = "the application does not keep it any more; what is stored stays where it is"
            yield TypeChange(name=name, what=aggregate.kind, change="gone", reasons=(reason,))


def _of_message(
    name: str, before: MessageSchema, now: MessageSchema, backward: Reading, forward: Reading
) -> TypeChange:
    if before.kind != now.kind:
        reason = f"it was recorded as {_a(before.kind)}, and is {_a(now.kind)} now"
        return _breaking(name, now.kind, (reason,), "give one of them another message_name", (reason,))
    if now.version < before.version:
        reason = f"logs may hold version {before.version}, and it is at version {now.version} now"
        return _breaking(name, now.kind, (reason,), f"set message_version = {before.version} or higher", (reason,))
    if now.version > before.version:
        through = f"version {before.version} is read through upcasters to version {now.version}"
        older = f"an older release knows it up to version {before.version}"
        return TypeChange(name=name, what=now.kind, change="changed", is_forward=False, reasons=(through, older))
    not_read = tuple(backward.problems(before.schema, now.schema))
    if not_read:
        step = f"@app.upcasts({name!r}, version={now.version})"
        remedy = f"set message_version = {now.version + 1} and write {step}, or give fields defaults"
        return _breaking(name, now.kind, not_read, remedy, tuple(forward.problems(now.schema, before.schema)))
    return _compatible(
        name, now.kind, tuple(forward.problems(now.schema, before.schema)), backward.is_same(before.schema, now.schema)
    )


def _of_aggregate(
    name: str, before: AggregateSchema, now: AggregateSchema, backward: Reading, forward: Reading
) -> TypeChange:
    if before.kind != now.kind:
        reason = f"it is kept as a {before.kind}, and would be a {now.kind}"
        return _breaking(name, now.kind, (reason,), "give the new class another aggregate_name", (reason,))
    not_read = tuple(backward.problems(before.schema, now.schema))
    not_forward = tuple(forward.problems(now.schema, before.schema))
    if now.kind == "document":
        if not_read:
            remedy = "give fields defaults, or give the new class another aggregate_name"
            return _breaking(name, now.kind, not_read, remedy, not_forward)
        return _compatible(name, now.kind, not_forward, backward.is_same(before.schema, now.schema))
    if dropped := sorted(set(before.events) - set(now.events)):
        reason = f"its streams may hold {', '.join(dropped)}, which it does not apply any more"
        return _breaking(name, now.kind, (reason,), "go on applying them, if only by doing nothing")
    reasons = ("its snapshots are discarded, and made again from its events",) if not_read or not_forward else ()
    if added := sorted(set(now.events) - set(before.events)):
        reasons = (*reasons, f"an older release does not apply {', '.join(added)}")
    is_same = not reasons and backward.is_same(before.schema, now.schema)
    change = "same" if is_same else "changed"
    return TypeChange(name=name, what=now.kind, change=change, is_forward=not added, reasons=reasons)


def _gone(name: str, message: MessageSchema, forgotten: Collection[str]) -> TypeChange:
    if message.kind == "command":
        reason = "one that was accepted and has not run could not be taken up"
        return TypeChange(name=name, what=message.kind, change="gone", is_backward=False, reasons=(reason,))
    if name in forgotten:
        reason = "the application says that nobody needs it"
        return TypeChange(name=name, what=message.kind, change="gone", is_backward=False, reasons=(reason,))
    return TypeChange(
        name=name,
        what=message.kind,
        change="gone",
        is_backward=False,
        is_breaking=True,
        reasons=("logs may hold it, and a bus would not open them",),
        remedy=f"set message_name = {name!r} in the class that it became, or say app.forgets({name!r})",
    )


def _compatible(name: str, what: str, not_forward: tuple[str, ...], is_same: bool) -> TypeChange:  # noqa: FBT001 - a fact
    reasons = tuple(f"to an older release {problem}" for problem in not_forward)
    change = "same" if is_same and not reasons else "changed"
    return TypeChange(name=name, what=what, change=change, is_forward=not reasons, reasons=reasons)


def _breaking(
    name: str, what: str, reasons: tuple[str, ...], remedy: str, not_forward: tuple[str, ...] = ()
) -> TypeChange:
    return TypeChange(
        name=name,
        what=what,
        change="changed",
        is_backward=False,
        is_forward=not not_forward,
        is_breaking=True,
        reasons=reasons,
        remedy=remedy,
    )


def _a(kind: str) -> str:
    return f"an {kind}" if kind == "event" else f"a {kind}"
