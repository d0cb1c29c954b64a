"""All contenders, in the order of the report: ours, then the standard library's, then the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from driven.entrypoints.bench.contenders import buses, ceiling, clusters, futures, pools

if TYPE_CHECKING:
    from driven.entrypoints.bench.contenders.port import Contender

CATALOGUE: Final[tuple[Contender, ...]] = (
    buses.ORDERED,
    buses.KEYED,
    futures.EXECUTOR,
    buses.INLINE,
    ceiling.RINGS,
    ceiling.BUS,
    futures.PROCESS_POOL_EXECUTOR,
    pools.POOL,
    futures.LOKY,
    pools.MPIRE,
    futures.PEBBLE,
    clusters.RAY,
    clusters.DASK,
    futures.BATCHED,
    pools.BATCHED,
)


def contender(key: str) -> Contender:
    """The contender of that key; it is known to be there."""
    (found,) = (one for one in CATALOGUE if one.key == key)
    return found
