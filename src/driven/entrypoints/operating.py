"""What the verbs of an operator share: who types, and a bus that is only looked at. Functions only."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, NoReturn

from driven.errors import BusClosed

if TYPE_CHECKING:
    from driven.bus.receipts import Receipt
    from driven.service.built_in import BuiltIn


def who_types(by: str | None) -> str:
    """Who wants it: the user, unless he says who; empty: a user without a name."""
    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


async def refuse(command: BuiltIn) -> Receipt:
    """Nobody who only looks puts anything on a bus.

    Raises:
        BusClosed: always.

    """
    _closed(command)


def _closed(command: BuiltIn) -> NoReturn:
    raise BusClosed(f"it was never opened, and cannot take {type(command).__name__}")
