"""The document: every message and aggregate of an application as JSON Schema, to be kept beside its code.

Made from the types alone, the same text for the same code, so that a difference between two releases shows in a review.
JSON Schema does not tell a point in time from text where a time zone may be missing, so that has a ``format`` of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import inspect

from driven.domain.event_sourced import EventSourcedAggregate, events_of
from driven.domain.messages import Command
from driven.errors import DrivenError
from driven.service.naming import shown, stable_name

if TYPE_CHECKING:
    from pathlib import Path

    from driven.domain.aggregate import Aggregate
    from driven.service.registry import Registry

FORMAT: Final = 1
"""The version of this document's own form."""

ZONES: Final = {True: "", False: "local-", None: "any-"}
"""Of points in time: with a time zone, without one, and either."""

REF: Final = "#/components/{name}"

Schema = dict[str, Any]


class MessageSchema(msgspec.Struct, frozen=True):
    """One message, as it is recorded today."""

    kind: str
    """``command`` or ``event``."""
    version: int
    schema: Schema


class AggregateSchema(msgspec.Struct, frozen=True):
    """One aggregate."""

    kind: str
    """``document`` or ``stream``."""
    schema: Schema
    """Of its documents, or of its snapshots."""
    events: tuple[str, ...] = ()
    """Stable names of what its streams hold."""


class SchemaDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an application records."""

    format: int = FORMAT
    application: str
    messages: dict[str, MessageSchema]
    """By stable name; so are aggregates."""
    aggregates: dict[str, AggregateSchema]
    components: Schema
    """What the schemas refer to."""


class UnusableBaseline(DrivenError):
    """A file that is no document of this kind, or cannot be read."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path} cannot be used: {reason}; name a file that `driven schema --write` wrote")


class UnwritableBaseline(DrivenError):
    """A file that a document cannot be written to."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path} cannot be written: {reason}; name a file in a folder that is there and is yours")


def document_of(registry: Registry) -> SchemaDocument:
    """What an application records today."""
    entries = registry.catalog.entries
    aggregates = sorted(registry.aggregates.items())
    types: list[Any] = [entry.type for entry in entries] + [one for _, one in aggregates]
    schemas, components = msgspec.json.schema_components(types, schema_hook=_custom, ref_template=REF)
    for one in types:
        _tell_times(one, components)
    of_messages = {
        entry.name: MessageSchema("command" if issubclass(entry.type, Command) else "event", entry.version, schema)
        for entry, schema in zip(entries, schemas, strict=False)
    }
    of_aggregates = {
        name: _aggregate(one, schema, registry)
        for (name, one), schema in zip(aggregates, schemas[len(entries) :], strict=True)
    }
    return SchemaDocument(
        application=registry.application.name,
        messages=of_messages,
        aggregates=of_aggregates,
        components=dict(sorted(components.items())),
    )


def read_document(path: Path) -> SchemaDocument:
    """A document as it was written.

    Raises:
        UnusableBaseline: it is none.

    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=SchemaDocument)
    except OSError as error:
        raise UnusableBaseline(path, error.strerror or str(error)) from error
    except msgspec.DecodeError as error:
        raise UnusableBaseline(path, str(error)) from error
    if found.format != FORMAT:
        raise UnusableBaseline(path, f"its format is {found.format}, and this release knows {FORMAT}")
    return found


def write_document(path: Path, document: SchemaDocument) -> None:
    """Write it as text that can be compared line by line.

    Raises:
        UnwritableBaseline: it cannot be written there.

    """
    text = msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=2)
    try:
        path.write_bytes(text + b"\n")
    except OSError as error:
        raise UnwritableBaseline(path, error.strerror or str(error)) from error


def _aggregate(aggregate: type[Aggregate], schema: Schema, registry: Registry) -> AggregateSchema:
    if not issubclass(aggregate, EventSourcedAggregate):
        return AggregateSchema("document", schema)
    name = registry.application.name
    return AggregateSchema(
        "stream", schema, tuple(sorted(stable_name(name, event, "message_name") for event in events_of(aggregate)))
    )


def _custom(cls: type) -> Schema:
    """What JSON Schema has no word for: an array of NumPy."""
    return {"type": "array", "format": shown(cls)}


def _tell_times(of: Any, components: Schema) -> None:  # noqa: ANN401 - a type
    """Add the ``format`` that msgspec leaves out, in the components that `of` leads to."""
    for part in (one for one in _structs(inspect.type_info(of), set())):
        schema = components.get(part.cls.__name__, {})
        for number, field in enumerate(part.fields):
            if schema.get("type") == "array":
                _mark(schema.get("prefixItems", [])[number : number + 1], field.type)
            elif field.encode_name in schema.get("properties", {}):
                _mark([schema["properties"][field.encode_name]], field.type)


def _structs(part: Any, seen: set[Any]) -> list[Any]:  # noqa: ANN401 - one of inspect's types
    """Every struct within a type, itself included."""
    if isinstance(part, inspect.Metadata):
        return _structs(part.type, seen)
    found = []
    if isinstance(part, inspect.StructType):
        if part.cls in seen:
            return []
        seen.add(part.cls)
        found.append(part)
    inner = [field.type for field in getattr(part, "fields", ())]
    inner += [*getattr(part, "types", ()), *getattr(part, "item_types", ())]
    inner += [one for name in ("item_type", "key_type", "value_type") if (one := getattr(part, name, None)) is not None]
    return found + [struct for one in inner for struct in _structs(one, seen)]


def _mark(schemas: list[Schema], part: Any) -> None:  # noqa: ANN401 - as above
    """Of a union only one member is written as text, so that is the one that has no format."""
    if isinstance(part, inspect.Metadata):
        _mark(schemas, part.type)
    for schema in schemas:
        match part:
            case inspect.DateTimeType() | inspect.TimeType() if schema.get("type") == "string":
                word = "date-time" if isinstance(part, inspect.DateTimeType) else "time"
                schema["format"] = f"{ZONES[part.tz]}{word}"
            case inspect.UnionType():
                for member in part.types:
                    _mark(schema.get("anyOf", []), member)
            case inspect.ListType() | inspect.SetType() | inspect.FrozenSetType() | inspect.VarTupleType():
                _mark([schema["items"]] if isinstance(schema.get("items"), dict) else [], part.item_type)
            case inspect.TupleType():
                for member, one in zip(schema.get("prefixItems", []), part.item_types, strict=False):
                    _mark([member], one)
            case inspect.DictType():
                inner = schema.get("additionalProperties")
                _mark([inner] if isinstance(inner, dict) else [], part.value_type)
            case _:
                pass
