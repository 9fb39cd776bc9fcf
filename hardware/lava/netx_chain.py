"""Which integer graphs lava-dl's netx can hold, and what it would compute otherwise.

Authority: lava-dl 0.6.0, `lava/lib/dl/netx/hdf5.py` and `utils.py`, run on lava-nc 0.10.0. netx makes of
each layer one connection of a step and Lava's LIF, in a row, without branches. `avnir.passes.netx_form`
brings weights and biases into its ranges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from avnir.errors import Finding, UnsupportedError
from avnir.hardware.lava import limits
from avnir.ir import integer
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array, Shape
from avnir.numerics import fixed
from avnir.passes.netx_form import LARGEST_WEIGHT, LEAST_WEIGHT

KINDS = ("Input", "Output", "Dense", "Conv", "Lif")
SUM_LIMIT = 1 << 31
"""Lava sums the weights that netx moved up in 32 bits (`proc/dense/models.py`)."""


@dataclass(frozen=True)
class Link:
    """A layer of a chain: its neurons, the connection into them, and theirs into themselves if any.

    `shape` is what the connection makes, `(C, H, W)` or `(N,)`; `flattens` says that it reads a
    `(C, H, W)` as one row.
    """

    neurons: Node
    forward: Node
    recurrent: Node | None
    shape: Shape
    flattens: bool

    @property
    def lif(self) -> integer.Lif:
        return self.neurons.op  # type: ignore[return-value]

    @property
    def connections(self) -> tuple[integer.Connection, ...]:
        nodes = (self.forward,) if self.recurrent is None else (self.forward, self.recurrent)
        return tuple(node.op for node in nodes)  # type: ignore[misc]

    @property
    def weights(self) -> tuple[Array, ...]:
        """Theirs, int16, moved up by the exponent, which netx does not have."""
        return tuple(op.weight.astype(np.int16) << op.exponent for op in self.connections)


def bias(lif: integer.Lif) -> Array:
    """What is added to the potential in each step, int64, 0-d or the layer's shape."""
    return np.asarray(lif.bias_mantissa.astype(np.int64) << lif.bias_exponent)


def chain(graph: Graph) -> tuple[Link, ...]:
    """The layers of an integer graph from its input to its output.

    Raises UnsupportedError with everything that netx would refuse or compute otherwise.
    """
    findings = [
        *_kind_findings(graph),
        *_wiring_findings(graph),
        *_connection_findings(graph),
        *_neuron_findings(graph),
    ]
    links: tuple[Link, ...] = ()
    if not findings:
        links = tuple(_links(graph))
        findings = [
            *_shape_findings(graph, links),
            *_weight_findings(links),
            *_early_findings(links),
            *_lava_findings(graph),
        ]
    if findings:
        raise UnsupportedError("netx cannot hold this network exactly", findings)
    return links


def per_neuron(links: tuple[Link, ...]) -> tuple[str, ...]:
    """The layers whose thresholds or decays differ between neurons.

    Lava's simulation runs them; its documentation of LIF knows one value a layer (`proc/lif/process.py`).
    """
    return tuple(link.neurons.name for link in links if any(map(_differ, _constants(link.lif))))


def _constants(lif: integer.Lif) -> tuple[Array, ...]:
    return lif.threshold, lif.decay_u, lif.decay_v


def _differ(values: Array) -> bool:
    return bool(np.any(values != values.flat[0]))


def _place(node: Node) -> str:
    return node.source or node.name


def _forward(graph: Graph, name: str) -> list[str]:
    """The connections without a lag that a layer or input feeds."""
    fed = [graph[consumer] for consumer in graph.consumers[name]]
    return [node.name for node in fed if node.op.kind != "Output" and not node.op.delayed]


def _kind_findings(graph: Graph) -> Iterator[Finding]:
    for node in graph.select(lambda op: op.kind not in KINDS):
        yield Finding(_place(node), f"netx has no {node.op.kind}", f"Use {', '.join(KINDS[2:])} alone")


def _wiring_findings(graph: Graph) -> Iterator[Finding]:
    for nodes, what in ((graph.inputs, "input"), (graph.outputs, "output")):
        if len(nodes) > 1:
            names = ", ".join(node.name for node in nodes)
            yield Finding(names, f"{len(nodes)} {what}s, but netx has one", f"Export a network of one {what}")
    for node in graph.inputs:
        if node.op.message_bits:  # type: ignore[attr-defined]
            yield Finding(_place(node), "its input is graded", "Encode it as spikes (0 or 1 each step)")
    for node in (*graph.inputs, *graph.neurons):
        fed = _forward(graph, node.name)
        ends = any(graph[name].op.kind == "Output" for name in graph.consumers[node.name])
        if len(fed) + ends != 1:
            what = f"it feeds {' and '.join(fed) or 'nothing'}{' and an output' if ends else ''}"
            yield Finding(_place(node), f"{what}, but netx has chains only", "Feed one layer, or the output")


def _connection_findings(graph: Graph) -> Iterator[Finding]:
    for node in graph.select(lambda op: op.kind in ("Dense", "Conv")):
        op: integer.Connection = node.op  # type: ignore[assignment]
        fed = graph.consumers[node.name]
        own = not op.lag or (op.lag == 1 and node.inputs == fed)
        if len(node.inputs) > 1:
            what = f"it reads the sum of {' and '.join(node.inputs)}"
            yield Finding(_place(node), f"{what}, but netx has chains only", "Read one layer")
        elif len(fed) != 1:
            what = f"it feeds {' and '.join(fed) or 'nothing'}"
            yield Finding(_place(node), f"{what}, but netx has chains only", "Feed one layer")
        elif not own:
            what = f"what it brings is {op.lag} steps late, or from another layer, which netx does not have"
            yield Finding(_place(node), what, "Feed layers back to themselves alone, in one step")
        elif op.delay:
            yield Finding(_place(node), f"it waits {op.delay} further steps", "Use a network without delays")
        elif op.lag and any(graph[name].op.kind != "Dense" for layer in fed for name in graph[layer].inputs):
            yield Finding(_place(node), "netx has recurrence of dense layers only", "Use Linear for both")


def _neuron_findings(graph: Graph) -> Iterator[Finding]:
    for node in graph.select(lambda op: op.kind == "Lif"):
        lif: integer.Lif = node.op  # type: ignore[assignment]
        forward = [name for name in node.inputs if not graph[name].op.delayed]
        if len(forward) != 1 or len(node.inputs) > 2:
            what = f"it adds {' and '.join(node.inputs)}"
            yield Finding(_place(node), f"{what}, but netx has chains only", "Feed it from one layer")
        if not lif.native:
            remedy = 'Train with reset_mechanism="zero", reset_delay=False'
            yield Finding(_place(node), f"its reset is {lif.reset!r}, but netx's is 'zero'", remedy)
        steps, left = np.divmod(bias(lif), 1 << fixed.ALIGN)
        if not fixed.BIAS_MANTISSA.holds(steps):
            what = f"a bias is {int(np.abs(steps).max())} steps, but netx holds {fixed.BIAS_MANTISSA.high}"
            yield Finding(_place(node), what, "Use smaller biases, or fewer --weight-bits")
        elif np.any(left):
            what = "its biases are no whole steps of the threshold, as netx's are"
            yield Finding(_place(node), what, "Round them first (pass netx_form)")


def _links(graph: Graph) -> Iterator[Link]:
    (source,) = graph.inputs
    name, shape = source.name, graph.shapes[source.name]
    while fed := _forward(graph, name):
        forward = graph[fed[0]]
        neurons = graph[graph.consumers[forward.name][0]]
        recurrent = next((graph[n] for n in neurons.inputs if n != forward.name), None)
        flattens = forward.op.kind == "Dense" and len(shape) > 1
        name, shape = neurons.name, graph.shapes[forward.name]
        yield Link(neurons, forward, recurrent, shape, flattens)


def _shape_findings(graph: Graph, links: tuple[Link, ...]) -> Iterator[Finding]:
    """Where a convolution reads neurons in another shape than netx gives them."""
    for before, link in pairwise(links):
        read = graph.shapes[before.neurons.name]
        if link.forward.op.kind == "Conv" and read != before.shape:
            what = f"it reads {before.neurons.name} as {read}, but netx gives {before.shape}"
            yield Finding(_place(link.forward), what, "Let convolutions follow convolutions, unreshaped")


def _weight_findings(links: tuple[Link, ...]) -> Iterator[Finding]:
    """Weights that are none of netx's; those of convolutions are only held to the width of a synapse."""
    for link in links:
        weights = [weight.astype(np.int64) for weight in link.weights]
        low, high = min(int(w.min()) for w in weights), max(int(w.max()) for w in weights)
        if low < LEAST_WEIGHT or high > LARGEST_WEIGHT:
            what = f"its weights reach from {low} to {high}, but netx has [{LEAST_WEIGHT}, {LARGEST_WEIGHT}]"
            remedy = "Train its forward and its recurrent weights to be of similar size"
            yield Finding(_place(link.forward), what, remedy)
        elif link.forward.op.kind == "Dense" and (problem := _dense_problem(weights, low, high)):
            yield Finding(_place(link.forward), problem, "Use another number of --weight-bits")


def _dense_problem(weights: list[Array], low: int, high: int) -> str | None:
    """What netx and Lava make wrong of the weights of a dense layer, which netx scales together."""
    if low == high == 0:
        return "all its weights are 0, on which netx fails"
    up = _moved_up(low, high)
    if any(int(w.min()) << up == LEAST_WEIGHT and w.max() <= 0 for w in weights):
        return f"no weight is above 0, and Lava cuts the least, {LEAST_WEIGHT >> up}"
    if any(int(np.abs(w).sum(axis=1).max()) << up >= SUM_LIMIT for w in weights):
        return "its sums do not fit Lava's 32 bits"
    return None


def _moved_up(low: int, high: int) -> int:
    """The bits by which netx moves weights up so that they use the width of a synapse.

    The exponent takes them back: exact, as long as nothing was clipped.
    """
    top = LARGEST_WEIGHT if low < 0 else LARGEST_WEIGHT + 1
    return next(bits - 1 for bits in range(1, 10) if low << bits < LEAST_WEIGHT or high << bits > top)


def _early_findings(links: tuple[Link, ...]) -> Iterator[Finding]:
    """Layers that spike of their bias alone before a window's first input is there.

    The k-th layer waits k steps and is set to zero then, but a recurrent connection still brings the spikes
    of the last of them.
    """
    recurrent = [depth for depth, link in enumerate(links, 1) if link.recurrent is not None]
    for depth, link in enumerate(links[: max(recurrent, default=0)], 1):
        silence, state = np.zeros((1, *link.lif.shape), np.int64), dict[str, Array]()
        if any(link.lif.step(silence, state).any() for _ in range(depth)):
            what = f"its biases make it spike within {depth} steps of silence, which netx feeds back"
            yield Finding(_place(link.neurons), what, "Use smaller biases, or a network without recurrence")


def _lava_findings(graph: Graph) -> tuple[Finding, ...]:
    try:
        limits.check(graph, "netx")
    except UnsupportedError as error:
        return error.findings
    return ()
