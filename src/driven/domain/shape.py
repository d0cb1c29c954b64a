"""The shape of a message or an aggregate: what its fields are made of, all the way down, as msgspec understands it.

::

    Order ── id: str
         `── lines: list[Line] ── article: Article ── ...

A shape is read from the type alone, when an application is examined; nothing here is kept, and nothing looks at values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import inspect

from driven.domain.arrays import is_array_type

if TYPE_CHECKING:
    from collections.abc import Iterator

_ONE_PART: Final = ("item_type", "key_type", "value_type")
_SEVERAL_PARTS: Final = ("types", "item_types")

_MUTABLE: Final = (
    inspect.AnyType,
    inspect.ByteArrayType,
    inspect.CustomType,
    inspect.DataclassType,
    inspect.DictType,
    inspect.ListType,
    inspect.SetType,
    inspect.TypedDictType,
)

_HAS_AN_ORDER: Final = (
    inspect.StrType,
    inspect.IntType,
    inspect.FloatType,
    inspect.BoolType,
    inspect.BytesType,
    inspect.UUIDType,
    inspect.DecimalType,
    inspect.DateType,
    inspect.DateTimeType,
    inspect.TimeType,
    inspect.TimeDeltaType,
)


def parts(annotation: Any) -> Iterator[inspect.Type]:  # noqa: ANN401 - any type annotation
    """The type and every type within it, outermost first; what is within a class only once.

    Raises:
        NameError: an annotation names something that is not there.
        TypeError: msgspec has no place for a type, or for a union of types.

    """
    return _walk(_bare(inspect.type_info(annotation)), set())


def fingerprint_text(annotation: Any) -> str:  # noqa: ANN401 - any type annotation
    """The shape as text: the same in every process, and another one as soon as bytes might mean something else."""
    return "\n".join(repr(_described(part)) for part in parts(annotation))


def opaque_types(annotation: Any) -> list[type]:  # noqa: ANN401 - any type annotation
    """The types within it that msgspec passes by without a look, arrays aside: nobody can encode or rebuild them."""
    custom = (part.cls for part in parts(annotation) if isinstance(part, inspect.CustomType))
    return list(dict.fromkeys(cls for cls in custom if not is_array_type(cls)))


def leaves_something_open(annotation: Any) -> bool:  # noqa: ANN401 - any type annotation
    """Whether `Any` is within it, also unsaid as in a bare ``list``: msgspec writes it, and rebuilds something else."""
    return any(isinstance(part, inspect.AnyType) for part in parts(annotation))


def has_mutable_parts(annotation: Any) -> bool:  # noqa: ANN401 - any type annotation
    """Whether a value of it may hold something that can be changed in place."""
    return any(
        not part.cls.__struct_config__.frozen if isinstance(part, inspect.StructType) else isinstance(part, _MUTABLE)
        for part in parts(annotation)
    )


def has_unsortable_set(annotation: Any) -> bool:  # noqa: ANN401 - any type annotation
    """Whether there is a set whose members have no order among each other, so that no order can be agreed on."""
    sets = (part for part in parts(annotation) if isinstance(part, inspect.SetType | inspect.FrozenSetType))
    return any(not _is_sortable(_bare(one.item_type)) for one in sets)


def may_hold_sets(annotation: Any) -> bool:  # noqa: ANN401 - any type annotation
    """Whether there is a set, or something that may be one."""
    kinds = (inspect.SetType, inspect.FrozenSetType, inspect.AnyType)
    return any(isinstance(part, kinds) for part in parts(annotation))


def has_other_than_text_keys(annotation: Any) -> bool:  # noqa: ANN401 - any type annotation
    """Whether there is a dict whose keys are declared as something else than text; msgspec sorts text keys only."""
    keys = (_bare(part.key_type) for part in parts(annotation) if isinstance(part, inspect.DictType))
    return any(not isinstance(key, inspect.StrType | inspect.AnyType) and not _is_literal_text(key) for key in keys)


def _walk(part: inspect.Type, seen: set[type]) -> Iterator[inspect.Type]:
    yield part
    cls: type | None = getattr(part, "cls", None)
    if cls in seen:
        return
    if cls is not None:
        seen.add(cls)
    for inner in _inner(part):
        yield from _walk(inner, seen)


def _inner(part: inspect.Type) -> Iterator[inspect.Type]:
    for name in _ONE_PART:
        if (one := getattr(part, name, None)) is not None:
            yield _bare(one)
    for name in _SEVERAL_PARTS:
        yield from map(_bare, getattr(part, name, ()))
    for field in getattr(part, "fields", ()):
        yield _bare(field.type)


def _bare(part: inspect.Type) -> inspect.Type:
    """Without titles, descriptions and examples, which say nothing about values."""
    while isinstance(part, inspect.Metadata):
        part = part.type
    return part


def _described(part: inspect.Type) -> list[object]:
    """Everything about a part but what is within it, in terms that no process sees differently."""
    told: list[object] = [type(part).__name__]
    for name in part.__struct_fields__:
        value = getattr(part, name)
        if name in _ONE_PART:
            continue
        if name in _SEVERAL_PARTS:
            told.append(len(value))
        elif name == "fields":
            told.append([(field.encode_name, field.required) for field in value])
        elif name == "values":
            told.append(sorted(map(repr, value)))
        else:
            told.append(_named(value) if name == "cls" else repr(value))
    return told


def _named(cls: type) -> list[str]:
    """A class by name, and an enumeration by its values as well."""
    members = getattr(cls, "__members__", {})
    return [cls.__qualname__, *(repr(member.value) for member in members.values())]


def _is_sortable(part: inspect.Type) -> bool:
    if isinstance(part, inspect.TupleType):
        return all(_is_sortable(_bare(one)) for one in part.item_types)
    if isinstance(part, inspect.VarTupleType):
        return _is_sortable(_bare(part.item_type))
    if isinstance(part, inspect.StructType):
        return bool(part.cls.__struct_config__.order)
    return isinstance(part, _HAS_AN_ORDER) or _is_literal_text(part)


def _is_literal_text(part: inspect.Type) -> bool:
    return isinstance(part, inspect.LiteralType) and all(isinstance(value, str) for value in part.values)
