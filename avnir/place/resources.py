"""What a piece of a layer takes of a core, counted in the columns of the published tables.

| name | column | unit |
|---|---|---|
| axons_in | AxonIn | input axons |
| groups | NeuronGr | neuron groups |
| neurons | Neurons | neurons |
| synaptic_words | Synapses (SynMem) | words of 64 bits |
| axon_map | AxonMap | words of 64 bits |
| axon_memory | AxonMem | words of 64 bits |
| axons_out | none; Loihi's output axons | output axons |

The tables are those printed in lava-dl's netx tutorials (PilotNet, YOLO-KP, Oxford) for Loihi 2. There a
core's total is the sum of the first six over a pool of 20,000 words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from avnir.ir.operation import Array
from avnir.target import Limits

NAMES = ("axons_in", "groups", "neurons", "synaptic_words", "axon_map", "axon_memory", "axons_out")
"""The order of counts in the last axis of every array of resources."""

COLUMNS = ("AxonIn", "Groups", "Neurons", "SynMem", "AxonMap", "AxonMem", "AxonOut")
"""The same for people."""

_POOLED = np.array([name != "axons_out" for name in NAMES], np.int64)
_NO_LIMIT = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Capacity:
    """What one core holds: `each` int64 `[7]` by `NAMES`, `pool` for the sum of the pooled ones."""

    each: Array
    pool: int

    def fits(self, counts: Array) -> Array:
        """Whether resources `[..., 7]` are within every limit, bool `[...]`."""
        return np.all(counts <= self.each, axis=-1) & (pooled(counts) <= self.pool)

    def share(self, counts: Array) -> Array:
        """How full resources `[..., 7]` make a core: of the pool, or of the scarcest memory without one."""
        if self.pool != _NO_LIMIT:
            return pooled(counts) / self.pool
        return np.max(counts / self.each, axis=-1)

    def least(self, counts: Array) -> int:
        """Cores without which pieces `[P, 7]` cannot do: those of the scarcest column, or of the pool."""
        total = counts.sum(axis=0)
        return int(max(np.max(-(-total // self.each)), -(-pooled(total) // self.pool)))

    def shares(self, counts: Array) -> Mapping[str, float]:
        """The share of each limited column, by its name for people, and of the pool as `Pool`."""
        limited = (self.each != _NO_LIMIT).nonzero()[0]
        found = {COLUMNS[i]: float(counts[i] / self.each[i]) for i in limited}
        return found | ({"Pool": float(pooled(counts) / self.pool)} if self.pool != _NO_LIMIT else {})


def pooled(counts: Array) -> Array:
    """Words of the pool that resources `[..., 7]` take, int64 `[...]`."""
    return counts @ _POOLED


def capacity(limits: Limits) -> Capacity:
    """The capacity of one core of a chip."""
    each = [getattr(limits, f"{name}_per_core") for name in NAMES]
    values = [_NO_LIMIT if limit is None else limit.value for limit in each]
    pool = limits.pool_per_core
    return Capacity(np.array(values, np.int64), _NO_LIMIT if pool is None else pool.value)


def only(core: Capacity, column: str) -> Capacity:
    """A core that is limited in one column alone (`COLUMNS`, or `Pool`)."""
    if column == "Pool":
        return Capacity(np.full(len(NAMES), _NO_LIMIT), core.pool)
    each = [v if c == column else _NO_LIMIT for c, v in zip(COLUMNS, core.each, strict=True)]
    return Capacity(np.array(each, np.int64), _NO_LIMIT)
