"""Random integer networks that use everything a program can hold, and what differs between two traces."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.random import Generator

from avnir.ir import integer
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer_delta import Delta, SigmaDelta
from avnir.ir.integer_graded import InverseRoot, Product, Readout, Relay
from avnir.ir.integer_sparse import Sparse
from avnir.ir.integer_window import WindowSum
from avnir.ir.operation import Array, Shape
from avnir.ir.real import RESETS
from avnir.trace import Trace


def weights(rng: Generator, *shape: int) -> Array:
    """Signed, or of one sign: Lava treats matrices of one sign differently unless told."""
    low, high = [(-128, 128), (0, 128), (-128, 1)][rng.choice(3, p=[0.8, 0.15, 0.05])]
    return rng.integers(low, high, shape).astype(np.int8)


def neurons(rng: Generator, shape: Shape, reset: str | None = None, **fixed: int) -> integer.Lif:
    """Every parameter one for the layer or one a neuron; `fixed` sets some of them."""

    def parameter(name: str, low: int, high: int) -> Array:
        if name in fixed:
            return np.asarray(fixed[name], np.int32)
        own = shape if rng.random() < 0.5 else ()
        return np.asarray(rng.integers(low, high, own), np.int32)

    full = rng.random() < 0.3
    return integer.Lif(
        shape,
        decay_u=np.asarray(4095, np.int32) if rng.random() < 0.5 else parameter("decay_u", 0, 4096),
        decay_v=np.asarray(4096, np.int32) if rng.random() < 0.2 else parameter("decay_v", 0, 4097),
        threshold=parameter("threshold", 0, 1 << 17 if full else 1500),
        bias_mantissa=parameter("bias_mantissa", -4096, 4096),
        bias_exponent=int(rng.integers(0, 8)),
        reset=reset or str(rng.choice(RESETS)),
    )


def residual_network(seed: int) -> tuple[Graph, dict[str, Array]]:
    """Convolutions of every kind, a sum of two layers, a delayed skip path, two inputs, two outputs."""
    rng = np.random.default_rng(seed)
    bits = int(rng.choice([0, 0, 4, 12]))
    groups = int(rng.choice([1, 2]))
    pair = lambda low, high: (int(rng.integers(low, high)), int(rng.integers(low, high)))  # noqa: E731
    kernel = pair(1, 4)
    first = integer.Conv(
        weights(rng, 4, 2 // groups, *kernel),
        int(rng.integers(0, 8)),
        stride=pair(1, 3),
        padding=pair(0, 3),
        dilation=pair(1, 3),
        groups=groups,
    )
    shape = first.output_shape((2, 7, 8))
    depthwise = integer.Conv(weights(rng, 4, 1, 3, 3), 2, 0, padding=(1, 1), groups=4)
    nodes = [
        Node("image", integer.Input((2, 7, 8), bits)),
        Node("sound", integer.Input((5,))),
        Node("conv1", first, ("image",)),
        Node("layer1", neurons(rng, shape), ("conv1",)),
        Node("conv2", depthwise, ("layer1",)),
        Node("layer2", neurons(rng, shape), ("conv2",)),
        Node("conv2b", integer.Conv(weights(rng, 4, 4, 1, 1), 1), ("layer1",)),
        Node("layer2b", neurons(rng, shape), ("conv2b",)),
        Node("conv3", integer.Conv(weights(rng, 4, 4, 3, 1), 3, padding=(1, 0)), ("layer2", "layer2b")),
        Node("skip", integer.Conv(weights(rng, 4, 4, 1, 1), 3, delay=1), ("layer1",)),
        Node("layer3", neurons(rng, shape), ("conv3", "skip")),
        Node(
            "head", integer.Dense(weights(rng, 6, int(np.prod(shape))), int(rng.integers(0, 3))), ("layer3",)
        ),
        Node("late", integer.Dense(weights(rng, 6, 5), 4, delay=3), ("sound",)),
        Node("both", integer.Dense(weights(rng, 6, int(np.prod(shape))), 1, delay=1), ("layer2", "layer2b")),
        Node("layer4", neurons(rng, (6,)), ("head", "late", "both")),
        Node("decision", integer.Output((6,)), ("layer4",)),
        Node("features", integer.Output((int(np.prod(shape)),)), ("layer3",)),
    ]
    graph = verified(Graph("integer", tuple(nodes)))
    return graph, inputs_for(graph, rng, steps=int(rng.integers(1, 8)), batch=int(rng.integers(1, 4)))


def looped_network(seed: int) -> tuple[Graph, dict[str, Array]]:
    """The residual network with loops of one and of three layers, and a lag from an input.

    Its connections with a lag stand before all that feeds them.
    """
    rng = np.random.default_rng(seed + 1000)
    more = int(rng.integers(0, 4))
    graph, inputs = residual_network(seed)
    ring = integer.Conv(weights(rng, 4, 4, 1, 1), 2, delay=more, lag=3 + more)
    back = integer.Conv(weights(rng, 4, 4, 3, 3), 1, delay=more, lag=1 + more, padding=(1, 1))
    lagged = (
        Node("ring", ring, ("layer3",)),
        Node("back", back, ("layer1",)),
        Node("own", integer.Dense(weights(rng, 6, 6), 2, lag=1), ("layer4",)),
        Node("before", integer.Dense(weights(rng, 6, 5), 4, delay=5, lag=2), ("sound",)),
    )
    more_feeds = {"layer1": ("ring", "back"), "layer4": ("own", "before")}
    nodes = [dataclasses.replace(n, inputs=n.inputs + more_feeds.get(n.name, ())) for n in graph]
    return graph.with_nodes([*lagged, *nodes]), inputs


def listed(rng: Generator, matrix: Array, **more: int) -> Sparse:
    """Some synapses of a matrix, at least one."""
    kept = np.where(rng.random(matrix.shape) < rng.choice([0.1, 0.5, 1.0]), matrix, np.int8(0))
    kept[rng.integers(len(kept)), 0] = 3
    return Sparse.of(kept, int(rng.integers(0, 3)), **more)


def each(rng: Generator, out: int, inputs: int, **more: int) -> Sparse:
    """One synapse for each target, so that sums of wide messages stay within Lava's."""
    source = np.sort(rng.integers(0, inputs, out)).astype(np.int32)
    weight = rng.integers(-60, 61, out).astype(np.int8)
    return Sparse(weight, 0, **more, size=(out, inputs), source=source, target=np.arange(out, dtype=np.int32))


def reading(rng: Generator, shape: Shape) -> Readout:
    """A layer that sends its potentials, with the parameters of random neurons."""
    layer = neurons(rng, shape)
    return Readout(shape, layer.decay_u, layer.decay_v, layer.bias_mantissa, layer.bias_exponent, layer.scale)


def graded_network(seed: int) -> tuple[Graph, dict[str, Array]]:
    """Listed synapses, relays, a product and read-outs, in sums, behind delays and in loops."""
    rng = np.random.default_rng(seed + 2000)
    late = int(rng.integers(0, 3))
    product = Product((5,), int(rng.integers(8, 14)), int(rng.choice([0, 1, 500])), 2, message_bits=32)
    shape = (3, 4, 4)
    pixel = integer.Conv(rng.integers(-1, 2, (3, 3, 1, 1)).astype(np.int8), 0, late, 1 + late)
    seen = Relay(shape, int(rng.integers(0, 300)), bool(rng.integers(2)), message_bits=32)
    nodes = [
        Node("sound", integer.Input((10,), int(rng.choice([0, 3, 8])))),
        Node("image", integer.Input((2, 4, 4), int(rng.choice([0, 4])))),
        Node("hear", listed(rng, weights(rng, 8, 10)), ("sound",)),
        Node("again", listed(rng, weights(rng, 8, 8), delay=late, lag=1 + late), ("heard",)),
        Node("heard", neurons(rng, (8,)), ("hear", "again")),
        Node("see", integer.Conv(weights(rng, 3, 2, 3, 3), 1, padding=(1, 1)), ("image",)),
        Node("kept", pixel, ("seen",)),
        Node("seen", seen, ("see", "kept")),
        Node("counts", integer.Dense(weights(rng, 5, 8)), ("heard",)),
        Node("passed", listed(rng, weights(rng, 5, 10), delay=1), ("sound",)),
        Node("gate", each(rng, 5, 48), ("seen",)),
        Node("early", listed(rng, weights(rng, 5, 10), delay=1), ("sound",)),
        Node("product", product, ("counts", "passed", "gate", "early")),
        Node("weighted", each(rng, 6, 5), ("product",)),
        Node("skip", listed(rng, weights(rng, 6, 8), delay=1), ("heard",)),
        Node("potential", reading(rng, (6,)), ("weighted", "skip")),
        Node("read", each(rng, 4, 6), ("potential",)),
        Node("own", listed(rng, weights(rng, 4, 4), lag=1), ("last",)),
        Node("last", neurons(rng, (4,), threshold=int(rng.choice([100, 100_000]))), ("read", "own")),
        Node("decision", integer.Output((4,)), ("last",)),
        Node("potentials", integer.Output((2, 3)), ("potential",)),
        Node("picture", integer.Output((48,)), ("seen",)),
    ]
    graph = verified(Graph("integer", tuple(nodes)))
    return graph, inputs_for(graph, rng, steps=int(rng.integers(1, 8)), batch=int(rng.integers(1, 4)))


def coded_network(seed: int) -> tuple[Graph, dict[str, Array]]:
    """A sigma-delta network, and beside it a vector divided by its length; both are read out together."""
    rng = np.random.default_rng(seed + 3000)
    one = np.eye(8, dtype=np.int8)
    coding = {"cumulative": bool(rng.integers(2)), "message_bits": 32}
    bias = np.asarray(rng.integers(-300, 300, 7), np.int32)
    rectify, exponents = bool(rng.integers(2)), [int(e) for e in rng.integers(0, 4, 4)]
    code = Delta((8,), int(rng.integers(0, 20)), coding["cumulative"], *exponents[:2], message_bits=32)
    sigma = SigmaDelta(
        (7,),
        int(rng.integers(0, 300)),
        coding["cumulative"],
        *exponents[2:],
        message_bits=32,
        bias=bias,
        rectify=rectify,
    )
    nodes = [
        Node("sound", integer.Input((8,), int(rng.choice([0, 4, 8])))),
        Node("straight", integer.Dense(one), ("sound",)),
        Node("code", code, ("straight",)),
        Node("mix", integer.Dense(weights(rng, 7, 8), int(rng.integers(0, 2))), ("code",)),
        Node("sigma", sigma, ("mix",)),
        Node("once", integer.Dense(one), ("sound",)),
        Node("twice", integer.Dense(one), ("sound",)),
        Node("squares", Product((8,), message_bits=32), ("once", "twice")),
        Node("sum", integer.Dense(np.ones((1, 8), np.int8)), ("squares",)),
        Node("root", InverseRoot((1,)), ("sum",)),
        Node("to_all", integer.Dense(np.ones((8, 1), np.int8)), ("root",)),
        Node("later", integer.Dense(one, delay=2), ("sound",)),
        Node("direction", Product((8,), int(rng.integers(4, 12)), message_bits=32), ("later", "to_all")),
        Node("changed", integer.Dense(rng.integers(-2, 3, (5, 7)).astype(np.int8), delay=1), ("sigma",)),
        Node("turned", integer.Dense(rng.integers(-2, 3, (5, 8)).astype(np.int8)), ("direction",)),
        Node("read", reading(rng, (5,)), ("changed", "turned")),
        Node("potentials", integer.Output((5,)), ("read",)),
        Node("changes", integer.Output((7,)), ("sigma",)),
    ]
    graph = verified(Graph("integer", tuple(nodes)))
    return graph, inputs_for(graph, rng, steps=int(rng.integers(1, 8)), batch=int(rng.integers(1, 4)))


def summed_network(seed: int) -> tuple[Graph, dict[str, Array]]:
    """Sums over the window in a row, some running, others of what the first gate; loops before and after."""
    rng = np.random.default_rng(seed + 4000)
    steps, late = int(rng.integers(1, 8)), int(rng.integers(0, 3))
    first, second, third = (
        WindowSum(shape, steps, bool(rng.random() < 0.3), message_bits=32)
        for shape in ((8,), (5,), (3, 4, 4))
    )
    nodes = [
        Node("sound", integer.Input((10,), int(rng.choice([0, 3, 8])))),
        Node("image", integer.Input((2, 4, 4), int(rng.choice([0, 4])))),
        Node("hear", listed(rng, weights(rng, 8, 10)), ("sound",)),
        Node("again", listed(rng, weights(rng, 8, 8), delay=late, lag=1 + late), ("heard",)),
        Node("heard", neurons(rng, (8,)), ("hear", "again")),
        Node("counted", integer.Dense(np.eye(8, dtype=np.int8)), ("heard",)),
        Node("counts", first, ("counted",)),
        Node("see", integer.Conv(weights(rng, 3, 2, 3, 3), 1, padding=(1, 1)), ("image",)),
        Node("seen", third, ("see",)),
        Node("kept", each(rng, 5, 48, delay=1), ("seen",)),
        Node("open", each(rng, 5, 8), ("counts",)),
        Node("past", each(rng, 5, 8, delay=1), ("heard",)),
        Node(
            "gated",
            Product((5,), int(rng.integers(0, 6)), message_bits=32, second=1),
            ("kept", "past", "open"),
        ),
        Node("added", integer.Dense(np.eye(5, dtype=np.int8)), ("gated",)),
        Node("totals", second, ("added",)),
        Node("read", each(rng, 6, 5), ("totals",)),
        Node("before", listed(rng, weights(rng, 6, 10), delay=7, lag=3), ("sound",)),
        Node("own", listed(rng, weights(rng, 6, 6), lag=1), ("last",)),
        Node(
            "last", neurons(rng, (6,), threshold=int(rng.choice([100, 100_000]))), ("read", "before", "own")
        ),
        Node("decision", integer.Output((6,)), ("last",)),
        Node("sums", integer.Output((5,)), ("totals",)),
    ]
    graph = verified(Graph("integer", tuple(nodes)))
    return graph, inputs_for(graph, rng, steps=steps, batch=int(rng.integers(1, 4)))


def inputs_for(graph: Graph, rng: Generator, steps: int, batch: int) -> dict[str, Array]:
    """Spikes, or signed messages over their whole range, `[T, B, *shape]`."""
    inputs = {}
    for node in graph.inputs:
        shape, bits = (steps, batch, *graph.shapes[node.name]), node.op.message_bits  # type: ignore[attr-defined]
        top = 1 << max(bits - 1, 0)
        inputs[node.name] = (
            rng.integers(-top, top, shape) if bits else (rng.random(shape) < 0.4).astype(np.int64)
        )
    return inputs


def chain(connection: integer.Connection, layer: integer.Lif, bits: int, shape: Shape) -> Graph:
    """One layer behind one connection."""
    nodes = (
        Node("x", integer.Input(shape, bits)),
        Node("synapses", connection, ("x",)),
        Node("layer", layer, ("synapses",)),
        Node("y", integer.Output(layer.shape), ("layer",)),
    )
    return verified(Graph("integer", nodes))


def differences(a: Trace, b: Trace, states: bool) -> list[str]:
    """The names of all arrays that are not equal in shape and in every entry."""
    if len(a.rehearsals) != len(b.rehearsals):
        return [f"{len(a.rehearsals)} and {len(b.rehearsals)} rehearsals"]
    rehearsed = [differences(*pair, states) for pair in zip(a.rehearsals, b.rehearsals, strict=True)]
    pairs = {f"spikes {name}": (array, b.spikes[name]) for name, array in a.spikes.items()}
    pairs |= {f"output {name}": (array, b.outputs[name]) for name, array in a.outputs.items()}
    if states:
        for name, registers in a.states.items():
            pairs |= {
                f"{register} of {name}": (array, b.states[name][register])
                for register, array in registers.items()
            }
    found = [name for name, (one, other) in pairs.items() if not np.array_equal(one, other)]
    return found + [f"{name}, rehearsed" for names in rehearsed for name in names]
