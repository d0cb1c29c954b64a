"""Events as AWS sends them, as far as they are looked at: what is not so is refused before anything is done with it.

The names of fields are those of AWS. Values only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from driven.errors import DrivenError

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


class Unintelligible(DrivenError):
    """An event, or a record of one, that stands for no command; `reason` says why, and what to do."""

    def __init__(self, what: str, reason: str) -> None:
        self.what = what
        self.reason = reason
        super().__init__(f"{what}: {reason}")


class _Http(msgspec.Struct, frozen=True):
    method: str
    sourceIp: str = ""  # noqa: N815 - as AWS has it


class _HttpContext(msgspec.Struct, frozen=True):
    http: _Http
    stage: str = "$default"


class GatewayV2(msgspec.Struct, frozen=True):
    """API Gateway with payload format 2.0, and function URLs."""

    requestContext: _HttpContext  # noqa: N815 - as AWS has it
    rawPath: str = "/"  # noqa: N815 - the same
    rawQueryString: str = ""  # noqa: N815 - the same
    headers: dict[str, str] | None = None
    cookies: tuple[str, ...] | None = None
    body: str | None = None
    isBase64Encoded: bool = False  # noqa: N815 - the same


class _PathContext(msgspec.Struct, frozen=True):
    path: str = ""


class GatewayV1(msgspec.Struct, frozen=True):
    """API Gateway with payload format 1.0."""

    httpMethod: str  # noqa: N815 - as AWS has it
    requestContext: _PathContext = _PathContext()  # noqa: N815 - the same
    path: str = "/"
    headers: dict[str, str] | None = None
    multiValueHeaders: dict[str, tuple[str, ...]] | None = None  # noqa: N815 - the same
    queryStringParameters: dict[str, str] | None = None  # noqa: N815 - the same
    multiValueQueryStringParameters: dict[str, tuple[str, ...]] | None = None  # noqa: N815 - the same
    body: str | None = None
    isBase64Encoded: bool = False  # noqa: N815 - the same


class _Delivery(msgspec.Struct, frozen=True):
    MessageGroupId: str = ""


class SqsRecord(msgspec.Struct, frozen=True):
    """A message of a queue."""

    messageId: str  # noqa: N815 - as AWS has it
    body: str = ""
    eventSourceARN: str = ""  # noqa: N815 - the same
    attributes: _Delivery = _Delivery()


class _Bucket(msgspec.Struct, frozen=True):
    name: str


class _Stored(msgspec.Struct, frozen=True):
    key: str
    sequencer: str = ""
    versionId: str = ""  # noqa: N815 - as AWS has it


class _Place(msgspec.Struct, frozen=True):
    bucket: _Bucket
    object: _Stored


class S3Record(msgspec.Struct, frozen=True):
    """Something that happened to an object."""

    s3: _Place
    eventTime: str = ""  # noqa: N815 - as AWS has it


class BridgeEvent(msgspec.Struct, frozen=True):
    """An event of EventBridge."""

    id: str
    detail_type: str = msgspec.field(name="detail-type")
    detail: Any = msgspec.field(default_factory=dict)


class Named(msgspec.Struct, frozen=True):
    """A command by its stable name, as it is sent where nothing else is agreed on."""

    command: str
    data: Any = msgspec.field(default_factory=dict)
    id: str | None = None


def as_a(kind: type[T], value: object, what: str) -> T:
    """`value` as what it should be.

    Raises:
        Unintelligible: it is something else.

    """
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError, ValueError) as error:
        raise Unintelligible(what, str(error)) from None


def is_http(event: Mapping[str, Any]) -> bool:
    """Whether an event asks for an HTTP answer."""
    return "requestContext" in event and ("httpMethod" in event or event.get("version") == "2.0")
