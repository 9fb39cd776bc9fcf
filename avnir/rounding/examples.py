"""The data that calibration looks at: spikes of every source of a merged graph on example inputs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from avnir.ir.graph import Graph
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array, digest
from avnir.rounding.layer_run import lagged
from avnir.rounding.neuron_layer import Synapse
from avnir.trace import checked_inputs

MAX_SLOTS = 1 << 23
"""Slots (neuron x step x sample) of all layers together that are looked at: what one core searches in half
a minute."""


@dataclass(frozen=True)
class Examples:
    """`real[name]` and `arrived[name]`, `[T, B, *shape]`, of inputs and layers.

    `real` is what the real graph sends; `arrived` what the integers send, as far as their layers are chosen.
    """

    real: Mapping[str, Array]
    arrived: dict[str, Array]

    @classmethod
    def of(cls, graph: Graph, inputs: Mapping[str, Array]) -> Examples:
        """Run a merged real graph over `inputs`, `[T, B, *shape]` each, as far as MAX_SLOTS allows.

        Raises DataError where they do not fit the graph.
        """
        arrays = _within_budget(graph, checked_inputs(graph, inputs))
        return cls({**arrays, **interpret_real(graph, arrays).spikes}, dict(arrays))

    @property
    def extent(self) -> tuple[int, int]:
        """Steps and samples."""
        steps, samples = next(iter(self.real.values())).shape[:2]
        return steps, samples

    def modelled(self, synapse: Synapse) -> Array:
        """What a synapse gets in the real graph, `[T, B, *source]`."""
        return lagged(self.real[synapse.source], synapse.lag)

    def arriving(self, synapse: Synapse) -> Array:
        """What a synapse gets from integer layers, or from the real graph where they are yet to be chosen."""
        return lagged(self.arrived.get(synapse.source, self.real[synapse.source]), synapse.lag)


def data_record(inputs: Mapping[str, Array]) -> dict[str, Any]:
    """Which data it was, as plain values: steps, samples, and one SHA-256 over all names and arrays."""
    steps, samples = next(iter(inputs.values())).shape[:2]
    lines = "".join(f"{name} {digest(np.asarray(array))}\n" for name, array in sorted(inputs.items()))
    return {"steps": steps, "samples": samples, "sha256": hashlib.sha256(lines.encode()).hexdigest()}


def _within_budget(graph: Graph, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Samples evenly spread over the given ones; where one alone is too long, its first steps."""
    steps, batch = next(iter(arrays.values())).shape[:2]
    a_step = sum(math.prod(graph.shapes[node.name]) for node in graph.neurons)
    count = max(1, min(batch, MAX_SLOTS // (a_step * steps)))
    kept = max(1, min(steps, MAX_SLOTS // (a_step * count)))
    samples = np.linspace(0, batch - 1, count).astype(np.int64)
    return {name: array[:kept, samples] for name, array in arrays.items()}
