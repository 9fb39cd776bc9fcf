"""Which class the layer that decides gives each sample: the second thing to choose integers by."""

from __future__ import annotations

import numpy as np

from avnir.ir.operation import Array
from avnir.rounding.examples import right
from avnir.rounding.neuron_layer import Layer


class Counts:
    """The spike counts of a layer as it is chosen so far, against `labels` `[B]`.

    The class with the most spikes is decided for, the lowest of equals (`avnir.decision.Decision`).
    """

    def __init__(self, layer: Layer, labels: Array) -> None:
        self.groups, self.labels = layer.groups, labels
        self.counts = np.zeros(())

    def start(self, spikes: Array) -> None:
        """Count the spikes `[T, B, *shape]` of the first choice."""
        self.counts = self._counted(spikes)

    def take(self, groups: Array, spikes: Array) -> None:
        """Let the groups marked, bool `[groups]`, send these spikes."""
        self.counts[:, groups] = self._counted(spikes)[:, groups]

    def take_improving(self, groups: Array, spikes: Array) -> Array:
        """Those of the groups marked, one after the other, with whose spikes more samples are right."""
        counts = self._counted(spikes)
        taken = np.zeros_like(groups)
        for group in np.flatnonzero(groups):
            changed = self.counts.copy()
            changed[:, group] = counts[:, group]
            if right(changed, self.labels) > right(self.counts, self.labels):
                self.counts, taken[group] = changed, True
        return taken

    def _counted(self, spikes: Array) -> Array:
        """`[B, groups, neurons]`."""
        return spikes.sum(axis=0, dtype=np.int64).reshape(spikes.shape[1], self.groups, -1)
