"""Reading and checking the configuration: `driven.toml`, the environment, and settings made in code.

::

    driven.toml ------------.
    DRIVEN_<SECTION>_<KEY> --+--> load_settings() --> Settings --.
                                   all faults at once             +--> validate() --> open_bus(application, settings)
    Settings(workers=WorkerSettings(count=2)) -------------------'

Functions only: nothing here is kept. What is allowed stands in the types of `driven.settings`; this module turns a
wrong value into words that name file, section, key and value, and say what to write instead.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import reprlib
import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, get_args, get_origin

import msgspec

from driven.errors import SettingsError
from driven.named_variables import COMMAND_PREFIX, as_cpus, place_of
from driven.placement import Placement
from driven.settings import (
    DEFAULT_FILE,
    DEFAULT_GROUP,
    ENVIRONMENT,
    SECRETS,
    CommandSettings,
    CpuPlaces,
    GroupCount,
    GroupSettings,
    Settings,
    StoreUrl,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

StructT = TypeVar("StructT", bound=msgspec.Struct)


def load_settings(
    path: Path | None = None, *, environ: Mapping[str, str] = os.environ, store_url: str | None = None
) -> Settings:
    """Read the settings from a TOML file and the environment, and check them.

    Without `path`, `driven.toml` in the current folder is read if it is there. Every variable
    ``DRIVEN_<SECTION>_<KEY>`` of the sections bus, store and workers wins over the file: DRIVEN_WORKERS_COUNT=4.
    Settings that neither names have their defaults; `store_url` is another one for ``[store] url``.

    Raises `SettingsError` that lists every fault: the file is missing although `path` names it, is no TOML, or has
    misspelt keys, wrong types and values out of range; so for the variables.
    """
    text = _read_file(path)
    source = ENVIRONMENT if text is None else str(path or DEFAULT_FILE)
    tables = _parse(source, text or "")
    reader = _Reader(msgspec.convert)
    for variable in _own_variables(environ):
        reader.override(tables, variable, environ[variable])
    if store_url is not None:
        reader.default(tables, ("store", "url"), store_url)
    settings = reader.read(tables)
    if reader.faults:
        raise SettingsError(source, reader.messages())
    return settings


def validate(settings: Settings) -> list[str]:
    """List what is wrong with settings, wherever they come from: one message per fault, none if all is well."""
    reader = _Reader(_convert_exactly)
    reader.read(settings)
    return reader.messages()


def _read_file(path: Path | None) -> str | None:
    """Return the text of the file, or None where the default file is missing."""
    source = path or DEFAULT_FILE
    try:
        return source.read_text(encoding="utf-8")
    except FileNotFoundError:
        if path is None:
            return None
        fault = "there is no such file; create it, or name another"
    except OSError as error:
        fault = f"it cannot be read ({error.strerror}); make it a readable file, or name another"
    except UnicodeDecodeError as error:
        fault = f"byte {error.start} is not UTF-8; save the file as UTF-8"
    raise SettingsError(str(source), [fault])


def _parse(source: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, and numbers too long for Python to parse
        last_line = f"at line {len(text.splitlines())}, the end of the document"
        reason = str(error).replace("at end of document", last_line)
        raise SettingsError(source, [f"it is not TOML: {reason}; correct that line"]) from error


_Place: TypeAlias = tuple[str, ...]
"""Where a value stands: the names of its tables from the outside in, then its own."""

_SECTIONS: Final = {
    field.name: field.type
    for field in msgspec.structs.fields(Settings)
    if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
}
"""The sections whose settings can stand in the environment."""


def _prefix(section: str) -> str:
    return f"DRIVEN_{section}_".upper()


_VARIABLES: Final[dict[str, _Place]] = {
    _prefix(section) + field.name.upper(): (section, field.name)
    for section, kind in _SECTIONS.items()
    for field in msgspec.structs.fields(kind)
    if get_origin(field.type) is not dict
}
"""Each variable that may be set, and the place that it sets."""

_SHOWN_CHARACTERS: Final = 80
"""What a message about a wrong text shows of it at most."""
_SHOWN_BITS: Final = 10_000
"""Python refuses to write numbers of more than 4,300 digits."""


def _own_variables(environ: Mapping[str, str]) -> list[str]:
    prefixes = (*(_prefix(section) for section in _SECTIONS), COMMAND_PREFIX)
    return sorted(variable for variable in environ if variable.startswith(prefixes))


def _convert_exactly(raw: object, kind: Any, *, strict: bool) -> Any:  # noqa: ANN401 - whatever a field may hold
    """Convert as `msgspec.convert` does, but refuse the string of a `Placement`: in code only the member will do."""
    value = msgspec.convert(raw, kind, strict=strict)
    if isinstance(value, Placement) and value is not raw:
        raise msgspec.ValidationError
    return value


class _Reader:
    """One pass over raw tables or structs; makes the settings and gathers the faults, at most one per place.

    Where a value is wrong its default stands in, so that reading goes on and finds everything.
    """

    def __init__(self, convert: Callable[..., Any]) -> None:
        self.faults: dict[_Place, str] = {}
        self._convert = convert
        self._variables: dict[_Place, str] = {}

    def messages(self) -> list[str]:
        """Return the faults in the order in which they were found."""
        return [f"{self._variables.get(place) or _subject(place)} {fault}" for place, fault in self.faults.items()]

    def override(self, tables: dict[str, Any], variable: str, value: str) -> None:
        """Put a value of the environment in its place in `tables`."""
        place = _VARIABLES.get(variable) or place_of(variable, tables)
        if place is None:
            self._variables[variable,] = variable
            self.faults[variable,] = _unknown_variable(variable)
            return
        table: Any = tables
        for name in place[:-1]:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                return  # a fault of the file, which is named as such
        table[place[-1]] = as_cpus(value) if place[-1] == "cpus" else value
        self._variables[place] = variable

    def default(self, tables: dict[str, Any], place: tuple[str, str], value: object) -> None:
        """Put a value in its place in `tables` where nothing stands there."""
        section, key = place
        table = tables.setdefault(section, {})
        if isinstance(table, dict):  # else a fault of the file, which is named as such
            table.setdefault(key, value)

    def read(self, raw: object) -> Settings:
        """Make the settings, and check what the type of a single field cannot say."""
        settings = self._table(Settings, raw, ())
        for place, fault in (*_store_faults(settings), *_worker_faults(settings), *_command_faults(settings)):
            self.faults.setdefault(place, fault)
        return settings

    def _table(self, kind: type[StructT], raw: object, place: _Place) -> StructT:
        entries = self._entries(raw, place)
        types = {field.name: field.type for field in msgspec.structs.fields(kind)}
        for name, entry in entries.items():
            if name not in types:
                self.faults[*place, name] = _unknown(kind, name, entry, place)
        values = {
            name: self._value(types[name], entry, (*place, name)) for name, entry in entries.items() if name in types
        }
        return kind(**{name: value for name, value in values.items() if value is not msgspec.UNSET})

    def _entries(self, raw: object, place: _Place) -> dict[str, object]:
        if isinstance(raw, msgspec.Struct):
            return msgspec.structs.asdict(raw)
        if isinstance(raw, Mapping):
            return {str(name): entry for name, entry in raw.items()}
        self.faults[place] = f"is {_shown(raw)}, not a table; write its settings under {_header(place)}"
        return {}

    def _value(self, kind: Any, raw: object, place: _Place) -> Any:  # noqa: ANN401 - whatever a field may hold
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self._table(kind, raw, place)
        if get_origin(kind) is dict:
            entry_kind = get_args(kind)[1]
            entries = self._entries(raw, place).items()
            return {name: self._table(entry_kind, entry, (*place, name)) for name, entry in entries}
        try:
            return self._convert(raw, kind, strict=place not in self._variables)
        except msgspec.ValidationError:
            shown = "..." if kind in SECRETS else _shown(raw)
            self.faults[place] = f"= {shown} is not valid; give {_allowed(kind)}"
            return msgspec.UNSET


def _unknown_variable(variable: str) -> str:
    if variable.startswith(COMMAND_PREFIX):
        there = _listed([field.name.upper() for field in msgspec.structs.fields(CommandSettings)])
        return f"is not a setting of the environment; give {COMMAND_PREFIX}<NAME>_<KEY> (the keys are: {there})"
    section = next(section for section in _SECTIONS if variable.startswith(_prefix(section)))
    keys = {known.removeprefix(_prefix(section)): known for known in _VARIABLES if known.startswith(_prefix(section))}
    # The prefix is left out of the comparison: it would make everything look alike.
    closest = difflib.get_close_matches(variable.removeprefix(_prefix(section)).upper(), keys, n=1)
    remedy = f"did you mean {keys[closest[0]]}?" if closest else "unset it"
    return f"is not a setting of the environment; {remedy} (there are: {_listed(keys.values())})"


def _unknown(kind: type[msgspec.Struct], name: str, entry: object, place: _Place) -> str:
    known = [field.name for field in msgspec.structs.fields(kind)]
    if kind is CommandSettings and isinstance(entry, Mapping):
        full_name = f"{place[-1]}.{name}"
        return f"is not a setting; a full message name stands in quotes: {_header(('commands', full_name))}"
    if place:
        return f"is not a setting; {_did_you_mean(name, known, 'remove it')} ({_header(place)} has: {_listed(known)})"
    return f"is not a section; {_did_you_mean(name, known, 'remove it')} (the sections are: {_listed(known)})"


def _store_faults(settings: Settings) -> Iterator[tuple[_Place, str]]:
    url = settings.store.url
    if url != "memory://" and not re.fullmatch("sqlite:///.*[^/]", url):
        # A URL may hold a password: only its scheme is shown.
        shown = re.sub(r"://.+", "://...", url, flags=re.DOTALL)
        file = "" if ":" in url or not url else f", for a file of that name sqlite:///{url}"
        yield ("store", "url"), f"= {_shown(shown)} is not a store of this version; give {_allowed(StoreUrl)}{file}"


def _worker_faults(settings: Settings) -> Iterator[tuple[_Place, str]]:
    ring_bytes = settings.workers.ring_bytes
    smaller = 1 << (ring_bytes.bit_length() - 1)
    if ring_bytes != smaller:
        yield ("workers", "ring_bytes"), f"= {ring_bytes} is not a power of two; give {smaller} or {smaller * 2}"
    least, most = settings.workers.min_count, settings.workers.max_count
    if most != "auto" and least > most:
        yield ("workers", "min_count"), f"= {least} is more than max_count = {most}; give at most {most}, or raise that"
    for name, group in settings.workers.groups.items():
        for key, fault in _group_faults(name, group):
            yield ("workers", "groups", name, key), fault


def _group_faults(name: str, group: GroupSettings) -> Iterator[tuple[str, str]]:
    if name == DEFAULT_GROUP and group.count:
        yield "count", f"= {group.count} is not valid: this group has [workers] count workers; give their number there"
    if name != DEFAULT_GROUP and not group.count:
        yield "count", f"= 0 is not valid: a group has workers; give {_allowed(GroupCount)}"
    if isinstance(group.cpus, str) and not re.fullmatch("others|numa:[0-9]{1,4}", group.cpus):
        yield "cpus", f"= {_shown(group.cpus)} is not valid; give {_allowed(CpuPlaces)}"
    elif len(set(group.cpus)) < len(group.cpus) and isinstance(group.cpus, tuple):
        yield "cpus", f"= {_shown(list(group.cpus))} names a CPU twice; give each one once"


def _command_faults(settings: Settings) -> Iterator[tuple[_Place, str]]:
    groups = {DEFAULT_GROUP, *settings.workers.groups}
    for name, command in settings.commands.items():
        short_name = name.rpartition(".")[2]
        if name != short_name and short_name in settings.commands:
            yield (
                ("commands", name),
                f"and {_header(('commands', short_name))} may name the same command; keep one of the two",
            )
        if command.group is not None and command.group not in groups:
            remedy = _did_you_mean(command.group, groups, f"add {_header(('workers', 'groups', command.group))}")
            yield (
                ("commands", name, "group"),
                f"= {_shown(command.group)} is not a group; {remedy} (the groups are: {_listed(groups)})",
            )


def _allowed(kind: Any) -> str:  # noqa: ANN401 - whatever a field may be declared as
    """Return the words attached to a type, the outermost first."""
    for argument in reversed(get_args(kind)):
        words = argument.description if isinstance(argument, msgspec.Meta) else _allowed(argument)
        if words:
            return words
    return ""


def _did_you_mean(name: str, known: Collection[str], otherwise: str) -> str:
    """Return the remedy for a misspelt name: the closest known one, else what to do instead."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    closest = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f"did you mean {by_lower[closest[0]]}?" if closest else otherwise


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))


def _subject(place: _Place) -> str:
    """Name a place as its reader finds it in the file: ``[workers] count``, or ``[workers.groups.pricing]``."""
    tables = (("commands",), ("workers", "groups"))
    if len(place) == 1 or place in tables or place[:-1] in tables:
        return _header(place)
    return f"{_header(place[:-1])} {place[-1]}"


def _header(place: _Place) -> str:
    return "[" + ".".join(name if re.fullmatch(r"[\w-]+", name, re.ASCII) else f'"{name}"' for name in place) + "]"


def _shown(value: object) -> str:
    """Write a value as TOML would, cut where it is long."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value if len(value) <= _SHOWN_CHARACTERS else f"{value[:_SHOWN_CHARACTERS]}...")
    return _SHORTLY.repr(value)


class _Shortly(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        return super().repr_int(x, level) if x.bit_length() < _SHOWN_BITS else "a number of thousands of digits"


_SHORTLY: Final = _Shortly()
