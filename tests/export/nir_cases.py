"""Graphs that NIR can hold, in canonical form."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from avnir.ir import real
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.operation import Array
from avnir.passes.fold_gain import FoldGain


def rand(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).normal(0, 0.8, shape)


def canonical_graph(*nodes: Node, dt: float = 1e-4) -> Graph:
    return FoldGain()(verified(Graph("real", nodes, dt)))[0]


def lif(reset: str = "zero", beta: Array | float = 0.9) -> real.Lif:
    return real.Lif(np.asarray(beta), np.array(0.7), np.array(1.0), reset)


def chain(reset: str) -> Graph:
    return canonical_graph(
        Node("image", real.Input((6,)), (), "net.py:1"),
        Node("fc1", real.Linear(rand(1, 5, 6).astype(np.float32), rand(2, 5)), ("image",), "net.py:2"),
        Node("lif1", lif(reset), ("fc1",), "net.py:3"),
        Node("fc2", real.Linear(rand(3, 4, 5)), ("lif1",)),
        Node("lif2", lif(reset, np.linspace(0.1, 0.95, 4)), ("fc2",)),
        Node("out", real.Output((4,)), ("lif2",)),
        dt=1e-3,
    )


def current(reset: str, alpha: Array | float = 0.7) -> Graph:
    """Neurons with a synaptic current, the second layer's of different decays."""
    return canonical_graph(
        Node("image", real.Input((6,))),
        Node("fc1", real.Linear(rand(1, 5, 6).astype(np.float32), rand(2, 5)), ("image",)),
        Node("lif1", lif(reset).replace(alpha=np.asarray(alpha)), ("fc1",)),
        Node("fc2", real.Linear(rand(3, 4, 5)), ("lif1",)),
        Node("lif2", lif(reset, 0.0).replace(alpha=np.linspace(0, 0.95, 4), gain=np.array(0.3)), ("fc2",)),
        Node("out", real.Output((4,)), ("lif2",)),
        dt=1e-3,
    )


def audio_visual() -> Graph:
    """Two inputs, a residual sum, three outputs, one of them seen in another shape."""
    return canonical_graph(
        Node("vision", real.Input((2, 4, 4), 8)),
        Node("conv", real.Conv2d(rand(1, 2, 2, 3, 3), None, padding=(1, 1)), ("vision",)),
        Node("eye", lif("subtract"), ("conv",)),
        Node("conv2", real.Conv2d(rand(2, 2, 2, 3, 3), rand(3, 2), padding=(1, 1)), ("eye",)),
        Node("sum_lif", lif(), ("eye", "conv2")),
        Node("flat", real.Flatten((32,)), ("sum_lif",)),
        Node("sound", real.Input((3,), None)),
        Node("ear", real.Linear(rand(4, 5, 3)), ("sound",)),
        Node("look", real.Linear(rand(5, 5, 32), rand(6, 5)), ("flat",)),
        Node("fused", lif("none", 1.0), ("ear", "look")),
        Node("out", real.Output((5,)), ("fused",)),
        Node("seen", real.Output((2, 16)), ("eye",)),
        Node("raw", real.Output((5,)), ("ear",)),
    )


def convolutions() -> Graph:
    """Kernels that are not square, groups, dilation, stride, pooling, scales of every shape."""
    return canonical_graph(
        Node("image", real.Input((4, 9, 8))),
        Node("tall", real.Conv2d(rand(1, 4, 4, 3, 1), padding=(1, 0), stride=(1, 2)), ("image",)),
        Node("lif1", lif("zero_delayed"), ("tall",)),
        Node("grouped", real.Conv2d(rand(2, 6, 2, 1, 3), rand(3, 6), dilation=(1, 1), groups=2), ("lif1",)),
        Node("channel", real.Scale(rand(4, 6, 1, 1)), ("grouped",)),
        Node("lif2", lif("subtract_delayed", np.full((6, 1, 1), 0.25)), ("channel",)),
        Node(
            "apart",
            real.Conv2d(rand(5, 6, 1, 3, 3).astype(np.float32), groups=6, dilation=(2, 1), padding=(2, 2)),
            ("lif2",),
        ),
        Node("half", real.Scale(np.array(0.5, np.float32)), ("apart",)),
        Node("above", real.Threshold(rand(6, 6, 9, 4)), ("half",)),
        Node("sums", real.SumPool2d((2, 2), (2, 2)), ("above",)),
        Node("any", real.Threshold(np.array(0.5)), ("sums",)),
        Node("mean", real.AvgPool2d((2, 1), (1, 1), (1, 0)), ("any",)),
        Node("rows", real.Flatten((6, 10)), ("mean",)),
        Node("flat", real.Flatten((60,)), ("rows",)),
        Node("fc", real.Linear(np.arange(-90, 90).reshape(3, 60).astype(np.int8)), ("flat",)),
        Node("lif3", lif(), ("fc",)),
        Node("out", real.Output((3,)), ("lif3",)),
    )


CASES: dict[str, Callable[[], Graph]] = {
    **{f"chain_{reset}": (lambda reset=reset: chain(reset)) for reset in real.RESETS},
    **{f"current_{reset}": (lambda reset=reset: current(reset)) for reset in real.RESETS},
    "audio_visual": audio_visual,
    "convolutions": convolutions,
}
