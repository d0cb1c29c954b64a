"""The settings: one frozen struct, whose field types say what is allowed.

Whoever opens a bus owns its settings; they never change while the bus lives. What is allowed stands in the type of
each field, in words that end up in the message about a wrong value; `driven.configuration` reads and checks. A setting
in the environment wins over the file::

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

from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from driven.placement import Placement

DEFAULT_FILE: Final = Path("driven.toml")
"""The file that is read when no other is named: in the current folder, and it may be missing."""

DEFAULT_GROUP: Final = "default"
"""The group of workers that serves commands which name no other; it has `[workers] count` workers."""

ENVIRONMENT: Final = "from the environment"
"""The `source` of a `SettingsError` when no file was read."""

YEAR_S: Final = 31_536_000
"""The longest time that may be set, in seconds: 365 days. Longer ones overflow the timers of some systems."""


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
Ordering: TypeAlias = Annotated[Literal["strict", "keyed"], _words('"strict" or "keyed"')]
StoreUrl: TypeAlias = Annotated[str, _words('"memory://" or "sqlite:///" and the path of a file')]
Durability: TypeAlias = Annotated[Literal["each", "group", "none"], _words('"each", "group" or "none"')]
HostName: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, description="an address or the name of a host")]
PortNumber: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=65_535, description="a whole number from 0 to 65535")]
Token: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[!-~]*$", description="visible ASCII without spaces")]
Secret: TypeAlias = Annotated[str, msgspec.Meta(pattern="^(.{16,})?$", description="text of at least 16 characters")]
SECRETS: Final = (Token, Secret)
"""Types of values that no message shows."""
UpToMostWorkers: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1024)]
WorkerCount: TypeAlias = Annotated[UpToMostWorkers | Literal["auto"], _words('"auto" or a whole number from 0 to 1024')]
WorkerKind: TypeAlias = Annotated[Literal["auto", "processes", "threads"], _words('"auto", "processes" or "threads"')]
MostWorkers: TypeAlias = Annotated[
    Annotated[int, msgspec.Meta(ge=1, le=1024)] | Literal["auto"], _words('"auto" or a whole number from 1 to 1024')
]
GroupCount: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1024, description="a whole number from 1 to 1024")]
RingSize: TypeAlias = Annotated[
    int, msgspec.Meta(ge=1 << 12, le=1 << 30, description="a power of two from 4096 to 1073741824")
]
# Which words there are is checked by `driven.configuration`: msgspec 0.22 crashes on a pattern in such a union.
CpuPlaces: TypeAlias = Annotated[
    tuple[NotNegative, ...] | str,
    _words('a list of different CPU numbers, each at least 0, such as [2, 3], or "numa:0", or "others"'),
]
CpuNumber: TypeAlias = Annotated[NotNegative | None, _words("the number of a CPU, at least 0")]
GroupName: TypeAlias = Annotated[str, _words("the name of a group")]
WhereToRun: TypeAlias = Annotated[
    Placement, _words('"inline", "worker" or "auto" (in code: Placement.INLINE, WORKER or AUTO)')
]


class BusSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[bus]`: order, bounds and failure."""

    ordering: Ordering = "strict"
    """What order the bus promises. ``"strict"``: one order for everything (O1 to O3). ``"keyed"``: commands of the same
    key in order, others as they are done (O9); weaker, and the log is no longer the same for any number of workers."""

    max_pending: AtLeastOne = 100_000
    """How many messages may wait unretired before the entrance is full, in messages (F4). Only what comes in from
    outside is held back; messages that commands cause always find room."""

    max_hops: AtLeastOne = 64
    """Longest chain of causes, in messages between a root command and what it caused; beyond, parked (F5)."""

    max_descendants: AtLeastOne = 1_000_000
    """Most messages that one root command may cause, directly and indirectly; beyond, parked (F5)."""

    cpu: CpuNumber = None
    """The CPU that the bus thread is pinned to while the bus is open; None: not pinned."""

    drain_timeout_s: Seconds = 10.0
    """How long closing the bus may take, in seconds (X4): accepted commands retire, then workers leave. What is left
    then is given up, and its receipts raise `BusClosed`: the memory store of this version keeps nothing."""

    retries: NotNegative = 2
    """How many more times an internal command that fails is tried, at the head, before it is parked (F2)."""


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[store]`: where state and log live."""

    url: StoreUrl = "memory://"
    """Which store, as scheme and place. ``memory://``: in this process, gone when it ends. ``sqlite:///driven.db``: one
    file in the current folder; ``sqlite:////var/lib/driven.db``: anywhere."""

    durability: Durability = "group"
    """When a command counts as accepted, and what it survives then (U4). ``"group"``: when it is on the disk, many
    commands in one transaction. ``"each"``: the same, each command that comes from outside in a transaction of its own.
    ``"none"``: at once; a crash loses what was not written yet, a power cut what was not on the disk yet."""


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[http]`: what is served, to whom, and within which bounds."""

    host: HostName = "127.0.0.1"
    """The address to listen on. Anything but this machine's own needs a `token`, an `authorize` hook, or
    `allow_anonymous`."""

    port: PortNumber = 8000
    """The port to listen on; 0: any that is free."""

    token: Token = ""
    """The bearer token without which nothing but health is answered; empty: none is asked for. Better given as
    DRIVEN_HTTP_TOKEN than in a file."""

    allow_anonymous: Truth = False
    """Whether other machines may reach this one without a token and without an `authorize` hook."""

    receipt_secret: Secret = ""
    """What receipts are signed with, at least 16 characters; empty: something new at each start, after which older
    receipts are void."""

    wait_s: Seconds = 5.0
    """How long an answer waits for its command to be handled, if the request does not say, in seconds; then 202."""

    max_wait_s: Seconds = 60.0
    """The longest that a request may ask to wait, in seconds."""

    accept_timeout_s: Seconds = 1.0
    """How long a command may wait at a full entrance before it is answered 429, in seconds."""

    max_in_flight: AtLeastOne = 10_000
    """How many commands from HTTP may be unsettled at a time; beyond, 429."""

    max_body_bytes: AtLeastOne = 1 << 20
    """The largest body that is taken, in bytes; beyond, 413."""

    body_timeout_s: PositiveSeconds = 10.0
    """How long the head of a request may take to come in, then its body, in seconds; beyond, 408. Also how long a
    client may take nothing of its answer."""

    head_timeout_s: PositiveSeconds = 60.0
    """How long the head of the queue may be blocked before ``/health/ready`` says no, in seconds."""

    docs: Truth = True
    """Whether there is a page at ``/docs`` to try the API on."""

    def __repr__(self) -> str:
        """Without what nobody is told."""
        hidden = {name: "..." for name in ("token", "receipt_secret") if getattr(self, name)}
        told = {**msgspec.structs.asdict(self), **hidden}
        return f"HttpSettings({', '.join(f'{name}={value!r}' for name, value in told.items())})"


class GroupSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[workers.groups.<name>]`: workers set aside for the commands that name this group."""

    count: GroupCount = 0
    """How many workers the group has: at least 1. Only the group ``default`` leaves it out, as 0: its number is
    `[workers] count`."""

    cpus: CpuPlaces = ()
    """The CPUs that these workers are pinned to: numbers as the kernel counts them; ``"numa:1"`` for those of a NUMA
    node; ``"others"`` for all but the bus's (`[bus] cpu`). Empty: not pinned."""

    exclusive: Truth = False
    """Whether nobody else of this bus runs on those CPUs: neither other workers nor the bus thread."""

    memory_limit_bytes: NotNegative | None = None
    """How much memory one worker of this group may have, in bytes, instead of `[workers] memory_limit_bytes`; 0: as
    much as there is."""


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[workers]`: the processes or threads that compute."""

    count: WorkerCount = "auto"
    """How many workers the group ``default`` has. ``"auto"``: as many as there are CPUs available, and from then on as
    many as the work needs, from `min_count` to `max_count`. A number: always so many. 0: no workers in any group,
    every command runs inline."""

    min_count: AtLeastOne = 1
    """With ``count = "auto"``: how many workers stay, however long there is nothing to do."""

    max_count: MostWorkers = "auto"
    """With ``count = "auto"``: how many workers there may be. ``"auto"``: as many as there are CPUs available, which is
    read again while the bus runs."""

    idle_timeout_s: PositiveSeconds = 60.0
    """With ``count = "auto"``: how long a worker may do nothing before it is let go, in seconds."""

    kind: WorkerKind = "auto"
    """What a worker is (W9). ``"processes"``: a process of its own, which can be killed. ``"threads"``: a thread of
    this process, for free-threaded CPython and for handlers that release the GIL. ``"auto"``: threads where the GIL is
    off when the bus opens and nothing is asked that only processes can do, else processes."""

    ring_bytes: RingSize = 1 << 20
    """Size of each of the two rings of a worker, in bytes: a power of two from 4096 to 1073741824 (1 GiB). A message
    larger than a quarter of it travels beside it, in memory of its own, which costs more."""

    max_attempts: AtLeastOne = 3
    """How many workers one command may bring to death before it fails, in deaths (W5)."""

    start_timeout_s: PositiveSeconds = 30.0
    """How long a worker may take from its start until it is ready, imports included, in seconds."""

    stop_timeout_s: Seconds = 5.0
    """How long a worker that is told to stop has before it is killed, in seconds; never longer than is left of
    `[bus] drain_timeout_s`."""

    grace_s: Seconds = 1.0
    """How long a worker has from SIGTERM to SIGKILL when it is ended, in seconds (W5)."""

    heartbeat_timeout_s: Seconds = 10.0
    """How long an idle worker may give no sign of life, and one that runs a command may be stopped (SIGSTOP), before it
    is ended, in seconds; 0: for ever. A freeze of everything does not count (P7)."""

    recycle_after_commands: NotNegative = 0
    """After how many commands a worker is replaced by a fresh one, in commands; 0: never. A fifth more or less, so
    that not all leave at once (P13)."""

    recycle_after_growth_bytes: NotNegative = 0
    """By how much a worker's memory (RSS) may grow, from when it was ready, before it is replaced by a fresh one, in
    bytes; 0: without a bound. A fifth more or less (P13)."""

    memory_limit_bytes: NotNegative = 0
    """How much memory one worker may have, in bytes; 0: as much as there is. An allocation beyond it raises MemoryError
    in the handler (on Linux); a worker that takes a quarter more all the same is ended."""

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

    detached: Truth | None = None
    """Whether it is split in two: at the head it retires as started, its outcome enters at the tail (O9)."""

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

    http: HttpSettings = HttpSettings()
    """What is served over HTTP."""

    commands: dict[str, CommandSettings] = msgspec.field(default_factory=dict)
    """Changes to single commands, by message name, full (``"census.MeasureFile"``) or short (``"MeasureFile"``)."""
