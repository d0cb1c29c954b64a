"""Variables of the environment that name a command or a group: which setting each of them means.

::

    DRIVEN_COMMANDS_<NAME>_<KEY>         [commands.<name>] <key>          DRIVEN_COMMANDS_PRICEBOOK_GROUP=pricing
    DRIVEN_WORKERS_GROUPS_<NAME>_<KEY>   [workers.groups.<name>] <key>    DRIVEN_WORKERS_GROUPS_PRICING_COUNT=2

Environments know capital letters, digits and underscores, so a name is compared by its `spelling` there. A section of
the file that a variable means gets its value; where there is none, one is made. Functions only; `driven.configuration`
calls them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from driven.settings import CommandSettings, GroupSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COMMAND_PREFIX: Final = "DRIVEN_COMMANDS_"
GROUP_PREFIX: Final = "DRIVEN_WORKERS_GROUPS_"

_TABLES: Final = (
    (COMMAND_PREFIX, ("commands",), CommandSettings),
    (GROUP_PREFIX, ("workers", "groups"), GroupSettings),
)


def spelling(name: str) -> str:
    """How a name is written in the environment: ``shop.PriceBook`` as ``SHOP_PRICEBOOK``."""
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def place_of(variable: str, tables: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The place that a variable sets: tables from the outside in, then the key; None: it names no such setting."""
    for prefix, place, kind in _TABLES:
        rest = variable.removeprefix(prefix)
        if rest == variable:
            continue
        for field in msgspec.structs.fields(kind):
            name = rest.removesuffix(f"_{field.name.upper()}")
            if name not in {rest, ""}:
                return (*place, _section(name, _names(tables, place), place), field.name)
    return None


def as_cpus(text: str) -> str | list[str]:
    """``2,3`` as a list; words and mistakes as they are."""
    return [part.strip() for part in text.split(",")] if re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", text) else text


def _names(tables: Mapping[str, Any], place: tuple[str, ...]) -> Iterable[str]:
    found: Any = tables
    for name in place:
        found = found.get(name, {}) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) else ()


def _section(name: str, there: Iterable[str], place: tuple[str, ...]) -> str:
    """The section of the file that is meant, else a new one: a group in small letters, a command as it is written."""
    if place == ("commands",):
        meant = [one for one in there if _are_one(spelling(one), name)]
        return meant[0] if len(meant) == 1 else name
    return next((one for one in there if spelling(one) == name), name.lower())


def _are_one(first: str, second: str) -> bool:
    """Whether two spellings may be of one command: the same, or one is short and the other full."""
    return first == second or first.endswith(f"_{second}") or second.endswith(f"_{first}")
