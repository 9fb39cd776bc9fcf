"""A layer of which it is known what rounding changes."""

from __future__ import annotations

from typing import Any

import numpy as np

from avnir import target
from avnir.compile import Compiled, compile_graph
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.operation import Array, Shape
from avnir.ir.real import Conv2d, Input, Lif, Linear, Output
from avnir.rounding.layer_choice import Choices

LOIHI2 = target.load("loihi2")
INPUTS, NEURONS, STEPS, SAMPLES = 24, 12, 40, 24
LATTICE = np.random.default_rng(0).integers(-127, 128, (NEURONS, INPUTS)) / 128
LATTICE[:, 0] = 127 / 128
"""Weights that 8 bits hold exactly."""
BETWEEN = np.random.default_rng(1).uniform(-1, 1, (NEURONS, INPUTS))
"""Weights that they do not."""


def layer(weight: Array, **neuron: Any) -> Graph:
    """One layer without memory, unless told otherwise; it decides by its spikes."""
    parameters = {"beta": np.array(0.0), "threshold": np.array(1.0), "gain": np.array(1.0), **neuron}
    nodes = (
        Node("x", Input((weight.shape[1],))),
        Node("fc", Linear(weight), ("x",)),
        Node("lif", Lif(**parameters), ("fc",)),
        Node("out", Output((len(weight),)), ("lif",)),
    )
    return verified(Graph("real", nodes))


def two_layers() -> Graph:
    """Layers with memory, whose weights, biases and decays all have to be rounded."""
    rng = np.random.default_rng(5)
    parameters = {"beta": np.array(0.8123), "threshold": np.array(1.0), "gain": np.array(1.0)}
    nodes = (
        Node("x", Input((INPUTS,))),
        Node("fc1", Linear(rng.normal(size=(16, INPUTS)) / 3, rng.normal(size=16) / 20), ("x",)),
        Node("lif1", Lif(**parameters), ("fc1",)),
        Node("fc2", Linear(rng.normal(size=(6, 16)) / 2, rng.normal(size=6) / 20), ("lif1",)),
        Node("lif2", Lif(**parameters), ("fc2",)),
        Node("out", Output((6,)), ("lif2",)),
    )
    return verified(Graph("real", nodes))


def shared_scale(thresholds: Array) -> Graph:
    """One channel, so that neurons of different thresholds `[INPUTS]` share a scale."""
    weight = np.array([[[[55, 127, -31]]]]) / 128
    lif = Lif(np.array(0.0), thresholds.reshape(1, 1, -1), np.array(1.0))
    nodes = (
        Node("x", Input((1, 1, INPUTS))),
        Node("conv", Conv2d(weight, padding=(0, 1)), ("x",)),
        Node("lif", lif, ("conv",)),
        Node("out", Output((INPUTS,)), ("lif",)),
    )
    return verified(Graph("real", nodes))


def inputs(shape: Shape = (INPUTS,), seed: int = 2, samples: int = SAMPLES) -> dict[str, Array]:
    return {"x": (np.random.default_rng(seed).random((STEPS, samples, *shape)) < 0.3).astype(np.uint8)}


def compiled(graph: Graph, bits: int = 8, layers: Choices | None = None) -> Compiled:
    return compile_graph(graph, LOIHI2, bits, layers=layers)
