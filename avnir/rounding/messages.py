"""What the messages of a layer mean, and the integers of layers that send numbers.

A message is an integer; times its `unit` it is the number of the model. A spike has the unit 1. Products,
sums over time and relays multiply and add what arrives without a free scale: they are exact where the weights
into a port are whole multiples, up to the largest weight, of one number g, as those of sums (1) and means
(1/n) are. The integers are these multiples, and

    unit = g1 g2 2^shift of a product,     g of a sum,     2^-18 / sqrt(g) of an inverse root.

Where they are no such multiples g is the largest weight's share, and the rest is rounded to the nearest: the
pass tells the error. A product of what is rounded is shifted until its messages have FRACTION bits at most:
wider ones would leave the weights behind them no room in the current's 17.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from avnir.errors import Finding, UnsupportedError
from avnir.ir import integer, integer_graded, real_graded
from avnir.ir.graph import Graph, Node
from avnir.ir.integer_window import WindowSum
from avnir.ir.operation import Array
from avnir.numerics import fixed
from avnir.rounding.connections import connection
from avnir.rounding.neuron_layer import Message, Synapse, synapses_of

INVERSE_ROOT_ONE = 1 << 18
"""What an integer InverseRoot sends for 1 (`avnir.ir.integer_graded.InverseRoot`)."""
ROOT_ERROR = 0.01
"""What a guard may change: about as much as the integer root's own error, 0.7 % at most."""
FRACTION = 10
"""With the 9 that remain of an inverse root below 1, messages are off by 0.1 %, as it is itself by 0.7 %."""
SAME = 1e-9
"""Relative: multiples of g that float64's rounding of the model's own factors has moved."""


@dataclass(frozen=True)
class Port:
    """The connections into one port: of `unit` each arriving 1, and at most `peak` in magnitude.

    `error`, in units, is what rounding changed of a weight: nothing where `whole`. With `exact` nothing was
    rounded before either.
    """

    connections: tuple[Node, ...]
    unit: float
    peak: int
    signed: bool
    error: float
    whole: bool
    exact: bool


def message_layer(
    graph: Graph, node: Node, messages: Mapping[str, Message], largest: int
) -> tuple[list[Node], Message, Iterable[str]]:
    """The layer `node` of a merged graph, which sends numbers, in integers: its connections, then itself.

    Also what its messages mean, and what to tell. `messages` are those of the layers before; `largest` is the
    largest magnitude of a weight.
    """
    entered = node.op.ports(node.inputs)  # type: ignore[attr-defined]
    ports = [_port(synapses_of(graph, names, messages), largest) for names in entered]
    op, message = FORMS[node.op.kind](node, graph.shapes[node.name], ports)
    connections = [made for port in ports for made in port.connections]
    inputs = tuple(made.name for made in connections)
    return [*connections, Node(node.name, op, inputs, node.source)], message, _told(ports, message)


def _port(synapses: Sequence[Synapse], largest: int) -> Port:
    unit = _common_unit(np.concatenate([_nonzero(s.op.weight) for s in synapses]), largest)
    whole = [np.rint(s.op.weight / unit).astype(np.int8) for s in synapses]
    error = max(float(np.abs(w - s.op.weight / unit).max()) for w, s in zip(whole, synapses, strict=True))
    nodes = [
        Node(s.name, connection(s, w, 0), (s.source,), s.place) for s, w in zip(synapses, whole, strict=True)
    ]
    peak = sum(s.peak * _gain(s, w) for s, w in zip(synapses, whole, strict=True))
    signed = any(s.signed or np.any(w < 0) for s, w in zip(synapses, whole, strict=True))
    multiples = error <= SAME * largest
    exact = multiples and all(synapse.exact for synapse in synapses)
    return Port(tuple(nodes), unit, max(peak, 1), signed, error, multiples, exact)


def _gain(synapse: Synapse, whole: Array) -> int:
    """The largest sum of |weight| into one neuron: what a program is checked by (`message_bounds.gain`)."""
    return int(synapse.op.synapses_summed(np.abs(whole.astype(np.int64))).max())


def _nonzero(weight: Array) -> Array:
    return np.abs(weight[weight != 0]).astype(np.float64)


def _common_unit(sizes: Array, largest: int) -> float:
    """The largest number of which all `sizes` are multiples up to `largest`, or the largest size's share."""
    if not sizes.size:
        return 1.0
    sizes = np.unique(sizes)
    for parts in range(1, largest + 1):
        multiples = sizes * (parts / sizes[0])
        if multiples[-1] > largest * (1 + SAME):
            break
        if np.all(np.abs(multiples - np.rint(multiples)) <= SAME * multiples):
            return float(sizes[0] / parts)
    return float(sizes[-1] / largest)


TITLE = "this layer has no form in the chip's integers"
Form = Callable[[Node, tuple[int, ...], list[Port]], tuple[integer.Neurons, Message]]


def _product(node: Node, shape: tuple[int, ...], ports: list[Port]) -> tuple[integer.Neurons, Message]:
    first, second = ports
    peak, exact = first.peak * second.peak, first.exact and second.exact
    if peak >= 1 << (integer_graded.WORD_BITS - 1):
        problem = (
            f"its products can reach {peak}, beyond the {integer_graded.WORD_BITS} bits of the arithmetic"
        )
        remedy = "Sum fewer messages in front of it."
        raise UnsupportedError(TITLE, [Finding(node.source or node.name, problem, remedy)])
    shift = max(0, peak.bit_length() - (fixed.STATE_BITS - 1 if exact else FRACTION))
    unit = first.unit * second.unit * 2.0**shift
    message = Message(unit, -(-peak >> shift), first.signed or second.signed, exact and not shift)
    made = integer_graded.Product(
        shape, exponent=shift, second=len(second.connections), message_bits=_bits(message.peak)
    )
    return made, message


def _window_sum(node: Node, shape: tuple[int, ...], ports: list[Port]) -> tuple[integer.Neurons, Message]:
    (port,), op = ports, cast(real_graded.WindowSum, node.op)
    message = Message(port.unit, op.steps * port.peak, port.signed, port.exact)
    return WindowSum(shape, steps=op.steps, running=op.running, message_bits=_bits(message.peak)), message


def _inverse_root(node: Node, shape: tuple[int, ...], ports: list[Port]) -> tuple[integer.Neurons, Message]:
    """Of the smallest sum above 0, one unit, a small guard changes less than the integer root itself is off.

    Where nothing arrives it sends 0, whatever the guard: right where it multiplies what is 0 then.
    """
    (port,), op = ports, cast(real_graded.InverseRoot, node.op)
    change = abs(float(op.divisor(np.array(port.unit))) / math.sqrt(port.unit) - 1)
    if change > ROOT_ERROR:
        problem = (
            f"its guard {op.epsilon:g} changes the root of the smallest sum, {port.unit:g}, by {change:.2%}"
        )
        raise UnsupportedError(TITLE, [Finding(node.source or node.name, problem, "Use a smaller epsilon.")])
    unit = 1 / (INVERSE_ROOT_ONE * math.sqrt(port.unit))
    made = integer_graded.InverseRoot(shape)
    return made, Message(unit, 1 << (made.message_bits - 1), False, exact=False)


FORMS: Mapping[str, Form] = {
    "Product": _product,
    "WindowSum": _window_sum,
    "InverseRoot": _inverse_root,
}
"""The integer form of each kind of layer that sends numbers, of a shape, behind its ports."""


def _bits(peak: int) -> int:
    """Of a signed message; one that could be wider than the machine's word wraps in it."""
    return min(1 + peak.bit_length(), integer_graded.WORD_BITS)


def _told(ports: Sequence[Port], message: Message) -> Iterator[str]:
    if all(port.whole for port in ports):
        yield f"its weights are whole multiples of {', '.join(f'{port.unit:.6g}' for port in ports)}, exact"
    else:
        yield f"its weights are rounded by up to {max(port.error for port in ports):.3g} of a step"
    kind = "exact" if message.exact else "rounded"
    yield f"{kind} messages of at most {message.peak}, each of {message.unit:.6g}"
