"""Reading across releases: can what one schema describes be read by another? If not, why, in words. Pure.

It is asked in both directions. *Backward*: what the baseline recorded, by the code of today. *Forward*: what the code
of today records, by that of the baseline. An answer errs on the side of caution: a field that has a default may be
missing in what was recorded, as it may have been added since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.entrypoints.schema.document import Schema

TEXT_FORMATS: Final = frozenset({"uuid", "decimal", "date", "time", "local-time", "any-time", "duration"})
"""What is text in the log as well, so that a plain text takes it; a point in time need not be."""

ANY_OF: Final = {"any-date-time": ("date-time", "local-date-time"), "any-time": ("time", "local-time")}
"""What takes several formats."""

LOWEST: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
HIGHEST: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
COUNTED: Final = ("minLength", "minItems", "minProperties")
"""Those that are 0 where nothing is said."""
THE_SAME: Final = ("pattern", "multipleOf")


class Reading:
    """What one set of components describes, read by another."""

    def __init__(self, written: Schema, reader: Schema) -> None:
        """Components of the document that describes what is there, and of the one that is to read it."""
        self._written: Final = written
        self._reader: Final = reader
        self._under_way: list[tuple[Any, Any]] = []

    def is_same(self, written: Schema, reader: Schema) -> bool:
        """Whether both describe the same, whatever classes are called and say about themselves."""
        return bool(_resolved(written, self._written, ()) == _resolved(reader, self._reader, ()))

    def problems(self, written: Schema, reader: Schema, at: str = "") -> Iterator[str]:
        """Why not everything that `written` describes can be read as `reader`; nothing: all of it can."""
        pair = (written.get("$ref"), reader.get("$ref"))
        if all(pair) and pair in self._under_way:
            return  # it leads back to itself: what can be said is being said
        self._under_way.append(pair)
        try:
            given = list(_alternatives(written, self._written))
            taken = list(_alternatives(reader, self._reader))
            for one in given:
                yield from self._first_fit(one, taken, at)
        finally:
            self._under_way.pop()

    def _first_fit(self, written: Schema, taken: list[Schema], at: str) -> Iterator[str]:
        """The problems of the alternative that fits best; none if one takes everything."""
        found = [list(self._of_one(written, reader, at)) for reader in taken]
        if not all(found):
            return
        if len(found) == 1:
            yield from found[0]
        else:
            yield f"{_place(at)} may be {_said(written)}, which is not among what it may be there"

    def _of_one(self, written: Schema, reader: Schema, at: str) -> Iterator[str]:
        if not reader:
            return
        if "enum" in reader:
            yield from _of_values(written, reader, at)
            return
        kind, wanted = written.get("type"), reader.get("type")
        if "enum" in written:
            kind = _kind_of_values(written["enum"])
        if kind != wanted and (kind, wanted) != ("integer", "number"):
            yield f"{_place(at)} is {_said(written)}, and is read as {_said(reader)}"
            return
        yield from _of_bounds(written, reader, at)
        if wanted == "object":
            yield from self._of_fields(written, reader, at)
        elif wanted == "array":
            yield from self._of_items(written, reader, at)
        elif wanted == "string":
            yield from _of_formats(written, reader, at)

    def _of_fields(self, written: Schema, reader: Schema, at: str) -> Iterator[str]:
        given, taken = written.get("properties", {}), reader.get("properties", {})
        always = written.get("required", [])
        for name in reader.get("required", []):
            if name not in given:
                yield f"{_place(at, name)} is not there, and has no default"
            elif name not in always:
                yield f"{_place(at, name)} may be missing, as it had a default, and has none now"
        of_given, of_taken = written.get("additionalProperties"), reader.get("additionalProperties")
        for name in dict.fromkeys((*given, *taken)):
            one, other = given.get(name, of_given), taken.get(name, of_taken)
            if name in given and other is False:
                yield f"{_place(at, name)} is there, and unknown fields are refused"
            elif isinstance(one, dict) and isinstance(other, dict):
                yield from self.problems(one, other, f"{at}.{name}" if at else name)
        if isinstance(of_given, dict) and isinstance(of_taken, dict):
            yield from self.problems(of_given, of_taken, f"{at}[...]")

    def _of_items(self, written: Schema, reader: Schema, at: str) -> Iterator[str]:
        given, taken = written.get("prefixItems", []), reader.get("prefixItems", [])
        for number, (one, other) in enumerate(zip(given, taken, strict=False)):
            yield from self.problems(one, other, f"{at}[{number}]")
        of_given, of_taken = written.get("items"), reader.get("items")
        if isinstance(of_taken, dict):
            for number, one in enumerate(given[len(taken) :], len(taken)):
                yield from self.problems(one, of_taken, f"{at}[{number}]")
            if isinstance(of_given, dict):
                yield from self.problems(of_given, of_taken, f"{at}[]")
        elif taken and isinstance(of_given, dict):
            yield f"{_place(at)} has any number of items, and is read as {len(taken)}"
        if written.get("format") != reader.get("format"):
            yield f"{_place(at)} is {_said(written)}, and is read as {_said(reader)}"


def _resolved(schema: Any, components: Schema, within: tuple[str, ...]) -> Any:  # noqa: ANN401 - any part of one
    """A schema with what it refers to in its place, and without words for people."""
    if isinstance(schema, list):
        return [_resolved(one, components, within) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name in within:
            return within.index(name)
        return _resolved(components[name], components, (*within, name))
    words = {"title", "description", "discriminator"}
    return {word: _resolved(one, components, within) for word, one in schema.items() if word not in words}


def _alternatives(schema: Schema, components: Schema) -> Iterator[Schema]:
    """What a value may be, one by one."""
    if "$ref" in schema:
        yield from _alternatives(components[schema["$ref"].rpartition("/")[2]], components)
    elif "anyOf" in schema:
        for one in schema["anyOf"]:
            yield from _alternatives(one, components)
    else:
        yield schema


def _of_values(written: Schema, reader: Schema, at: str) -> Iterator[str]:
    if "enum" not in written:
        yield f"{_place(at)} is {_said(written)}, and is read as {_said(reader)}"
        return
    gone = [value for value in written["enum"] if value not in reader["enum"]]
    if gone:
        yield f"{_place(at)} may be {', '.join(map(repr, gone))}, which is not among what it may be there"


def _of_formats(written: Schema, reader: Schema, at: str) -> Iterator[str]:
    form, wanted = written.get("format"), reader.get("format")
    is_same = written.get("contentEncoding") == reader.get("contentEncoding")
    fits = form == wanted or (form in TEXT_FORMATS if wanted is None else form in ANY_OF.get(wanted, ()))
    if not (is_same and fits):
        yield f"{_place(at)} is {_said(written)}, and is read as {_said(reader)}"


def _of_bounds(written: Schema, reader: Schema, at: str) -> Iterator[str]:
    for word in (*LOWEST, *HIGHEST, *THE_SAME):
        bound, given = reader.get(word), written.get(word, 0 if word in COUNTED else None)
        if bound is None:
            continue
        is_wider = given is None or (given < bound if word in LOWEST else given > bound if word in HIGHEST else False)
        if is_wider or (word in THE_SAME and given != bound):
            yield f"{_place(at)} has {word} {bound}, which what is there need not keep"


def _kind_of_values(values: list[Any]) -> str:
    kinds = {type(value) for value in values}
    return "string" if kinds == {str} else "integer" if kinds == {int} else "several kinds of values"


def _said(schema: Schema) -> str:
    """A schema in a few words."""
    if "enum" in schema:
        return f"one of {', '.join(map(repr, schema['enum']))}"
    if "contentEncoding" in schema:
        return "bytes"
    words = {"string": "text", "integer": "a whole number", "number": "a number", "array": "a list", "null": "nothing"}
    words |= {"object": "an object with fields", "boolean": "true or false"}
    said = words.get(str(schema.get("type")), "anything")
    return f"{said} ({schema['format']})" if "format" in schema else said


def _place(at: str, name: str = "") -> str:
    place = f"{at}.{name}" if at and name else at or name
    return f"field {place!r}" if place else "it"
