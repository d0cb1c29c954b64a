"""The configuration: one frozen struct, read once, from `driven.toml` and the environment.

::

    driven.toml ------------.
    DRIVEN_<SECTION>_<KEY> --+--> load_settings() --> Settings --> open_bus(application, settings)
                                   all faults at once    ^
    Settings(workers=WorkerSettings(count=2)) -----------'   checked by validate(), in the same way

Whoever opens a bus owns its settings; they never change while the bus lives. What is allowed stands in the type of
each field, in words that end up in the message about a wrong value. A setting in the environment wins over the file::

    [bus]
    max_pending = 10_000               # or DRIVEN_BUS_MAX_PENDING=10000
    [workers]
    count = 4                          # or DRIVEN_WORKERS_COUNT=4
    [workers.groups.pricing]
    count = 2
    cpus = [2, 3]
    [commands."census.MeasureFile"]    # or [commands.MeasureFile]
    placement = "worker"
    group = "pricing"
"""

from __future__ import annotations

import difflib
import json
import os
import re
import reprlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias, TypeVar, get_args, get_origin

import msgspec

from driven.errors import SettingsError
from driven.placement import Placement

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

DEFAULT_FILE: Final = Path("driven.toml")
"""The file that is read when no other is named: in the current folder, and it may be missing."""

DEFAULT_GROUP: Final = "default"
"""The group of workers that serves commands which name no other; it has `[workers] count` workers."""

ENVIRONMENT: Final = "from the environment"
"""The `source` of a `SettingsError` when no file was read."""

YEAR_S: Final = 31_536_000
"""The longest time that may be set, in seconds: 365 days. Longer ones overflow the timers of some systems."""

StructT = TypeVar("StructT", bound=msgspec.Struct)


def _words(text: str) -> msgspec.Meta:
    """Attach the words that follow "give" in the message about a wrong value."""
    return msgspec.Meta(description=text)


NotNegative: TypeAlias = Annotated[int, msgspec.Meta(ge=0, description="a whole number of at least 0")]
AtLeastOne: TypeAlias = Annotated[int, msgspec.Meta(ge=1, description="a whole number of at least 1")]
Seconds: TypeAlias = Annotated[
    float, msgspec.Meta(ge=0, le=YEAR_S, description="a number of seconds from 0 to 31,536,000 (a year)")
]
PositiveSeconds: TypeAlias = Annotated[
    float, msgspec.Meta(gt=0, le=YEAR_S, description="a number of seconds above 0, at most 31,536,000 (a year)")
]
Truth: TypeAlias = Annotated[bool, _words("true or false")]
Ordering: TypeAlias = Annotated[Literal["strict"], _words('"strict"')]
StoreUrl: TypeAlias = Annotated[str, _words('"memory://"')]
UpToMostWorkers: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1024)]
WorkerCount: TypeAlias = Annotated[UpToMostWorkers | Literal["auto"], _words('"auto" or a whole number from 0 to 1024')]
WorkerKind: TypeAlias = Annotated[Literal["auto", "processes"], _words('"auto" or "processes"')]
GroupCount: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1024, description="a whole number from 1 to 1024")]
RingSize: TypeAlias = Annotated[
    int, msgspec.Meta(ge=1 << 12, le=1 << 30, description="a power of two from 4096 to 1073741824")
]
CpuNumbers: TypeAlias = Annotated[
    tuple[NotNegative, ...], _words("a list of different CPU numbers, each at least 0, such as [2, 3]")
]
GroupName: TypeAlias = Annotated[str, _words("the name of a group")]
WhereToRun: TypeAlias = Annotated[
    Placement, _words('"inline", "worker" or "auto" (in code: Placement.INLINE, WORKER or AUTO)')
]


class BusSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[bus]`: order, bounds and failure."""

    ordering: Ordering = "strict"
    """What order the bus promises. ``"strict"``: one order for everything (O1 to O3)."""

    max_pending: AtLeastOne = 100_000
    """How many messages may wait unretired before the entrance is full, in messages (F4). Only what comes in from
    outside is held back; messages that commands cause always find room."""

    max_hops: AtLeastOne = 64
    """Longest chain of causes, in messages between a root command and what it caused; beyond, parked (F5)."""

    max_descendants: AtLeastOne = 1_000_000
    """Most messages that one root command may cause, directly and indirectly; beyond, parked (F5)."""

    drain_timeout_s: Seconds = 10.0
    """How long closing the bus waits for accepted commands to retire, in seconds (X4). What is left then is
    given up, and its receipts raise `BusClosed`: the memory store of this version keeps nothing."""

    retries: NotNegative = 2
    """How many more times an internal command that fails is tried, at the head, before it is parked (F2)."""


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[store]`: where state and log live."""

    url: StoreUrl = "memory://"
    """Which store, as scheme and place. ``memory://``: in this process, gone when it ends."""


class GroupSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[workers.groups.<name>]`: workers set aside for the commands that name this group."""

    count: GroupCount = 0
    """How many workers the group has: at least 1. Only the group ``default`` leaves it out, as 0: its number is
    `[workers] count`."""

    cpus: CpuNumbers = ()
    """Numbers of the CPUs that these workers are pinned to, as the kernel counts them; empty: not pinned."""


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[workers]`: the processes that compute."""

    count: WorkerCount = "auto"
    """How many workers the group ``default`` has. ``"auto"``: as the available CPUs allow. 0: no workers in any
    group, every command runs inline."""

    kind: WorkerKind = "auto"
    """What a worker is. ``"processes"``: a process of its own, which can be killed. ``"auto"``: the same, in this
    version."""

    ring_bytes: RingSize = 1 << 20
    """Size of each of the two rings of a worker, in bytes: a power of two from 4096 to 1073741824 (1 GiB). A message
    larger than a quarter of it travels in a segment of its own, which costs more."""

    max_attempts: AtLeastOne = 3
    """How many workers one command may bring to death before it fails, in deaths (W5)."""

    start_timeout_s: PositiveSeconds = 30.0
    """How long a worker may take from its start until it is ready, imports included, in seconds."""

    stop_timeout_s: Seconds = 5.0
    """How long a worker that is told to stop has before it is killed, in seconds."""

    blas_threads: AtLeastOne = 1
    """How many threads numeric libraries (OpenMP, OpenBLAS, MKL, NumExpr, vecLib) may start in each worker (W10)."""

    groups: dict[str, GroupSettings] = msgspec.field(default_factory=dict)
    """Groups of workers by name; ``default`` exists always, and its section may give `cpus`."""


class CommandSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[commands.<name>]`: what this deployment changes of a command's registration; None: as the decorator says."""

    placement: WhereToRun | None = None
    """Where the handler runs: ``"inline"``, ``"worker"`` or ``"auto"``; see `Placement`."""

    group: GroupName | None = None
    """The group of workers that runs it, one of `[workers.groups]`."""

    sticky: Truth | None = None
    """Whether commands of the same key go to the same worker."""

    timeout_s: PositiveSeconds | None = None
    """How long one attempt may take in a worker before its process is killed, in seconds (W5)."""

    max_attempts: AtLeastOne | None = None
    """How many workers it may bring to death before it fails, in deaths; instead of `[workers] max_attempts`."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set. Constructing one checks nothing: `load_settings` and opening a bus do."""

    bus: BusSettings = BusSettings()
    """Order, bounds and failure."""

    store: StoreSettings = StoreSettings()
    """Where state and log live."""

    workers: WorkerSettings = WorkerSettings()
    """The processes that compute."""

    commands: dict[str, CommandSettings] = msgspec.field(default_factory=dict)
    """Changes to single commands, by message name, full (``"census.MeasureFile"``) or short (``"MeasureFile"``)."""


def load_settings(path: Path | None = None, *, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings from a TOML file and the environment, and check them.

    Without `path`, `driven.toml` in the current folder is read if it is there. Every variable
    ``DRIVEN_<SECTION>_<KEY>`` of the sections bus, store and workers wins over the file: DRIVEN_WORKERS_COUNT=4.
    Settings that neither names have their defaults.

    Raises `SettingsError` that lists every fault: the file is missing although `path` names it, is no TOML, or has
    misspelt keys, wrong types and values out of range; so for the variables.
    """
    text = _read_file(path)
    source = ENVIRONMENT if text is None else str(path or DEFAULT_FILE)
    tables = _parse(source, text or "")
    reader = _Reader(msgspec.convert)
    for variable in _own_variables(environ):
        reader.override(tables, variable, environ[variable])
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

_NOT_IN_THIS_VERSION: Final[dict[tuple[_Place, str], str]] = {
    (("bus", "ordering"), "keyed"): "this version keeps strict order only",
    (("workers", "kind"), "threads"): "this version runs workers as processes only",
}

_SHOWN_CHARACTERS: Final = 80
"""What a message about a wrong text shows of it at most."""


def _own_variables(environ: Mapping[str, str]) -> list[str]:
    prefixes = tuple(_prefix(section) for section in _SECTIONS)
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
        place = _VARIABLES.get(variable)
        if place is None:
            self._variables[variable,] = variable
            self.faults[variable,] = _unknown_variable(variable)
        elif isinstance(table := tables.setdefault(place[0], {}), dict):
            table[place[1]] = value
            self._variables[place] = variable

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
            why = _NOT_IN_THIS_VERSION.get((place, raw)) if isinstance(raw, str) else None
            self.faults[place] = (
                f"= {_shown(raw)} is not valid" + (f": {why}" if why else "") + f"; give {_allowed(kind)}"
            )
            return msgspec.UNSET


def _unknown_variable(variable: str) -> str:
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
    if url != "memory://":
        # A URL may hold a password: only its scheme is shown.
        shown = re.sub(r"://.+", "://...", url, flags=re.DOTALL)
        yield ("store", "url"), f"= {_shown(shown)} is not a store of this version; give {_allowed(StoreUrl)}"


def _worker_faults(settings: Settings) -> Iterator[tuple[_Place, str]]:
    ring_bytes = settings.workers.ring_bytes
    smaller = 1 << (ring_bytes.bit_length() - 1)
    if ring_bytes != smaller:
        yield ("workers", "ring_bytes"), f"= {ring_bytes} is not a power of two; give {smaller} or {smaller * 2}"
    for name, group in settings.workers.groups.items():
        for key, fault in _group_faults(name, group):
            yield ("workers", "groups", name, key), fault


def _group_faults(name: str, group: GroupSettings) -> Iterator[tuple[str, str]]:
    if name == DEFAULT_GROUP and group.count:
        yield "count", f"= {group.count} is not valid: this group has [workers] count workers; give their number there"
    if name != DEFAULT_GROUP and not group.count:
        yield "count", f"= 0 is not valid: a group has workers; give {_allowed(GroupCount)}"
    if len(set(group.cpus)) < len(group.cpus):
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
    try:
        return reprlib.repr(value)
    except ValueError:  # Python refuses to write integers of more than 4,300 digits
        return "a number of thousands of digits"
