"""Hypothesis strategies for integer programs and inputs that fit them (`pip install "avnir[test]"`).

Structure and ranges are drawn; arrays come from a generator with a drawn seed, which is fast and still
repeats. Weights, exponents, decays, thresholds and biases take their extremes often, so that currents
wrap, potentials clip and convolutions overflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from avnir.errors import GraphError
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer import Connection, Conv, Dense, Input, Lif, Neurons, Output
from avnir.ir.integer_delta import Delta, SigmaDelta
from avnir.ir.integer_graded import InverseRoot, Product, Readout, Relay
from avnir.ir.integer_sparse import Sparse
from avnir.ir.integer_window import WindowSum
from avnir.ir.loops import components
from avnir.ir.operation import Array, Operation, Shape
from avnir.ir.real import RESETS
from avnir.numerics import fixed
from avnir.program import Program

Draw = st.DrawFn


@dataclass
class _Net:
    """A network that grows from its inputs; every neuron layer and input is a place to start from."""

    seed: int
    steps: int
    nodes: list[Node] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    late: dict[str, int] = field(default_factory=dict)

    def add(
        self, op: Operation, inputs: tuple[str, ...], shape: Shape, late: int, place: int | None = None
    ) -> str:
        """A new node at `place` among the nodes, by default the last."""
        name = f"{op.kind.lower()}_{len(self.nodes)}"
        self.nodes.insert(len(self.nodes) if place is None else place, Node(name, op, inputs))
        if not getattr(op, "connection", False):
            self.shapes[name], self.late[name] = shape, late
        return name

    def rng(self) -> np.random.Generator:
        """Numbers for the next node."""
        return np.random.default_rng((self.seed, len(self.nodes)))


class Window(NamedTuple):
    """A program with inputs for it; prints its nodes, not their arrays."""

    program: Program
    inputs: Mapping[str, Array]

    def __repr__(self) -> str:
        nodes = [f"{n.name} = {n.op.text()} <- {', '.join(n.inputs)}" for n in self.program.graph]
        inputs = [f"{name}: {array.dtype}{array.shape}" for name, array in self.inputs.items()]
        return "\n".join(["Window:", *nodes, *inputs])


@st.composite
def windows(draw: Draw, max_layers: int = 4) -> Window:
    """A program of `programs`, and 1 to 12 steps for 1 to 5 samples, from silent to always active.

    If the program adds up windows, it says how long they are.
    """
    program = draw(programs(max_layers))
    return Window(program, _inputs(draw, program))


@st.composite
def programs(draw: Draw, max_layers: int = 4) -> Program:
    """A balanced program: 1 or 2 inputs, up to `max_layers` neuron layers, 1 or 2 outputs.

    A layer is fed by one to three connections from any earlier layers and inputs, the earlier ones
    delayed; a connection may be fed by two layers at once. Up to two more connections have a lag and lead
    from anywhere into any layer: back into it, round a longer loop, or forward past other layers.
    """
    net = _Net(draw(st.integers(0, 2**32 - 1)), draw(_steps))
    for _ in range(draw(st.integers(1, 2))):
        shape = draw(_input_shapes)
        net.add(Input(shape, draw(st.sampled_from((0, 0, 0, 2, 8, 24)))), (), shape, 0)
    layers = [_add_layer(draw, net) for _ in range(draw(st.integers(1, max_layers)))]
    for _ in range(draw(st.sampled_from((0, 1, 1, 2)))):
        _add_lagged(draw, net, draw(st.sampled_from(layers)))
    for name in {layers[-1], draw(st.sampled_from(layers))}:
        net.add(Output(net.shapes[name]), (name,), net.shapes[name], net.late[name])
    return Program(verified(Graph("integer", _none_waits(net.nodes))), target="any")


def _none_waits(nodes: list[Node]) -> tuple[Node, ...]:
    """The nodes, with sums that run where a loop leads through them."""
    loops = components(Graph("integer", tuple(nodes)).consumers)
    inside = {name for names in loops for name in names if len(names) > 1}
    return tuple(
        replace(n, op=n.op.replace(running=True)) if n.op.rehearsed and n.name in inside else n for n in nodes
    )


def _inputs(draw: Draw, program: Program) -> Mapping[str, Array]:
    summed = [node.op.steps for node in program.graph.select(lambda op: op.kind == "WindowSum")]  # type: ignore[attr-defined]
    steps, batch = summed[0] if summed else draw(_steps), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    density = draw(st.sampled_from((0.0, 0.05, 0.3, 0.8, 1.0)))
    return {
        node.name: _messages(rng, (steps, batch, *node.op.output_shape(())), bits, density)
        for node in program.graph.inputs
        for bits in (int(dict(node.op.items())["message_bits"]),)
    }


def _messages(rng: np.random.Generator, shape: Shape, bits: int, density: float) -> Array:
    active = rng.random(shape) < density
    if bits == 0:
        return active.astype(np.uint8)
    limit = 2 ** (bits - 1)
    return np.where(active, rng.integers(-limit, limit, shape, np.int32), 0)


_steps = st.integers(1, 12)
_input_shapes = st.one_of(
    st.tuples(st.integers(1, 20)),
    st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)),
)
_layer_shapes = st.one_of(
    st.tuples(st.integers(1, 20)),
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3)),
)


def _add_layer(draw: Draw, net: _Net) -> str:
    """A neuron layer with the connections that feed it; their sum arrives in the same chip step."""
    sources = draw(st.lists(st.sampled_from(sorted(net.shapes)), min_size=1, max_size=3, unique=True))
    late = max(net.late[name] for name in sources) + 1 + draw(st.sampled_from((0, 0, 0, 1, 3)))
    wanted: Shape = draw(_layer_shapes)
    conv = _conv(draw, net, sources[0])
    if conv is not None:
        wanted = conv.output_shape(net.shapes[sources[0]])
        sources = [name for name in sources if net.shapes[name] == net.shapes[sources[0]]]
    feeding = []
    for name in sources:
        op = conv or _flat(draw, net, (_size(wanted), _size(net.shapes[name])))
        delayed: Connection = op.replace(delay=late - 1 - net.late[name])
        feeding.append(net.add(delayed, _with_twin(draw, net, name), wanted, late))
    return net.add(_neurons(draw, net, wanted, len(feeding)), tuple(feeding), wanted, late)


def _add_lagged(draw: Draw, net: _Net, layer: str) -> None:
    """One more connection into a layer, from a layer or an input; it may stand before what feeds it."""
    place = next(k for k, node in enumerate(net.nodes) if node.name == layer)
    fed_by = net.nodes[place].inputs
    by_conv = next(node.op.kind == "Conv" for node in net.nodes if node.name in fed_by)
    fitting = [name for name in sorted(net.shapes) if not by_conv or _same_places(net, name, layer)]
    source = draw(st.sampled_from([layer, *fitting]))
    early = net.late[layer] - net.late[source]
    lag = max(1, 1 - early) + draw(st.sampled_from((0, 0, 1, 3)))
    op = (_conv_between if by_conv else _dense_between)(draw, net, source, layer)
    lagged: Connection = op.replace(delay=early + lag - 1, lag=lag)
    feeding = _with_twin(draw, net, source)
    name = net.add(lagged, feeding, net.shapes[layer], net.late[layer], draw(st.integers(0, place)))
    net.nodes[place + 1] = replace(net.nodes[place + 1], inputs=(*fed_by, name))


def _same_places(net: _Net, source: str, layer: str) -> bool:
    return len(net.shapes[source]) == 3 and net.shapes[source][1:] == net.shapes[layer][1:]


def _conv_between(draw: Draw, net: _Net, source: str, layer: str) -> Connection:
    """A convolution that keeps height and width."""
    around = draw(st.integers(0, 1))
    kernel = (net.shapes[layer][0], net.shapes[source][0], 1 + 2 * around, 1 + 2 * around)
    return Conv(_weights(draw, net, kernel), _exponent(draw), padding=(around, around))


def _dense_between(draw: Draw, net: _Net, source: str, layer: str) -> Connection:
    return _flat(draw, net, (_size(net.shapes[layer]), _size(net.shapes[source])))


def _flat(draw: Draw, net: _Net, size: tuple[int, int]) -> Connection:
    """All to all, or listed synapses, of which some may weigh 0."""
    weight, exponent = _weights(draw, net, size), _exponent(draw)
    if not draw(st.booleans()):
        return Dense(weight, exponent)
    target, source = np.nonzero(net.rng().random(size) < draw(st.sampled_from((0.1, 0.5, 1.0))))
    listed = np.unique(np.append(source * size[0] + target, net.rng().integers(weight.size)))
    source, target = (listed // size[0]).astype(np.int32), (listed % size[0]).astype(np.int32)
    return Sparse(weight[target, source], exponent, size=size, source=source, target=target)


def _with_twin(draw: Draw, net: _Net, name: str) -> tuple[str, ...]:
    """The source, sometimes with another of the same shape whose spikes come in the same chip step."""
    alike = [n for n in net.shapes if (net.shapes[n], net.late[n]) == (net.shapes[name], net.late[name])]
    return tuple(dict.fromkeys((name, draw(st.sampled_from(alike)))))


def _conv(draw: Draw, net: _Net, source: str) -> Conv | None:
    """A convolution that fits the source, or None: for a flat source, and sometimes anyway."""
    shape = net.shapes[source]
    if len(shape) != 3 or not draw(st.booleans()):
        return None
    groups = draw(st.sampled_from([g for g in (1, 2, 3) if shape[0] % g == 0]))
    out = groups * draw(st.integers(1, 3))
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    conv = Conv(
        _weights(draw, net, (out, shape[0] // groups, *draw(pair))),
        _exponent(draw),
        stride=draw(pair),
        padding=draw(st.tuples(st.integers(0, 2), st.integers(0, 2))),
        dilation=draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
        groups=groups,
    )
    try:
        conv.output_shape(shape)
    except GraphError:
        return None
    return conv


def _exponent(draw: Draw) -> int:
    return draw(st.sampled_from((0, 0, 1, 4, 7)))


def _weights(draw: Draw, net: _Net, shape: Shape) -> Array:
    """Small, of the full range, or all at one extreme."""
    low, high = draw(st.sampled_from(((-9, 20), (-128, 127), (127, 127), (-128, -128))))
    return net.rng().integers(low, high, shape, np.int8, endpoint=True)


def _neurons(draw: Draw, net: _Net, shape: Shape, feeding: int) -> Neurons:
    """Neurons of any kind, more often those that spike; a product where two connections can meet."""
    others = (_relay, _readout, _inverse_root, _delta, _sigma_delta, *[_window_sum] * 3)
    others += (_product,) * (feeding > 1)
    kinds = others if draw(st.booleans()) else (_lif,)
    return draw(st.sampled_from(kinds))(draw, net, shape)


def _relay(draw: Draw, net: _Net, shape: Shape) -> Relay:
    return Relay(shape, draw(_message_thresholds), positive=draw(st.booleans()), message_bits=32)


def _delta(draw: Draw, net: _Net, shape: Shape) -> Delta:
    return Delta(shape, **_encoding(draw))


def _sigma_delta(draw: Draw, net: _Net, shape: Shape) -> SigmaDelta:
    bias = _parameter(draw, net, shape, (0, 1, -100, 255, -256))
    return SigmaDelta(shape, bias=bias, rectify=draw(st.booleans()), **_encoding(draw, 7))


def _encoding(draw: Draw, most: int = 14) -> dict[str, Any]:
    """Thresholds up to 9 bits, and exponents of `most` in sum."""
    spike = draw(st.integers(0, 7))
    return {
        "threshold": draw(st.sampled_from((0, 1, 20, 511))),
        "cumulative": draw(st.booleans()),
        "spike_exponent": spike,
        "state_exponent": draw(st.integers(0, min(7, most - spike))),
        "message_bits": 32,
    }


def _window_sum(draw: Draw, net: _Net, shape: Shape) -> WindowSum:
    return WindowSum(shape, net.steps, draw(st.sampled_from((False, False, True))), message_bits=32)


def _inverse_root(draw: Draw, net: _Net, shape: Shape) -> InverseRoot:
    return InverseRoot(shape)


def _product(draw: Draw, net: _Net, shape: Shape) -> Product:
    """Of two or more connections, where the last is the second port."""
    exponent = draw(st.sampled_from((0, 3, 16, 31)))
    return Product(shape, exponent, draw(_message_thresholds), message_bits=32)


_message_thresholds = st.sampled_from((0, 1, 1000, 2**23 - 1))


def _readout(draw: Draw, net: _Net, shape: Shape) -> Readout:
    return Readout(shape, *_decays(draw, net, shape), **_bias(draw, net, shape))


def _lif(draw: Draw, net: _Net, shape: Shape) -> Lif:
    return Lif(
        shape,
        *_decays(draw, net, shape),
        threshold=_parameter(draw, net, shape, (0, 100, 1000, fixed.THRESHOLD.high)),
        reset=draw(st.sampled_from(RESETS)),
        **_bias(draw, net, shape),
    )


def _decays(draw: Draw, net: _Net, shape: Shape) -> tuple[Array, Array]:
    """`decay_u` and `decay_v`."""
    current, potential = fixed.CURRENT_DECAY.high, fixed.DECAY_ONE
    return (
        _parameter(draw, net, shape, (0, 300, current, current)),
        _parameter(draw, net, shape, (0, 400, potential - 1, potential)),
    )


def _bias(draw: Draw, net: _Net, shape: Shape) -> dict[str, Any]:
    mantissas = (0, 0, 50, fixed.BIAS_MANTISSA.low, fixed.BIAS_MANTISSA.high)
    exponents = st.sampled_from((0, 3, fixed.BIAS_EXPONENT.high))
    return {"bias_mantissa": _parameter(draw, net, shape, mantissas), "bias_exponent": draw(exponents)}


def _parameter(draw: Draw, net: _Net, shape: Shape, values: tuple[int, ...]) -> Array:
    """One of `values` for the whole layer, or one for each neuron."""
    if draw(st.booleans()):
        return np.array(draw(st.sampled_from(values)), np.int32)
    return net.rng().choice(np.array(values, np.int32), shape).astype(np.int32)


def _size(shape: Shape) -> int:
    return int(np.prod(shape))
