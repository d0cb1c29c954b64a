"""Messages to bytes and back: everything that the main process and a worker say to each other.

The whole conversation, one line per record kind::

    bus -> worker                                worker -> bus
    -------------                                -------------
                                                 HELLO          I am up; this is my catalog's fingerprint
                                                 UNFIT          I cannot work, and this is why
    SUBMISSION     run this command
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
import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from driven.domain.arrays import UnfitArray, from_plain, to_plain
from driven.domain.messages import Envelope, Message
from driven.domain.shape import fingerprint_text, has_other_than_text_keys
from driven.errors import MalformedMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


T = TypeVar("T", bound=msgspec.Struct)


class RecordKind(enum.IntEnum):
    """What a record's body is; see the conversation at the head of this module."""

    SUBMISSION = 1
    READ_REPLY = 2
    STOP = 3
    READ_REFUSED = 4
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


class MessageType(msgspec.Struct, frozen=True):
    """One entry of a catalog: a message type under its stable name and version."""

    type_id: int
    name: str
    version: int
    type: type[Message]  # noqa: A003 - what it is; nothing else in this class needs the builtin


class Catalog:
    """All message types of an application, by number, by type and by name; made once, never changed.

    The numbers are places in the order of names, so that the bus and its workers agree on them when they
    run the same code; `fingerprint` lets them find out when they do not.
    """

    __slots__ = ("_by_name", "_by_type", "_decoders", "_encoders", "entries", "fingerprint")

    def __init__(self, types: Iterable[tuple[str, type[Message]]]) -> None:
        """Build from (stable name, type) pairs; names must be unique."""
        named = sorted(types, key=lambda pair: pair[0])
        self.entries: Final = tuple(
            MessageType(number, name, vars(message_type).get("message_version", 1), message_type)
            for number, (name, message_type) in enumerate(named)
        )
        self._by_type = {entry.type: entry for entry in self.entries}
        self._by_name = {entry.name: entry for entry in self.entries}
        self._encoders = tuple(body_encoder(entry.type) for entry in self.entries)
        self._decoders = tuple(body_decoder(entry.type) for entry in self.entries)
        self.fingerprint: Final = _fingerprint(self.entries)

    def entry_of(self, message_type: type[Message]) -> MessageType | None:
        """The entry of a type, or None when it is not in the catalog."""
        return self._by_type.get(message_type)

    def named(self, name: str) -> MessageType | None:
        """The entry of a stable name, or None when it is not in the catalog."""
        return self._by_name.get(name)

    def encode(self, message: Message) -> EncodedMessage:
        """Encode, and decode again to be sure that whoever receives it can; KeyError for a foreign type.

        Raises:
            MalformedMessage: a field holds something that cannot be encoded, or not what it declares.

        """
        entry = self._by_type[type(message)]
        decode_one = self._decoders[entry.type_id]
        try:
            body = self._encoders[entry.type_id](message)
            decode_one(body)
        except Exception as error:  # noqa: BLE001 - a message's own __post_init__ may raise anything
            reason = _reason(message, decode_one, error)
            raise MalformedMessage(entry.name, _culprit(message, reason), _remedy(entry.name, reason)) from reason
        return EncodedMessage(entry.type_id, body)

    def decode(self, type_id: int, body: bytes) -> Any:  # noqa: ANN401 - the message type is known at run time only
        """Decode a body.

        Raises:
            MalformedMessage: the bytes are not a message of that type.

        """
        if not 0 <= type_id < len(self.entries):
            raise MalformedMessage(f"message type number {type_id}", "there is no such type in the catalog")
        try:
            return self._decoders[type_id](body)
        except Exception as error:  # as above
            raise MalformedMessage(self.entries[type_id].name, str(error)) from error


class _Unordered(Exception):
    """Everything is of the type that was declared, and yet msgspec cannot bring it into an order."""

    def __init__(self) -> None:
        super().__init__("dicts or sets in it cannot be brought into an order")


def _reason(message: Message, decode_one: Callable[[bytes], Any], error: Exception) -> Exception:
    """`error`, or what is behind it: what is of another type than declared often cannot be sorted either."""
    if type(error) is not TypeError:
        return error
    try:
        decode_one(encode(message))
    except Exception as plain_error:  # noqa: BLE001 - as in `Catalog.encode`
        return plain_error
    return _Unordered()


def _remedy(name: str, reason: Exception) -> str:
    """What to do about it; empty when the message has to be made as it is declared."""
    match reason:
        case _Unordered():
            return "use plain str for the keys of dicts, and members of one type in a set"
        case OverflowError():
            return "keep ints from -2**63 to 2**64 - 1, or declare and send them as str"
        case UnicodeEncodeError():
            return "send text without lone surrogates, or declare and send it as bytes"
        case RecursionError():
            return "nest it less deeply, and let nothing hold itself"
        case TypeError() | msgspec.MsgspecError(__cause__=None | UnfitArray()):
            return ""
        case _:
            return f"send values that the __post_init__ of {name} takes"


def _culprit(message: Message, reason: Exception) -> str:
    """`reason`, with the field that cannot be encoded, where that can be found out."""
    encode_one = encode_body if isinstance(reason, _Unordered) else encode
    for field in message.__struct_fields__:
        try:
            encode_one(getattr(message, field))
        except Exception:  # noqa: BLE001 - any reason not to encode makes this the culprit
            return f"field {field!r}: {reason}"
    return str(reason)


def _fingerprint(entries: tuple[MessageType, ...]) -> str:
    """The same in every process that has the same messages; another one as soon as a field anywhere in them differs."""
    shape = [(entry.name, entry.version, fingerprint_text(entry.type)) for entry in entries]
    return hashlib.blake2b(encode(shape), digest_size=16).hexdigest()
