"""The catalog: all message types of an application, and what becomes of messages that were recorded by older ones.

::

    message --encode--> bytes --decode--> message                        between processes that run the same code
    log: name, version n, bytes --> builtins --upcast n--> ... --> message of today              decode_logged

Made with the registry and as long-lived; never changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from driven.domain.arrays import UnfitArray
from driven.domain.messages import Message
from driven.domain.shape import fingerprint_text
from driven.errors import MalformedMessage, UnreadableMessage
from driven.wire import EncodedMessage, body_decoder, body_encoder, encode, encode_body

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

Step = Callable[[Any], Any]
"""From the fields of one version of a message, as msgspec decodes them without knowing their type, to the next."""


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

    __slots__ = ("_by_name", "_by_type", "_decoders", "_encoders", "_steps", "entries", "fingerprint")

    def __init__(self, types: Iterable[tuple[str, type[Message]]], steps: Mapping[tuple[str, int], Step] = {}) -> None:
        """Build from (stable name, type) pairs; names must be unique.

        `steps` lead from a version of a stable name to the next (X3).
        """
        self._steps: Final = dict(steps)
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

    def decode_logged(self, name: str, version: int, body: bytes) -> Any:  # noqa: ANN401 - as above
        """Decode a message as it stands in the log, of whatever version it was when it was recorded (X3).

        Raises:
            UnreadableMessage: the application has no message of that name, or no way from that version to today's.
            MalformedMessage: the bytes are not a message of that type and version.

        """
        entry = self._by_name.get(name)
        if entry is not None and entry.version == version:
            return self.decode(entry.type_id, body)
        entry = self._entry_for(name, version)
        return self._lifted(entry, version, body)

    def current(self, name: str, version: int, body: bytes) -> EncodedMessage:
        """A message of the log as it would be encoded today; raises what `decode_logged` raises."""
        entry = self._by_name.get(name)
        if entry is not None and entry.version == version:
            return EncodedMessage(entry.type_id, body)
        entry = self._entry_for(name, version)
        return EncodedMessage(entry.type_id, self._encoders[entry.type_id](self._lifted(entry, version, body)))

    def unreadable_because(self, name: str, version: int) -> str | None:
        """Why a message of the log cannot be read, ending in what to do; None: it can be."""
        entry = self._by_name.get(name)
        return unreadable_because(name, version, None if entry is None else entry.version, self._steps)

    def _entry_for(self, name: str, version: int) -> MessageType:
        """The entry of `name`, if what was recorded at `version` can be read."""
        fault = self.unreadable_because(name, version)
        if fault is not None:
            raise UnreadableMessage(name, version, fault)
        return self._by_name[name]

    def _lifted(self, entry: MessageType, version: int, body: bytes) -> Any:  # noqa: ANN401 - as above
        at = version
        try:
            told = msgspec.msgpack.decode(body)
            while at < entry.version:
                told = self._steps[entry.name, at](told)
                at += 1
            return self._decoders[entry.type_id](encode(told))
        except Exception as error:  # an upcaster may raise anything, and so may a message's own __post_init__
            culprit = f"{entry.name} version {version}, upcast to version {at + (at < entry.version)}"
            reason = f"{type(error).__name__}: {error}"
            raise MalformedMessage(culprit, reason, "mend the upcaster that leads there") from error


def unreadable_because(
    name: str, version: int, known_version: int | None, steps: Container[tuple[str, int]]
) -> str | None:
    """Why a message of the log cannot be read, ending in what to do; None: it can be.

    `known_version` is the one that the application declares today; None: it has no message of that name.
    """
    if known_version is None:
        return (
            f"the application has no message of that name; set message_name = {name!r} in the class that it became, "
            f"or say app.forgets({name!r}) if nobody needs it any more"
        )
    if version > known_version:
        return f"the application knows it up to version {known_version}; run the release that wrote it, or a later one"
    missing = next((at for at in range(version, known_version) if (name, at) not in steps), None)
    if missing is None:
        return None
    return f"nothing leads from version {missing} to {missing + 1}; write @app.upcasts({name!r}, version={missing})"


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
