"""Random graphs of both levels, for properties that hold for every graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from random import Random

import numpy as np

from avnir.errors import GraphError
from avnir.ir import integer, real
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer_window import WindowSum
from avnir.ir.operation import Array, Operation, Shape

Maker = Callable[[Random, Shape], Operation]


def real_graph(random: Random, makers: tuple[Maker, ...]) -> Graph:
    """One or two inputs, layers of `makers`, sums where shapes agree, one or two outputs."""
    nodes = [Node("image", real.Input((2, 6, 5), random.choice([0, 8, None])), (), "model.py:3")]
    if random.random() < 0.5:
        nodes.append(Node("sound", real.Input(random.choice([(7,), (2, 6, 5)]), 0)))
    shapes = {node.name: node.op.output_shape(()) for node in nodes}
    for index in range(random.randint(1, 7)):
        node = _layer(random, f"layer_{index}", shapes, makers)
        if node is not None:
            shapes[node.name] = node.op.output_shape(shapes[node.inputs[0]])
            nodes.append(node)
    fed = {name for node in nodes for name in node.inputs}
    ends = [node.name for node in nodes if node.name not in fed]
    if delay in makers:
        nodes = _with_loops(random, nodes, shapes)
    for name in ends:
        flat = (int(np.prod(shapes[name])),)
        nodes.append(Node(f"out_{name}", real.Output(random.choice([shapes[name], flat])), (name,)))
    return verified(Graph("real", tuple(nodes), random.choice([1e-4, 1e-3, 0.5])))


def _layer(random: Random, name: str, shapes: dict[str, Shape], makers: tuple[Maker, ...]) -> Node | None:
    first = random.choice(list(shapes)[-2:])
    alike = [other for other in shapes if shapes[other] == shapes[first] and other != first]
    inputs = (first, *random.sample(alike, min(len(alike), random.randint(0, 2))))
    try:
        op = random.choice(makers)(random, shapes[first])
        op.output_shape(shapes[first])
    except GraphError:
        return None
    return Node(name, op, inputs, f"model.py:{random.randint(1, 99)}")


def _with_loops(random: Random, nodes: list[Node], shapes: dict[str, Shape]) -> list[Node]:
    """The nodes with up to three connections back, each through a Delay, some through weights too."""
    nodes = list(nodes)
    for index in range(random.randint(0, 3)):
        target = random.choice([node for node in nodes if node.inputs] or [None])
        if target is None or target.op.delayed or target.op.kind == "Flatten":
            continue
        wanted = shapes[target.inputs[0]]
        place = nodes.index(target)
        behind = [node.name for node in nodes[place:] if shapes[node.name] == wanted]
        if not behind:
            continue
        loop, steps = f"loop_{index}", random.choice([1, 1, 1, 2])
        new = [Node(loop, real.Delay(wanted, steps), (random.choice(behind),), "model.py:7")]
        if len(wanted) == 1 and random.random() < 0.5:
            weight = 0.3 * array(random, wanted * 2)
            new.append(Node(f"again_{index}", real.Linear(weight), (loop,)))
        fed = dataclasses.replace(target, inputs=(*target.inputs, new[-1].name))
        shapes |= {node.name: wanted for node in new}
        nodes[place : place + 1] = [*new, fed]
    return nodes


def array(random: Random, shape: Shape, dtype: str = "float64") -> Array:
    return np.random.default_rng(random.getrandbits(32)).normal(0, 0.7, shape).astype(dtype)


def _dtype(random: Random) -> str:
    return random.choice(["float32", "float64"])


def linear(random: Random, shape: Shape) -> Operation:
    size, dtype = random.randint(1, 6), _dtype(random)
    bias = array(random, (size,), dtype) if random.random() < 0.5 else None
    return real.Linear(array(random, (size, shape[-1]), dtype), bias)


def conv(random: Random, shape: Shape) -> Operation:
    groups = random.choice([1, 1, 2])
    kernel = random.choice([(1, 1), (3, 3), (3, 1), (1, 3), (2, 2)])
    weight = array(random, (4, max(1, shape[0] // groups), *kernel), _dtype(random))
    bias = array(random, (4,), str(weight.dtype)) if random.random() < 0.5 else None
    pairs = [(random.randint(low, 2), random.randint(low, 2)) for low in (1, 0, 1)]
    return real.Conv2d(weight, bias, pairs[0], pairs[1], pairs[2], groups)


def flatten(random: Random, shape: Shape) -> Operation:
    merged = (shape[0], int(np.prod(shape[1:]))) if len(shape) > 1 else shape
    return real.Flatten(random.choice([(int(np.prod(shape)),), shape, merged]))


def pool(random: Random, shape: Shape) -> Operation:
    kind = random.choice([real.AvgPool2d, real.SumPool2d])
    return kind((2, random.choice([2, 3])), (random.randint(1, 2), 1), (random.randint(0, 1), 0))


def max_pool(random: Random, shape: Shape) -> Operation:
    return real.MaxPool2d((2, 2), (1, 2), (1, 0))


def batch_norm(random: Random, shape: Shape) -> Operation:
    parts = [array(random, shape[:1], "float32") for _ in range(4)]
    return real.BatchNorm(parts[0], np.abs(parts[1]), parts[2], parts[3])


def scale(random: Random, shape: Shape) -> Operation:
    own = random.choice([(), shape, (1,), (shape[0], *(1 for _ in shape[1:]))])
    return real.Scale(array(random, own, _dtype(random)))


def threshold(random: Random, shape: Shape) -> Operation:
    return real.Threshold(array(random, random.choice([(), shape]), _dtype(random)))


def lif(random: Random, shape: Shape) -> Operation:
    """Every reset; parameters per layer, channel or neuron, float32 and float64; sometimes beta = 1."""
    dtype = _dtype(random)

    def parameter(low: float, high: float) -> Array:
        own = random.choice([(), shape, (shape[0], *(1 for _ in shape[1:]))])
        return np.random.default_rng(random.getrandbits(32)).uniform(low, high, own).astype(dtype)

    beta = np.ones((), dtype) if random.random() < 0.2 else parameter(0, 0.99)
    return real.Lif(beta, parameter(0.1, 1.5), parameter(0.2, 2), random.choice(real.RESETS))


def current_lif(random: Random, shape: Shape) -> Operation:
    """With a synaptic current; alpha per layer or neuron, both decays below 1, as NIR's CubaLIF has them."""
    generator = np.random.default_rng(random.getrandbits(32))
    alpha = generator.uniform(0, 0.99, random.choice([(), shape])).astype(_dtype(random))
    return lif(random, shape).replace(beta=np.array(random.uniform(0, 0.99)), alpha=alpha)


def li(random: Random, shape: Shape) -> Operation:
    """Without a threshold, with and without a current."""
    neuron: real.Lif = random.choice([lif, current_lif])(random, shape)  # type: ignore[assignment]
    return real.Li(neuron.beta, neuron.gain, neuron.alpha)


def delay(random: Random, shape: Shape) -> Operation:
    return real.Delay(shape, random.choice([1, 1, 2, 5]))


def alpha(random: Random, shape: Shape) -> Operation:
    """Every reset that snnTorch's Alpha has; alpha above beta."""
    fast, slow = random.uniform(0.1, 0.5), random.uniform(0.6, 0.95)
    tau = np.log(slow) / (np.log(fast) - np.log(slow)) + 1
    reset = random.choice(real.ALPHA_RESETS)
    return real.Alpha(np.array(slow), np.array(fast), np.array(tau), np.array(random.uniform(0.1, 1)), reset)


def biased_lif(random: Random, shape: Shape) -> Operation:
    return lif(random, shape).replace(bias=array(random, shape))


NIR_LAYERS: tuple[Maker, ...] = (linear, conv, flatten, pool, scale, threshold, lif, lif, current_lif)
LOOPED_LAYERS: tuple[Maker, ...] = (*NIR_LAYERS, li, delay)
"""These, and connections back."""
ALL_LAYERS: tuple[Maker, ...] = (*LOOPED_LAYERS, max_pool, batch_norm, biased_lif, alpha)


def inputs_for(graph: Graph, steps: int = 12, batch: int = 2, seed: int = 0) -> dict[str, Array]:
    """Spikes `[T, B, *shape]` for every input."""
    generator = np.random.default_rng(seed)
    return {
        n.name: (generator.random((steps, batch, *graph.shapes[n.name])) < 0.4) * 1.0 for n in graph.inputs
    }


def integer_graph(random: Random) -> Graph:
    """A chain of convolutions or dense layers with neurons between them."""
    nodes = [Node("spikes", integer.Input((2, 5, 4), random.choice([0, 8])))]
    shape: Shape = (2, 5, 4)
    for index in range(random.randint(1, 4)):
        connection = _integer_connection(random, shape)
        shape = connection.output_shape(shape)
        nodes.append(Node(f"synapses_{index}", connection, (nodes[-1].name,)))
        neurons = random.choice([_integer_lif, _integer_lif, _window_sum])(random, shape)
        nodes.append(Node(f"neurons_{index}", neurons, (nodes[-1].name,)))
    nodes.append(Node("out", integer.Output((int(np.prod(shape)),)), (nodes[-1].name,)))
    return verified(Graph("integer", tuple(nodes), 1e-3))


def _int8(random: Random, shape: Shape) -> Array:
    return np.random.default_rng(random.getrandbits(32)).integers(-128, 128, shape).astype(np.int8)


def _integer_connection(random: Random, shape: Shape) -> Operation:
    exponent, delay = random.randint(0, 7), random.randint(0, 62)
    if len(shape) == 3 and random.random() < 0.6:
        return integer.Conv(_int8(random, (2, shape[0], 1, 1)), exponent, delay, padding=(1, 0))
    return integer.Dense(_int8(random, (random.randint(1, 5), int(np.prod(shape)))), exponent, delay)


def _window_sum(random: Random, shape: Shape) -> Operation:
    return WindowSum(shape, 12, random.choice([True, False]), message_bits=random.randint(2, 32))


def _integer_lif(random: Random, shape: Shape) -> Operation:
    def parameter(high: int) -> Array:
        own = random.choice([(), shape])
        return np.random.default_rng(random.getrandbits(32)).integers(0, high, own).astype(np.int32)

    parameters = (parameter(4096), parameter(4097), parameter(1 << 17), parameter(4096))
    return integer.Lif(shape, *parameters, random.randint(0, 7), random.choice(real.RESETS))
