"""Random networks of one input and one output for the readers of NIR: chains, skips, every layer of NIR."""

from __future__ import annotations

import dataclasses
from random import Random

import numpy as np

from avnir.errors import GraphError
from avnir.ir import real
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.operation import Array, Operation, Shape
from tests import random_graphs
from tests.random_graphs import Maker


def sum_pool(random: Random, shape: Shape) -> Operation:
    return real.SumPool2d((2, 2), (random.randint(1, 2), 1))


HARD_LAYERS: tuple[Maker, ...] = (random_graphs.linear, random_graphs.conv, random_graphs.flatten, sum_pool)
"""What may stand between neurons for a reader that knows few layers."""


def random_network(seed: int, hard: bool) -> Graph:
    """Two to five layers of neurons of any decay, threshold and current, with layers and skips between.

    `hard`: with hard resets, below beta = 1, behind weights of their own, and without Scale, Threshold and
    AvgPool2d.
    """
    random = Random(seed)
    makers = HARD_LAYERS if hard else random_graphs.NIR_LAYERS
    nodes = [Node("image", real.Input((2, 6, 5), random.choice([0, 8, None])))]
    shape: Shape = (2, 6, 5)
    for index in range(random.randint(2, 5)):
        for turn in range(random.randint(0, 1)):
            made = random.choice(makers)(random, shape)
            shape = _appended(nodes, f"layer_{index}_{turn}", made, shape)
        if len(shape) == 2:
            shape = _appended(nodes, f"flat_{index}", real.Flatten((int(np.prod(shape)),)), shape)
        shape = _appended(nodes, f"weights_{index}", _weights(random, shape), shape)
        shape = _appended(nodes, f"lif_{index}", _neuron(random, shape, hard), shape)
        _skip(nodes, random)
    nodes.append(Node("out", real.Output((int(np.prod(shape)),)), (nodes[-1].name,)))
    return verified(Graph("real", tuple(nodes), random.choice([1e-4, 1e-3, 0.5])))


def _appended(nodes: list[Node], name: str, op: Operation, shape: Shape) -> Shape:
    """Add the operation to the chain where it fits; the shape at the end of the chain."""
    try:
        made = op.output_shape(shape)
    except GraphError:
        return shape
    if min(made) < 1:
        return shape
    nodes.append(Node(name, op, (nodes[-1].name,), f"model.py:{len(nodes)}"))
    return made


def _weights(random: Random, shape: Shape) -> Operation:
    """A convolution that keeps the picture, or a Linear, with weights that make neurons spike."""
    if len(shape) == 3:
        weight = 2 * random_graphs.array(random, (shape[0], shape[0], 3, 3)) / np.sqrt(9 * shape[0])
        return real.Conv2d(weight, random_graphs.array(random, shape[:1]), padding=(1, 1))
    weight = 2 * random_graphs.array(random, (8, shape[-1])) / np.sqrt(shape[-1])
    return real.Linear(weight, random_graphs.array(random, (8,)))


def _neuron(random: Random, shape: Shape, hard: bool) -> Operation:
    """As `random_graphs` makes them; where `hard`, one gain for a channel, which its weights can take."""
    op: Operation = random.choice([random_graphs.lif, random_graphs.current_lif])(random, shape)
    if not hard:
        return op
    beta = np.array(random.uniform(0, 0.99))
    return op.replace(reset="zero", beta=beta, gain=np.array(random.uniform(0.2, 2)))


def _skip(nodes: list[Node], random: Random) -> None:
    """Let an earlier layer of spikes of the same shape feed the last weights too, if there is one."""
    shapes = Graph("real", tuple(nodes)).shapes
    target = nodes[-2]
    (feeder,) = target.inputs
    alike = [n.name for n in nodes[:-2] if n.op.spiking or n.op.kind == "Input"]
    alike = [name for name in alike if shapes[name] == shapes[feeder] and name != feeder]
    if alike and random.random() < 0.8:
        nodes[-2] = dataclasses.replace(target, inputs=(feeder, random.choice(alike)))


def trains(graph: Graph, seed: int, steps: int = 200, batch: int = 8) -> dict[str, Array]:
    """Random spikes `[T, B, *shape]` for the input."""
    return random_graphs.inputs_for(graph, steps, batch, seed)


def lif(beta: float = 0.9, threshold: float = 1.0, reset: str = "zero") -> real.Lif:
    """Neurons as snnTorch has them, of gain 1."""
    return real.Lif(np.array(beta), np.array(threshold), np.array(1.0), reset)


def chain_of(shape: Shape, *ops: Operation) -> Graph:
    """The operations in a row: x, n0, n1, ..., out."""
    nodes = [Node("x", real.Input(shape))]
    for index, op in enumerate(ops):
        shape = op.output_shape(shape)
        nodes.append(Node(f"n{index}", op, (nodes[-1].name,), f"net.py:{index}"))
    return verified(Graph("real", (*nodes, Node("out", real.Output(shape), (nodes[-1].name,)))))
