"""Random commands for the application in `ordering`, drawn from a seed; and a clock that is the same in every run."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

from ordering import Plan, command_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from driven import Command

ROOTS = 12

DEADLY = 0.03
"""Share of the plans that end their worker."""


SHORT = ("stateless", "stateless", "keyed", "keyed", "unkeyed", "forgiving")
SHORT_AND_LONG = (*SHORT, "long", "long keyed")
"""Kinds of plans, each as often as it stands here."""


def drawn_plan(
    chance: random.Random, depth: int, endings: Sequence[str] = ("kill",), kinds: Sequence[str] = SHORT
) -> Plan:
    """A tree of plans at most `depth` high, some of which end their worker in one of these ways."""
    return Plan(
        kind=chance.choice(kinds),
        key=chance.choice("abcd"),
        touches=tuple(chance.choices("abcd", k=chance.randint(0, 2))),
        amount=chance.randint(0, 50),
        fails=chance.choice(["never"] * 6 + ["odd", "first", "always"]),
        spin_us=chance.choice([0, 0, 100, 1_000, 5_000]),
        ends=chance.choice(endings) if chance.random() < DEADLY else "",
        children=tuple(drawn_plan(chance, depth - 1, endings, kinds) for _ in range(chance.randint(0, 3)))
        if depth
        else (),
    )


def drawn_commands(
    seed: int, roots: int = ROOTS, endings: Sequence[str] = ("kill",), kinds: Sequence[str] = SHORT
) -> list[Command]:
    """The root commands of one random application."""
    chance = random.Random(seed)
    return [command_of(drawn_plan(chance, 2, endings, kinds)) for _ in range(roots)]


def ticking_clock() -> Callable[[], int]:
    """The same time for the same position, in every run."""
    return itertools.count(1_000_000_000, 1_000_000_000).__next__
