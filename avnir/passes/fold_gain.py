"""Real to real: gives every neuron the gain that NIR's r = 1 means, and parameters of one form.

    v <- beta v + gain I  =  beta v + gain' (f I),      f = gain / gain'
    gain' = 1 - beta      where beta < 1: NIR's LIF with r = 1, tau = dt / (1 - beta)
    gain' = dt            where beta = 1: NIR's IF with r = 1
    gain' = 1             with a synaptic current: NIR's CubaLIF with r = tau_mem / dt, w_in = tau_syn / dt

for Lif; and for Li, NIR's LI, I and CubaLI, alike.

f I is made by the layers in front: f goes into the weights and biases of Linear and Conv2d layers that
feed this neuron only, computed in float64. Where a layer in front has no weights, or feeds others too,
or f changes within a channel of a convolution, a Scale takes its place between. With r = 1, norse and
spikingjelly read the file exactly; a CubaLIF with these r and w_in is what snnTorch's own reader takes.

Parameters of Lif, Li and Threshold become float64, 0-d where all elements are equal, else of the full shape.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from avnir.errors import Finding, UnsupportedError
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array, Operation, Shape, same_array
from avnir.ir.real import Conv2d, Li, Lif, Linear, Scale
from avnir.passes.fold_batchnorm import scaled_rows
from avnir.passes.note import Note

PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "Lif": ("beta", "threshold", "gain", "bias", "alpha"),
    "Li": ("beta", "gain", "alpha", "bias"),
    "Threshold": ("threshold",),
}
"""The parameters that this pass brings to one form, by kind of operation."""


def canonical(parameter: Array, shape: Shape) -> Array:
    """float64 and 0-d where all elements have the same bits, else of the full `shape`."""
    values = np.ascontiguousarray(parameter, dtype=np.float64).reshape(np.shape(parameter))
    first = values.reshape(-1)[:1]
    if values.tobytes() == first.tobytes() * values.size:
        return first.reshape(()).copy()
    return np.broadcast_to(values, shape).copy()


def canonical_operation(op: Operation, shape: Shape) -> Operation:
    """The operation with its PARAMETERS in canonical form; `shape` is its input's."""
    present = {name: getattr(op, name) for name in PARAMETERS.get(op.kind, ())}
    changes = {name: canonical(value, shape) for name, value in present.items() if value is not None}
    return op.replace(**changes) if changes else op


def unit_gain(op: Lif | Li, dt: float) -> Array:
    """The gain of NIR's r = 1: 1 - beta, or dt where beta is 1; with a current 1. Float64."""
    if op.alpha is not None:
        return np.ones(())
    return np.where(op.beta == 1, dt, 1 - op.beta)


def leak_problem(op: Operation) -> tuple[str, str] | None:
    """Why NIR has no layer of such leaks, and what to do; None for all else."""
    if not isinstance(op, Lif | Li):
        return None
    if op.alpha is None and np.any(op.beta == 1) and np.any(op.beta < 1):
        return "some of its neurons have beta = 1, others less", "Use two layers, or a beta just below 1"
    if op.alpha is not None and (np.any(op.beta == 1) or np.any(op.alpha == 1)):
        return "it has a synaptic current, and alpha or beta = 1", "Use an alpha and a beta just below 1"
    return None


def _refuse_leaks(graph: Graph) -> None:
    problems = {node.name: leak_problem(node.op) for node in graph}
    findings = [Finding(name, *problem) for name, problem in problems.items() if problem]
    if findings:
        raise UnsupportedError(
            "a NIR layer is LIF or CubaLIF (both leak) or IF (beta = 1), or the same without a threshold:",
            findings,
        )


def _per_output(factor: Array, shape: Shape) -> Array | None:
    """`factor` as one value for each output row or channel `[C]`; None if it changes within one."""
    if not shape:
        return None
    rows = np.broadcast_to(factor, shape).reshape(shape[0], -1)
    return rows[:, 0].copy() if np.all(rows == rows[:, :1]) else None


def _weighted(graph: Graph, node: Node, done: Mapping[str, Node]) -> dict[str, Linear | Conv2d] | None:
    """What feeds the node, if all of it has weights and feeds nothing else."""
    found: dict[str, Linear | Conv2d] = {}
    for name in node.inputs:
        op = done[name].op
        if not isinstance(op, Linear | Conv2d) or graph.consumers[name] != (node.name,):
            return None
        found[name] = op
    return found


def free_name(wanted: str, taken: Collection[str]) -> str:
    """`wanted`, with as many underscores behind it as it takes."""
    while wanted in taken:
        wanted += "_"
    return wanted


def _shown(values: Array) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


def _moved(graph: Graph, node: Node, factor: Array, done: Mapping[str, Node]) -> list[Node]:
    """What stands in front of the neurons `node` and multiplies their input by `factor`."""
    weighted = _weighted(graph, node, done)
    rows = _per_output(factor, graph.shapes[node.name])
    if weighted is None or rows is None:
        return [Node(free_name(f"{node.name}_gain", graph.by_name), Scale(factor), node.inputs, node.source)]
    return [dataclasses.replace(done[name], op=scaled_rows(op, rows)) for name, op in weighted.items()]


def _with_unit_gain(
    graph: Graph, node: Node, op: Lif | Li, done: Mapping[str, Node]
) -> tuple[list[Node], list[Note]]:
    """The neurons with gain', after the nodes in front that changed or are new; and what was done."""
    shape = graph.shapes[node.name]
    gain = canonical(unit_gain(op, graph.dt), shape)
    if same_array(gain, op.gain):
        return [node], []
    factor = canonical(op.gain / gain, shape)
    moved = _moved(graph, node, factor, done)
    new = [made.name for made in moved if made.name not in done]
    neuron = dataclasses.replace(node, op=op.replace(gain=gain), inputs=tuple(new) or node.inputs)
    where = f"the new Scale {new[0]}" if new else f"the weights of {', '.join(node.inputs)}"
    text = f"gain {_shown(op.gain)} became {_shown(gain)}; the factor {_shown(factor)} went into {where}"
    return [*moved, neuron], [Note(FoldGain.name, node.name, text)]


@dataclass(frozen=True)
class FoldGain:
    """Makes every gain 1 - beta (dt where beta = 1, 1 with a current); spikes stay what they were up to
    float64 rounding.

    Raises UnsupportedError where one layer mixes beta = 1 with beta < 1, or has a current and no leak.
    """

    name: ClassVar[str] = "fold_gain"

    def __call__(self, graph: Graph) -> tuple[Graph, list[Note]]:
        _refuse_leaks(graph)
        done: dict[str, Node] = {}
        notes: list[Note] = []
        for old in graph:
            op = canonical_operation(old.op, graph.shapes[old.name])
            node = dataclasses.replace(old, op=op)
            made, said = _with_unit_gain(graph, node, op, done) if isinstance(op, Lif | Li) else ([node], [])
            done |= {new.name: new for new in made}
            notes += said
        return graph.with_nodes(done.values()), notes
