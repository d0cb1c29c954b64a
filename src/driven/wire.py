"""Messages to bytes and back: everything that the main process and a worker say to each other.

The whole conversation, one line per record kind::

    bus -> worker                                worker -> bus
    -------------                                -------------
                                                 HELLO          I am up; this is my catalog's fingerprint
                                                 UNFIT          I cannot work, and this is why
    SUBMISSION     run this command
    SUBMISSIONS    run these commands, one after the other
                                                 READ_REQUEST   the command needs this aggregate
    READ_REPLY     here it is
    READ_REFUSED   it cannot be had, and this is why
                                                 COMPLETION     this is its outcome
                                                 UNREADABLE     the oldest submission that I have not answered
                                                                cannot be decoded, and this is why
    STOP           finish and leave
                                                 GOODBYE        leaving; nothing follows

A worker answers its submissions in the order in which they came. STOP does not wait for its turn: a worker leaves
when it has answered the one that it runs, and what it has not begun is not answered.

Every body is MessagePack, written and checked by msgspec; nothing here can construct an object of a
type that is not in the catalog. Bodies of commands, events and aggregates are opaque bytes at this
level: they are decoded by whoever runs code on them, and stored as they are.
"""

from __future__ import annotations

import enum
import functools
import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from driven.domain.arrays import from_plain, to_plain
from driven.domain.messages import Envelope
from driven.domain.shape import has_other_than_text_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


T = TypeVar("T", bound=msgspec.Struct)


class RecordKind(enum.IntEnum):
    """What a record's body is; see the conversation at the head of this module."""

    SUBMISSION = 1
    READ_REPLY = 2
    STOP = 3
    READ_REFUSED = 4
    SUBMISSIONS = 5
    HELLO = 16
    UNFIT = 17
    READ_REQUEST = 18
    COMPLETION = 19
    GOODBYE = 20
    UNREADABLE = 21


class EncodedMessage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message as bytes; `type_id` is its place in the catalog of this application."""

    type_id: int
    body: bytes


class StoredEvent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event of a stream, as it stands in the log: of the version that its type had when it was recorded."""

    name: str
    version: int
    body: bytes


class AggregateState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One aggregate as stored: `version` 0, no body and no events when there is none."""

    name: str
    id: str
    version: int
    body: bytes | None
    """The document of a state-stored aggregate; of an event-sourced one a snapshot as of version
    ``version - len(events)``, or None: its stream is here from its beginning."""
    events: tuple[StoredEvent, ...] = ()
    """Of an event-sourced aggregate, those that the body does not hold yet, oldest first."""


class Read(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Proof of what a handler saw: this aggregate, at this version (O5)."""

    name: str
    id: str
    version: int


class Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What became of an aggregate that was at `expected_version` (0: it must not exist yet).

    Of a state-stored one the new document, which is its next version. Of an event-sourced one the events that its
    stream goes on with, each a version of its own.
    """

    name: str
    id: str
    expected_version: int
    body: bytes | None
    """The document; or a snapshot that holds all of `events` already, or None: no snapshot is taken."""
    events: tuple[int, ...] = ()
    """Which of the outcome's events belong to the stream: their places among those, counted from 0, ascending."""

    @property
    def new_version(self) -> int:
        """The version of the aggregate from then on."""
        return self.expected_version + (len(self.events) or 1)


class Failure(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What went wrong: the qualified name of the error, its text, and the traceback where it was raised."""

    error_type: str
    message: str
    traceback: str = ""


class Succeeded(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """The handler returned; its events in emission order, its changes, and what it read."""

    events: tuple[EncodedMessage, ...] = ()
    changes: tuple[Change, ...] = ()
    reads: tuple[Read, ...] = ()


class Failed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """The handler raised, or could not be run; only what it read is kept, to judge whether it was stale."""

    failure: Failure
    reads: tuple[Read, ...] = ()


Outcome = Succeeded | Failed


class Submission(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One command on its way to where it runs; `generation` counts its dispatches (W4), `attempt` its failures."""

    envelope: Envelope
    generation: int
    attempt: int
    type_id: int
    body: bytes
    states: tuple[AggregateState, ...] = ()


class Completion(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What came of a run of a command: the nanoseconds it took, and when it began (`time.monotonic_ns`; 0: unknown)."""

    position: int
    generation: int
    elapsed_ns: int
    outcome: Outcome
    started_ns: int = 0


class ReadRequest(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A running command asks for an aggregate that did not travel with it."""

    position: int
    generation: int
    name: str
    id: str


class Hello(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A worker is ready; `wiring` must equal that of the bus, `source` is the file the application came from."""

    wiring: tuple[str, ...]
    source: str = ""


class Unfit(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A worker could not get ready; `reason` is for people, `traceback` may be empty."""

    reason: str
    traceback: str = ""


class Assignment(msgspec.Struct, frozen=True):
    """What a worker is started with: the one argument of its program, as JSON."""

    channel: str
    """`Handoff` of the channel, as JSON of its own."""
    liveness_descriptor: int
    """Read end of a pipe whose other end only the bus holds."""
    fault_descriptor: int
    """An open file for what the interpreter says when it dies."""
    bus_pid: int
    """Process id of the bus, which started this worker itself."""
    import_path: tuple[str, ...]
    """The bus's ``sys.path``: a worker imports the same modules."""
    python_path: str | None
    """PYTHONPATH as the user set it, for what the handlers start."""
    reference: str | None
    """The application, as ``"package.module:attribute"``; None: there is none, and plain calls come instead."""
    modules: tuple[str, ...]
    """What else to import before the application is complete."""
    log_id: str
    cpus: tuple[int, ...]
    """CPUs to be pinned to; empty: none."""
    available_cpus: int
    """How many CPUs bus and workers have together."""
    memory_limit_bytes: int = 0
    """How much memory of its own it may have; 0: as much as there is."""


encode: Final = msgspec.msgpack.Encoder(enc_hook=to_plain).encode
"""Any of the structs above to bytes."""

encode_body: Final = msgspec.msgpack.Encoder(enc_hook=to_plain, order="deterministic").encode
"""A message or an aggregate to bytes: equal values give equal bytes, in whatever order sets and dicts were filled."""


@functools.lru_cache(maxsize=4_096)
def body_encoder(struct_type: type[msgspec.Struct]) -> Callable[[Any], bytes]:
    """How values of a message or aggregate type become bytes, the same bytes in every process (O6).

    msgspec sorts dicts whose keys are text. A type that declares other keys has no sets, so its dicts may stay as
    they were filled, which a deterministic handler does in one order.
    """
    return encode if has_other_than_text_keys(struct_type) else encode_body


@functools.lru_cache(maxsize=4_096)
def body_decoder(struct_type: type[T]) -> Callable[[bytes], T]:
    """How the bytes of a message or aggregate type become a value."""
    return msgspec.msgpack.Decoder(struct_type, dec_hook=from_plain).decode


def encode_submissions(bodies: Sequence[bytes]) -> bytes:
    """Encoded submissions, fewer than 65,536, as one body."""
    return b"\xdc" + len(bodies).to_bytes(2, "big") + b"".join(bodies)  # MessagePack's `array 16`


decode_submissions: Final = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
"""The submissions of one body, each still encoded: what is wrong with one of them is the fault of that one (D10)."""

decode_submission: Final = msgspec.msgpack.Decoder(Submission).decode
decode_completion: Final = msgspec.msgpack.Decoder(Completion).decode
decode_read_request: Final = msgspec.msgpack.Decoder(ReadRequest).decode
decode_state: Final = msgspec.msgpack.Decoder(AggregateState).decode
decode_hello: Final = msgspec.msgpack.Decoder(Hello).decode
decode_unfit: Final = msgspec.msgpack.Decoder(Unfit).decode
decode_failure: Final = msgspec.msgpack.Decoder(Failure).decode


def encode_assignment(assignment: Assignment) -> str:
    """As text for a command line. The standard library writes it: paths may hold bytes that are no UTF-8."""
    return json.dumps(msgspec.to_builtins(assignment))


def decode_assignment(text: str) -> Assignment:
    """What `encode_assignment` wrote; ValueError for anything else."""
    return msgspec.convert(json.loads(text), Assignment)
