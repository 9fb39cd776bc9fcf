"""How large what a node of an integer graph hands on can be, whatever it is shown: from the weights alone.

A bound of a |value| holds whatever the bounds that it is made from, as long as those hold. So the analysis
begins with 32 bits everywhere, and the second pass, which knows what comes back round a loop, makes none too
small. What adds up without an end, in a loop or in the sigma of a SigmaDelta, keeps its 32 bits; a WindowSum
adds up as many steps as it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from avnir.ir.graph import Graph
from avnir.ir.integer_graded import WORD_BITS, Messengers
from avnir.numerics import fixed

WORD = 1 << (WORD_BITS - 1)
"""No |value| of 32 bits is larger."""


def largest_values(graph: Graph) -> Mapping[str, int]:
    """For each node a bound of the |value| that it hands on, in each step of any run."""
    found = {node.name: WORD for node in graph}
    gains = {node.name: gain(node.op) for node in graph if hasattr(node.op, "weight")}
    for _ in range(2):
        for node in graph:
            op: Any = node.op
            ports = [min(sum(found[name] for name in port), WORD) for port in op.ports(node.inputs)]
            if node.name in gains:
                ports = [gains[node.name] * ports[0] << op.exponent]
            bound: Callable[..., int] = LARGEST.get(op.kind, _sent)
            found[node.name] = min(bound(op, *ports), WORD)
    return found


def gain(connection: Any) -> int:
    """The largest sum of |weight| of an output."""
    return int(connection.synapses_summed(np.abs(connection.weight.astype(np.int64))).max())


def width_problems(graph: Graph) -> Iterator[str]:
    """A line for each layer whose messages may not fit the width that it declares."""
    declared = {node.name: node.op.message_bits for node in graph if isinstance(node.op, Messengers)}
    narrow = {name: bits for name, bits in declared.items() if bits < WORD_BITS}
    largest = largest_values(graph) if narrow else {}
    for name, bits in narrow.items():
        if largest[name] >= 1 << (bits - 1):
            yield (
                f"{name}: its messages can reach {largest[name]}, but message_bits is {bits}; use smaller "
                f"weights, fewer bits before it, or message_bits={WORD_BITS}, in which they wrap"
            )


def _sent(op: Any, *ports: int) -> int:
    """What the messages can hold, or 1 for spikes, whatever arrives."""
    bits = getattr(op, "message_bits", 0)
    return 1 << (bits - 1) if bits else 1


LARGEST: Mapping[str, Callable[..., int]] = {
    "Dense": lambda op, total: total,
    "Sparse": lambda op, total: total,
    "Conv": lambda op, total: min(total, fixed.STATE_LIMIT),
    "Relay": lambda op, arriving: arriving,
    "Product": lambda op, first, second: -(-min(first * second, WORD) >> op.exponent),
    "WindowSum": lambda op, arriving: op.steps * arriving,
    "Delta": lambda op, arriving: -(-min(2 * arriving << op.shift, WORD) >> op.state_exponent),
    "SigmaDelta": lambda op, arriving: WORD >> op.state_exponent,
}
"""By the kind of operation, where its largest |value| follows from what arrives at its ports.

A Delta sends the difference of two activations: what it did not send waits in its residue and is part of the
next.
"""
