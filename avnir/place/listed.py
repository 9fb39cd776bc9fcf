"""Synapses that are listed one by one, counted as they are: what no axis tells.

A piece stores a list for each source neuron that has synapses on it, as long as those are many; the source
takes an axon there, no other does. So gathers and sums over a few neurons take what they have.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from avnir.ir.operation import Array
from avnir.place.grid import Grid
from avnir.place.joins import WORD, list_words


@dataclass(frozen=True, eq=False)
class Listed:
    """Synapse k leads from neuron `source[k]` of `sources` to `target[k]` of `targets`; no pair twice.

    Neurons are numbered row-major over their box `(C, H, W)`.
    """

    sources: int
    targets: int
    source: Array
    target: Array

    @cached_property
    def _fewest(self) -> Array:
        """The synapses of the n neurons that have the fewest, int64 `[targets + 1]` by n."""
        fan_in = np.sort(np.bincount(self.target, minlength=self.targets))
        return np.concatenate([[0], np.cumsum(fan_in)])

    def fewest(self, count: Array) -> Array:
        return self._fewest[count]

    def least_words(self, count: Array, bits: int) -> Array:
        return self.fewest(count) * bits // WORD

    def synapses(self, target: Grid) -> Array:
        return np.bincount(target.owner[self.target], minlength=target.pieces).reshape(target.shape)

    def axons(self, target: Grid) -> Array:
        _, piece, _ = _lists(self, target)
        return np.bincount(piece, minlength=target.pieces).reshape(target.shape)

    def words(self, target: Grid, bits: int) -> Array:
        _, piece, synapses = _lists(self, target)
        found = np.zeros(target.pieces, np.int64)
        np.add.at(found, piece, list_words(synapses, bits))
        return found.reshape(target.shape)

    def reached(self, source: Grid, target: Grid) -> Array:
        pairs = np.unique(source.owner[self.source] * target.pieces + target.owner[self.target])
        return np.bincount(pairs // target.pieces, minlength=source.pieces).reshape(source.shape)

    def axons_out(self, source: Grid, target: Grid) -> Array:
        axon, _, _ = _lists(self, target)
        return np.bincount(source.owner[axon], minlength=source.pieces).reshape(source.shape)

    def operations(self, target: Grid, sent: Array) -> Array:
        axon, piece, synapses = _lists(self, target)
        spikes = sent.reshape(-1, self.sources)
        found = np.zeros((len(spikes), target.pieces))
        np.add.at(found.T, piece, (spikes[:, axon] * synapses).T)
        return found.reshape(*sent.shape[:-3], *target.shape)

    def messages(self, source: Grid, target: Grid, sent: Array) -> Array:
        axon, piece, _ = _lists(self, target)
        found = np.zeros((len(sent), source.pieces, target.pieces))
        spikes = sent.reshape(len(sent), -1)[:, axon]
        np.add.at(np.moveaxis(found, 0, -1), (source.owner[axon], piece), spikes.T)
        return found


@lru_cache(maxsize=8)
def _lists(listed: Listed, target: Grid) -> tuple[Array, Array, Array]:
    """Each list of synapses: its source neuron, the piece that holds it, and how many they are.

    Kept for some time: axons and words are asked for one after the other.
    """
    piece = target.owner[listed.target]
    keys, synapses = np.unique(listed.source.astype(np.int64) * target.pieces + piece, return_counts=True)
    axon, piece = np.divmod(keys, target.pieces)
    return axon, piece, synapses
