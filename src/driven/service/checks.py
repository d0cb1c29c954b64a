"""Checks of options and of types: what can be wrong with them, each fault with its remedy (R1). Pure functions.

A check yields every fault it finds and never stops at the first; who is at fault stands at the head of each text.
"""

from __future__ import annotations

import math
import typing
import uuid
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from driven.domain import shape
from driven.domain.aggregate import Aggregate
from driven.domain.messages import Event, Message
from driven.placement import Placement
from driven.service.handlers import HandlerOptions, OnExhausted
from driven.service.naming import qualified_name, shown
from driven.service.on_failure import on_failure_faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.domain.messages import Command

_KEY_TYPES: Final = (str, int, uuid.UUID)


def option_faults(command: type[Command], options: HandlerOptions, *, is_stateful: bool) -> Iterator[str]:
    """What is wrong with the options of a handler; `is_stateful` says that a unit of work reaches it."""
    yield from _key_faults(command, options)
    yield from _loads_faults(command, options, is_stateful=is_stateful)
    yield from _emits_faults(options)
    yield from _placement_faults(options)
    yield from _number_faults(options)
    yield from on_failure_faults(command, options)


def type_faults(subject: type[Message | Aggregate]) -> Iterator[str]:
    """What keeps a message or an aggregate from surviving encoding, or from being told apart from others."""
    name = qualified_name(subject)
    yield from (f"{name} {fault}" for fault in _naming_faults(subject))
    yield from (f"{name}{fault}" for fault in _encoding_faults(subject))


def declared_events(options: HandlerOptions) -> tuple[type[Event], ...]:
    """The events among what ``emits=`` and ``on_failure=`` were given: one that is none hides no other faults."""
    given = (*(options.emits if isinstance(options.emits, Collection) else ()), options.on_failure)
    return tuple(one for one in given if isinstance(one, type) and issubclass(one, Event))


def loaded_aggregates(options: HandlerOptions) -> tuple[type[Aggregate], ...]:
    """The aggregate types among what ``loads=`` was given."""
    given = options.loads if isinstance(options.loads, Mapping) else ()
    return tuple(one for one in given if isinstance(one, type) and issubclass(one, Aggregate))


def _key_faults(command: type[Command], options: HandlerOptions) -> Iterator[str]:
    key = options.key
    if key is None:
        if options.sticky:
            yield "is sticky without a key; say key=, whose values stay with their worker"
        return
    fields = _field_types(command)
    if key not in command.__struct_fields__:
        yield f"key={key!r} is not a field of {command.__name__} (it has: {_known(command)}); name one of them"
    elif key in fields and fields[key] not in _KEY_TYPES:
        yield f"key={key!r} is a {shown(fields[key])}; name a field that is a str, an int or a UUID"


def _loads_faults(command: type[Command], options: HandlerOptions, *, is_stateful: bool) -> Iterator[str]:
    loads: Any = options.loads
    if not isinstance(loads, Mapping):
        yield f"loads={loads!r} is no mapping; write loads={{AggregateType: 'field'}}"
        return
    fields = _field_types(command)
    known = set(loaded_aggregates(options))
    for aggregate, field in loads.items():
        if aggregate not in known:
            yield f"loads= names {shown(aggregate)}, which is no Aggregate; name a subclass of Aggregate"
        elif field not in command.__struct_fields__ or fields.get(field, str) is not str:
            there = f"{command.__name__} (it has: {_known(command)})"
            yield f"loads={{{aggregate.__name__}: {field!r}}} is no str field of {there}; name the one with the id"
    if loads and not is_stateful:
        yield "loads aggregates, but has no unit of work to get them from; take a UnitOfWork, or drop loads="


def _emits_faults(options: HandlerOptions) -> Iterator[str]:
    emits: Any = options.emits
    if isinstance(emits, str) or not isinstance(emits, Collection):
        yield f"emits={shown(emits)} is no collection; write emits=({shown(emits)},)"
        return
    known = declared_events(options)
    for event in emits:
        if event not in known:
            yield f"emits= names {shown(event)}, which is no Event; name subclasses of Event"
        elif event is Event:
            yield "emits= names Event, which may be any; name the very types that it emits"


def _placement_faults(options: HandlerOptions) -> Iterator[str]:
    if not isinstance(options.placement, Placement):
        yield f"placement={options.placement!r} is no Placement; write Placement.INLINE, .WORKER or .AUTO"
    elif options.timeout_s is not None and options.placement is not Placement.WORKER:
        yield (
            f"timeout_s={options.timeout_s} cannot be kept with placement={options.placement}, as only a worker can be "
            f"killed; say placement=Placement.WORKER, or drop timeout_s="
        )
    if options.detached and options.placement is not Placement.WORKER:
        yield (
            f"is detached with placement={options.placement}, but only a worker can go on with a command that has "
            f"retired as started; say placement=Placement.WORKER, or drop detached="
        )
    if options.on_exhausted is not None and not isinstance(options.on_exhausted, OnExhausted):
        yield f"on_exhausted={options.on_exhausted!r} is no OnExhausted; write OnExhausted.PARK, .SKIP or .HALT"
    if not isinstance(options.group, str) or not options.group:
        yield f"group={options.group!r} names no worker group; write the name of one, or drop group="


def _number_faults(options: HandlerOptions) -> Iterator[str]:
    timeout_s: Any = options.timeout_s
    if timeout_s is not None and not (_is_number(timeout_s, (int, float)) and 0 < timeout_s < math.inf):
        yield f"timeout_s={timeout_s!r} is no duration; write a positive number of seconds"
    if options.max_attempts is not None and not (
        _is_number(options.max_attempts, (int,)) and options.max_attempts >= 1
    ):
        yield f"max_attempts={options.max_attempts!r} is no number of attempts; write 1 or more"
    if options.retries is not None and not (_is_number(options.retries, (int,)) and options.retries >= 0):
        yield f"retries={options.retries!r} is no number of retries; write 0 or more"


def _is_number(value: object, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _known(command: type[Command]) -> str:
    return ", ".join(command.__struct_fields__) or "none"


def _field_types(subject: type[msgspec.Struct]) -> dict[str, Any]:
    """The fields' types without what qualifies them; empty where they cannot be evaluated, which is said elsewhere."""
    try:
        return {field.name: _unqualified(field.type) for field in msgspec.structs.fields(subject)}
    except (NameError, TypeError):
        return {}


def _unqualified(annotation: Any) -> Any:  # noqa: ANN401
    """The type that values of ``Annotated[...]`` and of a ``NewType`` have."""
    while True:
        if typing.get_origin(annotation) is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
        elif isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        else:
            return annotation


def _naming_faults(subject: type[Message | Aggregate]) -> Iterator[str]:
    attribute = "message_name" if issubclass(subject, Message) else "aggregate_name"
    name = vars(subject).get(attribute, "")
    if not isinstance(name, str) or name != name.strip():
        yield f"has {attribute} = {name!r}; write a name like 'census.MeasureFile'"
    version = vars(subject).get("message_version", 1)
    if not _is_number(version, (int,)) or version < 1:
        yield f"has message_version = {version!r}; write a whole number, 1 or more"


def _encoding_faults(subject: type[msgspec.Struct]) -> Iterator[str]:
    """Each as it follows the name of the type, or of the type and a field."""
    try:
        fields = msgspec.structs.fields(subject)
    except (NameError, TypeError) as error:
        yield f" has a field whose type cannot be evaluated ({error}); define or import it at the top of the module"
        return
    faults = [f".{field.name}: {fault}" for field in fields for fault in _field_faults(field.type)]
    yield from faults
    if not faults and shape.has_other_than_text_keys(subject) and shape.may_hold_sets(subject):
        yield " has dicts whose keys are no str, and sets, and both cannot be kept in order; use a list for one of them"
    if issubclass(subject, Message) and not subject.__struct_config__.frozen:
        yield " is not frozen, but a message is a value; drop frozen=False"


def _field_faults(annotation: Any) -> Iterator[str]:  # noqa: ANN401 - any type annotation
    try:
        opaque = shape.opaque_types(annotation)
        msgspec.msgpack.Decoder(annotation)
    except (NameError, TypeError, ValueError) as error:
        yield f"{error}; use types that msgspec supports"
        return
    for found in opaque:
        yield f"{shown(found)} cannot cross from one process to another; use types that msgspec supports"
    if shape.leaves_something_open(annotation):
        yield (
            f"what {shown(annotation)} leaves open (Any) comes back as something else, a tuple as a list and a Decimal "
            f"as a str; name its types, like int | str or list[int]"
        )
    elif shape.has_unsortable_set(annotation):
        yield f"the members of {shown(annotation)} have no order among each other; use a list, or members like str"
