"""The programs that are timed, in the plain form that every simulator is given, and as avnir's integers.

Each is a chain of layers. Spikes arrive, are weighted, and go into leaky neurons with a hard reset, which
is the native neuron of the chip and one that every simulator here has:

    v <- v KEEP / 4096 + sum of w s,    s = v > threshold,    v <- 0 where s

w integer, KEEP = 3686 (beta = 0.8999); on the chip, v KEEP / 4096 is rounded toward zero at 1/64.

| name | layers | batch | steps |
|---|---|---|---|
| `dense` | 784 -> 512 -> 256 -> 10, all to all | 64 | 100 |
| `conv` | 2x32x32 -> 8x32x32 (a) -> 16x16x16 (b) -> 10 (all to all) | 64 | 100 |
| `layer` | 1024 -> 1024, all to all | 64 | 100 |
| `single` | as `dense` | 1 | 100 |

(a) is a 3x3 convolution with padding 1, (b) one with stride 2 and padding 1. No layer has a bias. Weights
are uniform in [-64, 64], inputs spike independently, each in 5 % of the steps; both come from generators with
fixed seeds. A threshold is half the standard deviation that the potential would have if it were never reset
and a tenth of what feeds the layer spiked in each step (of inputs: their density), which makes hidden neurons
spike in 5 to 15 % of the steps.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer import Connection, Conv, Dense, Input, Lif, Output
from avnir.ir.operation import Array, Shape
from avnir.program import Program
from avnir.speed.contest import Entry

KEEP = 3686
"""4096ths of the potential that a step keeps."""
BETA = KEEP / 4096
LARGEST_WEIGHT = 64
INPUT_DENSITY = 0.05
HIDDEN_DENSITY = 0.1
HALF = 0.5
"""Standard deviations of the free potential between rest and threshold."""
KERNEL = 3


@dataclass(frozen=True)
class Layer:
    """Synapses and the neurons behind them.

    weight: int8 `[out, in]`, or of a convolution `[C_out, C_in, 3, 3]`. threshold: on the scale of weights.
    """

    weight: Array
    threshold: int
    stride: int = 1
    padding: int = 0

    @property
    def connection(self) -> Connection:
        """The synapses as an operation of the integer level."""
        if self.weight.ndim == 2:
            return Dense(self.weight)
        return Conv(self.weight, stride=(self.stride,) * 2, padding=(self.padding,) * 2)


@dataclass(frozen=True)
class Case:
    """A program and how it is run: `steps` steps of `batch` samples at `density` input spikes."""

    name: str
    title: str
    shape: Shape
    layers: tuple[Layer, ...]
    batch: int = 64
    steps: int = 100
    density: float = INPUT_DENSITY

    @cached_property
    def program(self) -> Program:
        """As avnir's integers: layers `layer1`, `layer2`, ... from `input` to `output`."""
        nodes, fed_by, shape = [Node("input", Input(self.shape))], "input", self.shape
        for number, layer in enumerate(self.layers, start=1):
            synapses = layer.connection
            shape = synapses.output_shape(shape)
            nodes.append(Node(f"synapses{number}", synapses, (fed_by,)))
            nodes.append(Node(f"layer{number}", _neurons(shape, layer.threshold), (f"synapses{number}",)))
            fed_by = f"layer{number}"
        nodes.append(Node("output", Output(shape), (fed_by,)))
        return Program(verified(Graph("integer", tuple(nodes))), target="benchmark")

    @cached_property
    def spikes(self) -> Array:
        """The input, uint8 `[T, B, *shape]`."""
        drawn = np.random.default_rng(1).random((self.steps, self.batch, *self.shape), np.float32)
        return (drawn < self.density).astype(np.uint8)

    @property
    def inputs(self) -> Mapping[str, Array]:
        """The input by its name in the program."""
        return {"input": self.spikes}

    @property
    def entry(self) -> Entry:
        """What the engine is timed on."""
        return Entry(self.name, self.title, self.program, self.inputs)

    def resized(self, batch: int, steps: int) -> Case:
        """The same program over another number of samples and steps."""
        return dataclasses.replace(self, batch=batch, steps=steps)

    def record(self) -> dict[str, Any]:
        """Plain values for a simulator; the weights are `weight1`, ... of `arrays`."""
        shapes = [self.program.graph.shapes[f"layer{number}"] for number in self._numbers]
        layers = [
            {"threshold": layer.threshold, "stride": layer.stride, "padding": layer.padding, "shape": shape}
            for layer, shape in zip(self.layers, shapes, strict=True)
        ]
        return {"shape": self.shape, "keep": KEEP, "layers": layers}

    def arrays(self) -> dict[str, Array]:
        """`spikes` uint8 `[T, B, *shape]` and the weights, int8."""
        weights = {f"weight{n}": layer.weight for n, layer in zip(self._numbers, self.layers, strict=True)}
        return {"spikes": self.spikes, **weights}

    def synapses(self) -> dict[str, Array]:
        """Of layer n all synapses one by one: `source<n>`, `target<n>` int32 and `value<n>` int8."""
        found: dict[str, Array] = {}
        for number, layer in zip(self._numbers, self.layers, strict=True):
            fed_by = self.program.graph.shapes[f"layer{number - 1}" if number > 1 else "input"]
            listed = zip(("source", "target", "value"), listed_synapses(layer, fed_by), strict=True)
            found |= {f"{what}{number}": array for what, array in listed}
        return found

    @property
    def _numbers(self) -> range:
        return range(1, 1 + len(self.layers))


def listed_synapses(layer: Layer, shape: Shape) -> tuple[Array, Array, Array]:
    """Source and target neuron, int32, and weight of each synapse behind neurons of this `shape`."""
    if layer.weight.ndim == 2:
        grid = np.indices(layer.weight.shape, np.int32)
        return grid[1].ravel(), grid[0].ravel(), layer.weight.ravel()
    numbers = np.arange(math.prod(shape), dtype=np.int32).reshape(shape)
    around = ((0, 0), (layer.padding,) * 2, (layer.padding,) * 2)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(numbers, around, constant_values=-1), layer.weight.shape[2:], (1, 2)
    )[:, :: layer.stride, :: layer.stride]
    channels, (height, width) = len(layer.weight), windows.shape[1:3]
    places = np.arange(channels * height * width, dtype=np.int32).reshape(channels, 1, height, width, 1, 1)
    source, target, value = np.broadcast_arrays(windows, places, layer.weight[:, :, None, None])
    there = source >= 0
    return source[there], target[there], value[there]


def _neurons(shape: Shape, threshold: int) -> Lif:
    def value(number: int) -> Array:
        return np.array(number, np.int32)

    return Lif(shape, value(4095), value(4096 - KEEP), value(threshold), value(0))


def _layer(
    rng: np.random.Generator, shape: Shape, density: float, stride: int = 1, padding: int = 0
) -> Layer:
    """Random weights of this shape, and a threshold for inputs that spike with this density."""
    weight = rng.integers(-LARGEST_WEIGHT, LARGEST_WEIGHT, shape, np.int8, endpoint=True)
    return Layer(weight, threshold_for(math.prod(shape[1:]), density), stride, padding)


def threshold_for(synapses: int, density: float) -> int:
    """Half the standard deviation of a potential that `synapses` inputs of this density drive, at least 1.

    Of independent inputs: synapses * density * E[w^2] a step, and 1 / (1 - BETA^2) of that in the long run.
    """
    squared_weight = LARGEST_WEIGHT * (LARGEST_WEIGHT + 1) / 3
    variance = synapses * density * squared_weight / (1 - BETA**2)
    return max(1, round(HALF * math.sqrt(variance)))


def dense_layers(sizes: tuple[int, ...], density: float = INPUT_DENSITY) -> tuple[Layer, ...]:
    """All-to-all layers of these sizes, the input's first."""
    rng = np.random.default_rng(0)
    return tuple(
        _layer(rng, (size, sizes[k]), HIDDEN_DENSITY if k else density) for k, size in enumerate(sizes[1:])
    )


def _conv_layers() -> tuple[Layer, ...]:
    rng = np.random.default_rng(0)
    return (
        _layer(rng, (8, 2, KERNEL, KERNEL), INPUT_DENSITY, padding=1),
        _layer(rng, (16, 8, KERNEL, KERNEL), HIDDEN_DENSITY, stride=2, padding=1),
        _layer(rng, (10, 16 * 16 * 16), HIDDEN_DENSITY),
    )


def dense() -> Case:
    """Three layers, all to all."""
    return Case("dense", "784-512-256-10", (784,), dense_layers((784, 512, 256, 10)))


def conv() -> Case:
    """Two convolutions and a layer, all to all."""
    return Case("conv", "2x32x32 - conv 8 - conv 16 - 10", (2, 32, 32), _conv_layers())


def layer() -> Case:
    """One layer, all to all, for the distance to the ceiling."""
    return Case("layer", "1024-1024", (1024,), dense_layers((1024, 1024)))


def single() -> Case:
    """The dense program over one sample."""
    return dataclasses.replace(dense(), name="single", batch=1)


CASES = {"dense": dense, "conv": conv, "layer": layer, "single": single}
"""The programs by name; each is made when it is asked for."""
