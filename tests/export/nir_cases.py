"""Graphs that NIR can hold, in canonical form."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from avnir.ir import real
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.operation import Array
from avnir.passes.fold_gain import FoldGain
from avnir.passes.lower_alpha import LowerAlpha


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


def integrators() -> Graph:
    """Neurons without a threshold of every type, an Alpha neuron, delays of several lengths."""
    graph = verified(
        Graph(
            "real",
            (
                Node("image", real.Input((4,))),
                Node("fc", real.Linear(rand(1, 5, 4), rand(2, 5)), ("image",)),
                Node("alpha", alpha_neuron("none"), ("fc",)),
                Node("late", real.Delay((5,), 3), ("alpha",)),
                Node("leaky", real.Li(np.linspace(0, 0.9, 5), np.array(0.4)), ("late",)),
                Node("whole", real.Li(np.array(1.0), np.array(2.0)), ("alpha",)),
                Node("held", real.Delay((5,), 1), ("leaky",)),
                Node("both", real.Li(np.array(0.5), np.array(1.0), np.array(0.25)), ("held", "whole")),
                Node("out", real.Output((5,)), ("both",)),
            ),
            1e-3,
        )
    )
    return FoldGain()(LowerAlpha()(graph)[0])[0]


def alpha_neuron(reset: str) -> real.Alpha:
    alpha, beta = 0.9, 0.8
    tau = np.log(alpha) / (np.log(beta) - np.log(alpha)) + 1
    return real.Alpha(np.array(alpha), np.array(beta), np.array(tau), np.array(0.8), reset)


def recurrent(reset: str, alpha: Array | None = None) -> Graph:
    """Four loops: two around one layer, one of them with weights; one through two layers; a long one."""
    neuron = lif(reset).replace(alpha=alpha)
    return canonical_graph(
        Node("image", real.Input((5,)), (), "net.py:1"),
        Node("fc1", real.Linear(rand(1, 4, 5)), ("image",)),
        Node("before1", real.Delay((4,)), ("lif1",), "net.py:2"),
        Node("again1", real.Linear(0.3 * rand(2, 4, 4), rand(3, 4)), ("before1",)),
        Node("lif1", neuron, ("fc1", "again1"), "net.py:3"),
        Node("before2", real.Delay((4,)), ("lif2",)),
        Node("lif2", neuron.replace(beta=np.array(0.53)), ("lif1", "before2")),
        Node("back", real.Delay((4,)), ("lif4",)),
        Node("fc3", real.Linear(0.5 * rand(4, 4, 4)), ("lif2",)),
        Node("lif3", neuron, ("fc3", "back")),
        Node("fc4", real.Linear(rand(5, 4, 4), rand(6, 4)), ("lif3",)),
        Node("long", real.Delay((4,), 2), ("lif4",)),
        Node("lif4", neuron, ("fc4", "long")),
        Node("out", real.Output((4,)), ("lif4",)),
        dt=1e-3,
    )


def sequences() -> Graph:
    """Layers along one axis, between the reshapes that the tracer makes, some without them in between."""
    weight = rand(1, 6, 2, 3).astype(np.float32)[:, :, None]
    return canonical_graph(
        Node("sound", real.Input((4, 20))),
        Node("conv1_rows", real.Flatten((4, 1, 20)), ("sound",), "net.py:1"),
        Node("conv1", real.Conv2d(weight, None, (1, 2), (0, 1), (1, 1), 2), ("conv1_rows",), "net.py:2"),
        Node("conv1_sequence", real.Flatten((6, 10)), ("conv1",)),
        Node("lif1", lif("subtract_delayed", np.linspace(0, 0.9, 60).reshape(6, 10)), ("conv1_sequence",)),
        Node("conv2_rows", real.Flatten((6, 1, 10)), ("lif1",)),
        Node("conv2", real.Conv2d(rand(2, 3, 6, 1, 2), rand(3, 3), (1, 1), (0, 2), (1, 2)), ("conv2_rows",)),
        Node("gain", real.Scale(rand(4, 3, 1, 1)), ("conv2",)),
        Node("lif2", lif("zero", np.linspace(0, 0.9, 36).reshape(3, 1, 12)), ("gain",)),
        Node("late", real.Delay((3, 1, 12), 2), ("lif2",)),
        Node("mean", real.AvgPool2d((1, 3), (1, 3), (0, 0)), ("late",)),
        Node("sums", real.SumPool2d((1, 2), (1, 1), (0, 1)), ("mean",)),
        Node("any", real.Threshold(rand(5, 3, 1, 5)), ("sums",)),
        Node("seen", real.Output((15,)), ("any",)),
        Node("shown", real.Output((3, 1, 5)), ("any",)),
        Node("flat", real.Flatten((15,)), ("any",)),
        Node("fc", real.Linear(rand(6, 2, 15)), ("flat",)),
        Node("lif3", lif(), ("fc",)),
        Node("out", real.Output((2,)), ("lif3",)),
    )


CASES: dict[str, Callable[[], Graph]] = {
    **{f"chain_{reset}": (lambda reset=reset: chain(reset)) for reset in real.RESETS},
    **{f"current_{reset}": (lambda reset=reset: current(reset)) for reset in real.RESETS},
    "audio_visual": audio_visual,
    "convolutions": convolutions,
    "integrators": integrators,
}
"""Graphs that a file in the standard form holds node by node."""
REFORMED: dict[str, Callable[[], Graph]] = {
    **{f"recurrent_{reset}": (lambda reset=reset: recurrent(reset)) for reset in real.RESETS},
    "recurrent_current": lambda: recurrent("subtract", np.array(0.6)),
    "sequences": sequences,
}
"""Graphs that it does not: it leaves out delays of loops, and has layers along one axis."""
