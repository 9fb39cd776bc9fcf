"""Programs to place: chains of layers with weights of exactly so many bits, and the published networks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from avnir.ir import integer
from avnir.ir.geometry import Pair
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer_sparse import Sparse
from avnir.ir.operation import Array, Shape
from avnir.program import Program


def lif(shape: Shape, threshold: int = 100) -> integer.Lif:
    """Neurons that forget everything between steps."""
    decay, zero = np.array(4095, np.int32), np.array(0, np.int32)
    return integer.Lif(shape, decay, np.array(4096, np.int32), np.array(threshold, np.int32), zero)


def weights(dice: Generator, bits: int, *shape: int) -> Array:
    """Random weights that need exactly so many bits."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    values = dice.integers(low, high, shape, np.int8, endpoint=True)
    values.flat[0] = high
    values.flat[-1] = low
    return values


@dataclass(frozen=True)
class Conv:
    """A convolution with a square kernel; pairs are (H, W)."""

    channels: int
    bits: int
    kernel: int = 3
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    box: ClassVar[None] = None

    def op(self, dice: Generator, shape: Shape) -> integer.Connection:
        weight = weights(dice, self.bits, self.channels, shape[0] // self.groups, self.kernel, self.kernel)
        return integer.Conv(
            weight, stride=self.stride, padding=self.padding, dilation=self.dilation, groups=self.groups
        )


@dataclass(frozen=True)
class Dense:
    """All to all, into neurons in a box if one is given."""

    neurons: int
    bits: int
    box: Shape | None = None

    def op(self, dice: Generator, shape: Shape) -> integer.Connection:
        return integer.Dense(weights(dice, self.bits, self.neurons, math.prod(shape)))


@dataclass(frozen=True)
class Listed:
    """Listed synapses of 8 bits, that share of all; into neurons in a box, if one is given."""

    neurons: int
    share: float
    box: Shape | None = None

    def op(self, dice: Generator, shape: Shape) -> integer.Connection:
        matrix = weights(dice, 8, self.neurons, math.prod(shape)) | 1
        matrix[1:, 1:][dice.random((self.neurons - 1, math.prod(shape) - 1)) >= self.share] = 0
        return Sparse.of(matrix)


def chain(inputs: Shape, *layers: Conv | Dense | Listed, target: str = "loihi2") -> Program:
    """Layers `l0`, `l1`, ... fed by connections `c0`, `c1`, ... from the input `x`; the last is read out."""
    dice = np.random.default_rng(0)
    nodes, before, shape = [Node("x", integer.Input(inputs))], "x", inputs
    for index, layer in enumerate(layers):
        op = layer.op(dice, shape)
        shape = layer.box or op.output_shape(shape)
        nodes += [Node(f"c{index}", op, (before,)), Node(f"l{index}", lif(shape), (f"c{index}",))]
        before = f"l{index}"
    nodes.append(Node("out", integer.Output(shape), (before,)))
    return Program(verified(Graph("integer", tuple(nodes))), target)


HALF: Pair = (2, 2)
AROUND: Pair = (1, 1)


def pilotnet() -> Program:
    """PilotNet SNN of lava-dl's netx tutorials, without its input layer; bits that give its SynMem."""
    return chain(
        (3, 66, 200),
        Conv(24, 4, stride=HALF),
        Conv(36, 5, stride=HALF),
        Conv(48, 5, stride=HALF),
        Conv(64, 4, stride=(2, 1), padding=(1, 0)),
        Conv(64, 4),
        Dense(100, 8),
        Dense(50, 4),
        Dense(10, 3),
        Dense(1, 8),
    )


def yolo_kp() -> Program:
    """YOLO-KP of lava-dl's netx tutorials: two million neurons on 574 cores there."""
    return chain(
        (3, 448, 448),
        Conv(16, 4, stride=HALF, padding=AROUND),
        Conv(32, 5, stride=HALF, padding=AROUND),
        Conv(64, 5, stride=HALF, padding=AROUND),
        Conv(128, 5, stride=HALF, padding=AROUND),
        Conv(256, 5, padding=AROUND),
        Conv(256, 4, stride=HALF, padding=AROUND),
        Conv(512, 5, padding=AROUND),
        Conv(256, 5, kernel=1),
        Conv(512, 5, padding=AROUND),
        Conv(48, 6, kernel=1),
    )


def oxford() -> Program:
    """Oxford of lava-dl's netx tutorials: 200-256-200 on 5 cores there."""
    return chain((200,), Dense(256, 8), Dense(200, 8))


def recurrent(neurons: int = 300) -> Program:
    """A layer that feeds itself, through a connection that stands before it."""
    dice = np.random.default_rng(0)
    nodes = (
        Node("x", integer.Input((40,))),
        Node("into", integer.Dense(weights(dice, 8, neurons, 40)), ("x",)),
        Node("loop", integer.Dense(weights(dice, 8, neurons, neurons), lag=1), ("l",)),
        Node("l", lif((neurons,)), ("into", "loop")),
        Node("last", integer.Dense(weights(dice, 8, 5, neurons)), ("l",)),
        Node("end", lif((5,)), ("last",)),
        Node("out", integer.Output((5,)), ("end",)),
    )
    return Program(verified(Graph("integer", nodes)), "loihi2")
