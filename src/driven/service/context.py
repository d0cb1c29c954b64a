"""The context of one running handler: time, ids and randomness that are the same wherever it runs (O6).

A handler that takes the current time from `now`, ids from `new_id` and chance from `random` gives the
same outcome inline, in any worker, and in a replay. A context lives as long as one attempt of one
message.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.domain.messages import Envelope

TellProgress: TypeAlias = "Callable[[int, float, str], None]"
"""Takes a position, a fraction and a text."""

_NANOSECONDS = 1_000_000_000


class Context:
    """What a handler or reaction may know about the message it runs for."""

    __slots__ = ("_log_id", "_made_ids", "_random", "_reaction", "_tell", "attempt", "envelope")

    def __init__(
        self, envelope: Envelope, attempt: int, log_id: str, reaction: str = "", tell: TellProgress | None = None
    ) -> None:
        """`attempt` counts from 1; `log_id` keeps ids of different logs apart, `reaction` those of siblings.

        `tell` hears of progress; None: nobody does.
        """
        self.envelope: Final = envelope
        self.attempt: Final = attempt
        self._log_id = log_id
        self._reaction = reaction
        self._tell = tell
        self._made_ids = 0
        self._random: random.Random | None = None

    @property
    def now(self) -> datetime:
        """When the message was admitted, UTC; the same on every attempt and replay (microseconds)."""
        seconds, nanoseconds = divmod(self.envelope.recorded_at_ns, _NANOSECONDS)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000)

    @property
    def random(self) -> random.Random:
        """A generator seeded by log and position, the same on every attempt; not for secrets."""
        if self._random is None:
            self._random = random.Random(self._digest("random"))  # noqa: S311 - reproducible by design
        return self._random

    def new_id(self) -> uuid.UUID:
        """The next id of this message: unique across logs, the same on every attempt (a version 8 UUID, RFC 9562)."""
        self._made_ids += 1
        number = bytearray(self._digest(f"id {self._made_ids}"))
        number[6] = (number[6] & 0x0F) | 0x80
        number[8] = (number[8] & 0x3F) | 0x80
        return uuid.UUID(bytes=bytes(number))

    def progress(self, fraction: float, text: str = "") -> None:
        """Say how far the work is, for whoever watches: statistics, ``driven top``. The last word wins.

        It changes nothing: neither order nor log nor outcome know of it (O6). It costs a few microseconds. To be called
        on the thread that the handler runs on.

        Args:
            fraction: from 0.0, nothing is done, to 1.0, everything is.
            text: what is being done; about 200 bytes of it are shown, as one line.

        Raises:
            ValueError: `fraction` is none.

        """
        if not 0.0 <= fraction <= 1.0:
            complaint = f"a progress of {fraction!r} is no fraction of the work; give a number from 0.0 to 1.0"
            raise ValueError(complaint)
        if self._tell is not None:
            self._tell(self.envelope.position, float(fraction), str(text))

    def _digest(self, purpose: str) -> bytes:
        seed = "\0".join((self._log_id, str(self.envelope.position), self._reaction, purpose)).encode()
        return hashlib.blake2b(seed, digest_size=16).digest()
