"""Inputs with the same listed synapses: what they send is summed first, and goes on as if one had sent it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from avnir.hardware.cpu.kernels_events import WORD
from avnir.hardware.cpu.kernels_sparse import Masks, add_by_group, count_by_group
from avnir.hardware.cpu.sent import Sent
from avnir.ir.integer_sparse import Sparse
from avnir.ir.operation import Array


@dataclass(frozen=True)
class MergedStage:
    """`group` int32 `[in]`: the group, of `size`, that each input belongs to; `masks`: the same of spikes.

    `stage` is the connection that takes the sums of the groups. That is exact, modulo 2^32.
    """

    group: Array
    size: int
    masks: Masks
    stage: Callable[[Sent], Array]

    @classmethod
    def of(cls, group: Array, stage: Callable[[Sent], Array]) -> MergedStage:
        """Lay out the groups, numbered from 0 on."""
        return cls(group, int(group.max()) + 1, _masks(group), stage)

    def __call__(self, x: Sent) -> Array:
        """Summed weights, int32 `[S * B, out]` modulo 2^32, of spikes or messages."""
        sums = np.zeros((x.count, self.size), np.int32)
        if x.binary:
            count_by_group(x.matrix, x.rows, self.masks, sums)
        else:
            add_by_group(x.array, self.group, sums)
        return self.stage(Sent.alone(sums, x.rows[1]))


def _masks(group: Array) -> Masks:
    place = np.arange(len(group))
    pairs, mask = np.unique(place // WORD * len(group) + group, return_inverse=True)
    chosen = np.zeros(len(pairs), np.uint64)
    np.bitwise_or.at(chosen, mask, np.uint64(1) << (place % WORD).astype(np.uint64))
    word, of = np.divmod(pairs, len(group))
    return word.astype(np.int32), of.astype(np.int32), chosen.view(np.int64)


def groups_of(op: Sparse) -> Array:
    """The group of each input, int32 `[in]`: those of a group have the same targets and weights."""
    start = np.searchsorted(op.source, np.arange(op.size[1] + 1)).tolist()
    number: dict[Any, int] = {}
    lists = ((op.target[a:b].tobytes(), op.weight[a:b].tobytes()) for a, b in pairwise(start))
    return np.array([number.setdefault(synapses, len(number)) for synapses in lists], np.int32)


def merged(op: Sparse, group: Array) -> Sparse:
    """The synapses of the groups, which are those of the first input of each."""
    first = np.unique(group, return_index=True)[1]
    kept = np.isin(op.source, first)
    source, target, weight = group[op.source[kept]], op.target[kept], op.weight[kept]
    return replace(op, size=(op.size[0], len(first)), source=source, target=target, weight=weight)
