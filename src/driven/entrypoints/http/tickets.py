"""Tickets: how a receipt is named outside, so that knowing a command's id is not enough to read what came of it.

A ticket is the id and a MAC over it (HMAC-SHA256, RFC 2104, 128 of its bits). The secret is a setting, or made anew at
each start: then tickets of before are void, and sending the command again with its key gives a new one.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from typing import Final

_MAC_BYTES: Final = 16
_SECRET_BYTES: Final = 32


class Tickets:
    """Makes and reads tickets; as long-lived as the API that is served."""

    def __init__(self, secret: str) -> None:
        """`secret` empty: a new one."""
        self._secret: Final = secret.encode() if secret else secrets.token_bytes(_SECRET_BYTES)

    def issue(self, command_id: str) -> str:
        """The ticket of a command."""
        name = base64.urlsafe_b64encode(command_id.encode()).rstrip(b"=").decode()
        return f"{name}.{self._mac(command_id)}"

    def command_id(self, ticket: str) -> str | None:
        """The command of a ticket; None: it is none of ours."""
        name, _, mac = ticket.partition(".")
        try:
            command_id = base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
        except ValueError:
            return None
        is_ours = hmac.compare_digest(mac.encode("utf-8", "replace"), self._mac(command_id).encode())
        return command_id if is_ours else None

    def _mac(self, command_id: str) -> str:
        mac = hmac.digest(self._secret, command_id.encode(), "sha256")[:_MAC_BYTES]
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
