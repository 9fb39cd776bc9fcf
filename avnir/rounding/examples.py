"""The data that calibration looks at: spikes of every source of a merged graph on example inputs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from avnir.decision import Decision
from avnir.errors import DataError
from avnir.ir.graph import Graph
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array, digest
from avnir.rounding.layer_run import lagged
from avnir.rounding.neuron_layer import Synapse, origin
from avnir.trace import checked_inputs

MAX_SLOTS = 1 << 23
"""Slots (neuron x step x sample) of all layers together that are looked at: what one core searches in half
a minute."""


@dataclass(frozen=True)
class Examples:
    """`real[name]` and `arrived[name]`, `[T, B, *shape]`, of inputs and layers.

    `real` is what the real graph sends; `arrived` what the integers send, as far as their layers are chosen.
    With `labels`, the class of each sample `[B]`, `free` is what data-free integers would send there, and
    `decides` names the layer whose largest sum shows the class.
    """

    real: Mapping[str, Array]
    arrived: dict[str, Array]
    free: dict[str, Array]
    decides: str
    labels: Array | None = None

    @classmethod
    def of(
        cls,
        graph: Graph,
        inputs: Mapping[str, Array],
        labels: Array | None = None,
        decision: Decision | None = None,
    ) -> Examples:
        """Run a merged real graph over `inputs`, `[T, B, *shape]` each, as far as MAX_SLOTS allows.

        `labels`, `[B]`, are those that `decision` reads, the usual one by default; they are left out where
        that weighs the steps by scores. Raises DataError where they do not fit the graph.
        """
        reading = decision or Decision()
        given = checked_inputs(graph, inputs)
        batch = next(iter(given.values())).shape[1]
        if labels is not None and labels.shape != (batch,):
            raise DataError(f"labels are {list(labels.shape)}, but must be one for each of {batch} samples")
        kept = within_budget(graph, given)
        arrays = {name: array[kept] for name, array in given.items()}
        known = None if labels is None or reading.scores is not None else labels[kept[1]]
        output = reading.read(node.name for node in graph.outputs)
        decides = origin(graph, graph[output].inputs[0])[0]
        real = {**arrays, **interpret_real(graph, arrays).spikes}
        return cls(real, dict(arrays), dict(arrays), decides, known)

    @property
    def extent(self) -> tuple[int, int]:
        """Steps and samples."""
        steps, samples = next(iter(self.real.values())).shape[:2]
        return steps, samples

    @property
    def halves(self) -> tuple[slice, slice]:
        """Samples that weights are fitted to and those that judge: every other one; a single one is both."""
        return (slice(0, None, 2), slice(1, None, 2)) if self.extent[1] > 1 else (slice(None), slice(None))

    def modelled(self, synapse: Synapse) -> Array:
        """What a synapse gets in the real graph, `[T, B, *source]`."""
        return lagged(self.real[synapse.source], synapse.lag)

    def arriving(self, synapse: Synapse, sent: Mapping[str, Array] | None = None) -> Array:
        """What a synapse gets from integer layers, or from the real graph where they are yet to be chosen.

        `sent` is what the layers send, by default `arrived`.
        """
        known = self.arrived if sent is None else sent
        return lagged(known.get(synapse.source, self.real[synapse.source]), synapse.lag)

    def right(self, sent: Mapping[str, Array]) -> int | None:
        """Judging samples that are decided right by the spikes `sent`; None where that is not known."""
        if self.labels is None or self.decides not in sent:
            return None
        judged = self.halves[1]
        return right(sent[self.decides][:, judged].sum(axis=0, dtype=np.int64), self.labels[judged])


def right(counts: Array, labels: Array) -> int:
    """Samples of which the class has the most spikes, the first of equals: `[B, ...]` and `[B]`."""
    return int((counts.reshape(len(counts), -1).argmax(axis=1) == labels).sum())


def data_record(inputs: Mapping[str, Array]) -> dict[str, Any]:
    """Which data it was, as plain values: steps, samples, and one SHA-256 over all names and arrays."""
    steps, samples = next(iter(inputs.values())).shape[:2]
    lines = "".join(f"{name} {digest(np.asarray(array))}\n" for name, array in sorted(inputs.items()))
    return {"steps": steps, "samples": samples, "sha256": hashlib.sha256(lines.encode()).hexdigest()}


def within_budget(graph: Graph, arrays: Mapping[str, Array]) -> tuple[slice, Array]:
    """Steps and samples: these evenly spread over the given ones; where one is too long, its first steps.

    Sums over the window are of all its steps: a graph that has such keeps them, however long one sample is.
    """
    steps, batch = next(iter(arrays.values())).shape[:2]
    a_step = sum(math.prod(graph.shapes[node.name]) for node in graph.neurons)
    count = max(1, min(batch, MAX_SLOTS // (a_step * steps)))
    whole = graph.select(lambda op: op.kind == "WindowSum")
    kept = steps if whole else max(1, min(steps, MAX_SLOTS // (a_step * count)))
    return slice(kept), np.linspace(0, batch - 1, count).astype(np.int64)
