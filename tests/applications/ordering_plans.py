"""Any plans for the application in `ordering`, for properties: strategies of Hypothesis. Functions only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from ordering import Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

SHORT = ("stateless", "keyed", "unkeyed", "forgiving")
SHORT_AND_LONG = (*SHORT, "long", "long keyed")
SELDOM = ("never", "never", "never", "never", "odd", "first", "always")
"""How often plans fail, and which: each as often as it stands here."""


def plans(
    depth: int,
    kinds: Sequence[str] = SHORT,
    *,
    keys: str = "abcd",
    fails: Sequence[str] = SELDOM,
    children: int = 3,
) -> st.SearchStrategy[Plan]:
    """Trees of plans, at most `depth` high, with so many `children` each at most."""
    below = (
        st.just(())
        if depth == 0
        else st.lists(plans(depth - 1, kinds, keys=keys, fails=fails, children=children), max_size=children).map(tuple)
    )
    return st.builds(
        Plan,
        kind=st.sampled_from(kinds),
        key=st.sampled_from(keys),
        touches=st.lists(st.sampled_from(keys), max_size=len(keys) - 1).map(tuple),
        amount=st.integers(0, 50),
        fails=st.sampled_from(fails),
        children=below,
    )
