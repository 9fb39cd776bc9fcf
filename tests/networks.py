"""Random real graphs for tests: every operation, sums, two inputs, paths of different depth."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from avnir.ir.graph import Graph, Node, verified
from avnir.ir.operation import Array
from avnir.ir.real import (
    RESETS,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Flatten,
    Input,
    Lif,
    Linear,
    MaxPool2d,
    Output,
    Scale,
)


def lif(rng: Generator, reset: str | None = None) -> Lif:
    """A neuron with a random decay and threshold and, unless named, a random reset."""
    return Lif(
        beta=np.array(rng.uniform(0.3, 0.95)),
        threshold=np.array(rng.uniform(0.3, 1.5)),
        gain=np.array(1.0),
        reset=reset or str(rng.choice(RESETS)),
    )


def batch_norm(rng: Generator, channels: int) -> BatchNorm:
    """Batch normalisation with statistics of ordinary size."""
    return BatchNorm(
        mean=rng.normal(size=channels),
        variance=rng.uniform(0.5, 2.0, channels),
        weight=rng.normal(1.0, 0.3, channels),
        bias=rng.normal(size=channels) * 0.3,
    )


def audio_visual(seed: int, reset: str | None = None) -> Graph:
    """Two inputs whose branches differ in depth, with everything that the pipeline lowers."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(7, 11))
    pad = int(rng.integers(0, 2))

    def normal(*shape: int) -> Array:
        return rng.normal(size=shape) * (2.0 / np.prod(shape[1:]) ** 0.5 if len(shape) > 1 else 0.3)

    nodes = [
        Node("image", Input((2, size, size))),
        Node("audio", Input((12,))),
        Node("conv1", Conv2d(normal(4, 2, 3, 3), normal(4), padding=(1, 1)), ("image",)),
        Node("norm1", batch_norm(rng, 4), ("conv1",)),
        Node("lif1", lif(rng, reset), ("norm1",)),
        Node("average", AvgPool2d((2, 2), (2, 2)), ("lif1",)),
        Node("conv2", Conv2d(normal(6, 2, 3, 3), normal(6), padding=(pad, pad), groups=2), ("average",)),
        Node("norm2", batch_norm(rng, 6), ("conv2",)),
        Node("mix", Conv2d(normal(6, 6, 1, 1)), ("norm2",)),
        Node("lif2", lif(rng, reset), ("mix",)),
        Node("conv3", Conv2d(normal(6, 1, 3, 3), normal(6), padding=(1, 1), groups=6), ("lif2",)),
        Node("lif3", lif(rng, reset), ("conv3",)),
        Node("pool", MaxPool2d((2, 2), (1, 1), (1, 1)), ("lif3",)),
        Node("scale", Scale(rng.normal(size=(6, 1, 1))), ("lif2", "lif3")),
        Node("smooth", AvgPool2d((2, 2), (1, 1), (1, 1)), ("scale",)),
        Node("lif4", lif(rng, reset), ("smooth", "pool")),
    ]
    count = int(np.prod(Graph("real", tuple(nodes)).shapes["lif4"]))
    nodes += [
        Node("flat", Flatten((count,)), ("lif4", "smooth")),
        Node("fc_image", Linear(normal(16, count), normal(16)), ("flat",)),
        Node("fc_audio", Linear(normal(16, 12), normal(16)), ("audio",)),
        Node("fused", lif(rng, reset), ("fc_image", "fc_audio")),
        Node("fc_out", Linear(normal(5, 16), normal(5)), ("fused",)),
        Node("lif_out", lif(rng, reset), ("fc_out",)),
        Node("output", Output((5,)), ("lif_out",)),
        Node("hidden", Output((4, 4)), ("fused",)),
    ]
    return verified(Graph("real", tuple(nodes)))


def spikes(graph: Graph, seed: int, steps: int = 20, batch: int = 3, rate: float = 0.3) -> dict[str, Array]:
    """Random binary inputs `[T, B, *shape]` for a graph."""
    rng = np.random.default_rng(seed)
    return {
        node.name: (rng.random((steps, batch, *graph.shapes[node.name])) < rate).astype(np.uint8)
        for node in graph.inputs
    }
