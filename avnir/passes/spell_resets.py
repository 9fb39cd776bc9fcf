"""Real to real: spells out every reset that no neuron of NIR has, for NIR files in the strict form.

With u the potential of an Li, gain g = 1 - beta (dt where beta = 1), threshold theta, and s' the spikes of
the step before, through a Delay of one step:

    none               u <- beta u + g I                        s = u > theta
    subtract_delayed   u <- beta u + g (I - theta/g s')         s = u > theta
    subtract           u <- beta u + g (I - beta theta/g s')    s = u - theta a > theta,
                                                                a = u' - theta s' > theta

`subtract` takes theta from v after a spike, v = u - theta s, and what is left above theta counts once less
in the next step: a = v' > theta (`avnir.ir.real.RESETS`). Each term is a Scale, each > a Threshold. With a
synaptic current, which no reset touches, an Li of alpha makes it, and a second one of gain 1 takes it
with the reset; for `none` it is one Li with both, NIR's CubaLI.

`none` is so bit for bit. The others sum in another order than the neuron, so that a potential within
float64's rounding of theta may come out on the other side of it. `zero` is NIR's own reset, and
`zero_delayed` gives its spikes, bit for bit: beta times the 0 that follows a spike, one step later. Both
stay. `zero_next` ignores all that comes in the step after a spike, however large: a product of input and
spikes, which NIR does not have. It is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from avnir.errors import Finding, GraphError, UnsupportedError
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array, Shape
from avnir.ir.real import Delay, Li, Lif, Scale, Threshold
from avnir.passes.fold_gain import free_name
from avnir.passes.note import Note

NATIVE = ("zero", "zero_delayed")
"""The resets whose spikes are those of NIR's own."""


@dataclass(frozen=True)
class Spelled:
    """Neurons spelled out: their reset, and the names of the nodes besides their threshold, in order."""

    reset: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class SpellResets:
    """The pass of this file, on graphs in the form of `fold_gain`; a neuron's name stays its threshold's.

    Raises UnsupportedError for every reset that has no such form.
    """

    name: ClassVar[str] = "spell_resets"

    def __call__(self, graph: Graph) -> tuple[Graph, list[Note]]:
        spelled, groups = spell(graph)
        notes = [
            Note(self.name, name, f"reset {group.reset!r} became the nodes {', '.join(group.nodes)}")
            for name, group in groups.items()
        ]
        return spelled, notes


def spell(graph: Graph) -> tuple[Graph, dict[str, Spelled]]:
    """The graph with its resets spelled out, and which neurons were."""
    neurons = [node for node in graph if isinstance(node.op, Lif) and node.op.reset not in NATIVE]
    findings = [
        Finding(f"{node.name} ({node.source})" if node.source else node.name, *problem)
        for node in neurons
        if (problem := _problem(node.op))  # type: ignore[arg-type]
    ]
    if findings:
        raise UnsupportedError("the strict form of NIR has no such neurons:", findings)
    taken = set(graph.by_name)
    made = {node.name: _spelled(node, graph.shapes[node.name], taken) for node in neurons}
    nodes = [new for node in graph for new in made.get(node.name, [node])]
    groups = {
        name: Spelled(graph[name].op.reset, tuple(n.name for n in group[:-1]))  # type: ignore[attr-defined]
        for name, group in made.items()
    }
    return graph.with_nodes(nodes), groups


def _problem(op: Lif) -> tuple[str, str] | None:
    if op.bias is not None:
        return "it has a bias of its own", "Put it into the bias of the Linear or Conv2d in front"
    if op.reset not in SPELLINGS:
        why = "in the step after a spike it ignores its input, which is a product with its spikes"
        return f"reset {op.reset!r}: {why}", "Write the standard form, or train with another reset"
    return None


def _spelled(node: Node, shape: Shape, taken: set[str]) -> list[Node]:
    """The nodes that stand for the neurons `node`, what a loop closes through first, their threshold last."""
    op: Lif = node.op  # type: ignore[assignment]

    def named(what: str) -> str:
        taken.add(name := free_name(f"{node.name}_{what}", taken))
        return name

    made = SPELLINGS[op.reset](node.name, node.inputs, op, shape, named)
    return [Node(name, new, inputs, node.source) for name, new, inputs in made]


Named = Callable[[str], str]
Made = list[tuple[str, Delay | Li | Scale | Threshold, tuple[str, ...]]]
"""Name, operation and inputs of new nodes."""


def _none(name: str, inputs: tuple[str, ...], op: Lif, shape: Shape, named: Named) -> Made:
    potential = named("potential")
    return [
        (potential, Li(op.beta, op.gain, op.alpha), inputs),
        (name, Threshold(op.threshold), (potential,)),
    ]


def _subtract_delayed(name: str, inputs: tuple[str, ...], op: Lif, shape: Shape, named: Named) -> Made:
    made, _, potential = _integrated(name, inputs, op, shape, named, op.threshold)
    return [*made, (name, Threshold(op.threshold), (potential,))]


def _subtract(name: str, inputs: tuple[str, ...], op: Lif, shape: Shape, named: Named) -> Made:
    made, late, potential = _integrated(name, inputs, op, shape, named, op.beta * op.threshold)
    held, lost, above, again = (named(what) for what in ("held", "lost", "above", "again"))
    return [
        *made,
        (held, Delay(shape), (potential,)),
        (lost, Scale(-op.threshold), (late,)),
        (above, Threshold(op.threshold), (held, lost)),
        (again, Scale(-op.threshold), (above,)),
        (name, Threshold(op.threshold), (potential, again)),
    ]


def _integrated(
    name: str, inputs: tuple[str, ...], op: Lif, shape: Shape, named: Named, lost: Array
) -> tuple[Made, str, str]:
    """The nodes that make the potential, which loses `lost` after a spike; the late spikes' name, and its."""
    late, reset, potential = named("late"), named("reset"), named("potential")
    made: Made = [(late, Delay(shape), (name,))]
    if op.alpha is None:
        made.append((reset, Scale(-lost / op.gain), (late,)))
        made.append((potential, Li(op.beta, op.gain), (*inputs, reset)))
        return made, late, potential
    current = named("current")
    made.append((current, Li(op.alpha, op.gain), inputs))
    made.append((reset, Scale(-lost), (late,)))
    made.append((potential, Li(op.beta, np.ones(())), (current, reset)))
    return made, late, potential


SPELLINGS: Mapping[str, Callable[[str, tuple[str, ...], Lif, Shape, Named], Made]] = {
    "none": _none,
    "subtract": _subtract,
    "subtract_delayed": _subtract_delayed,
}


def restored(nodes: Iterable[Node], groups: Mapping[str, Spelled]) -> list[Node]:
    """The nodes with every group of `spell` one Lif again; GraphError where a group is none."""
    there = {node.name: node for node in nodes}
    helpers = {name for group in groups.values() for name in group.nodes}
    if not helpers | groups.keys() <= there.keys():
        raise GraphError(f"there are no nodes {', '.join(sorted((helpers | groups.keys()) - there.keys()))}")
    made = {
        name: _restored(there[name], [there[n] for n in group.nodes], group) for name, group in groups.items()
    }
    return [made.get(name, node) for name, node in there.items() if name not in helpers]


def _restored(node: Node, group: list[Node], spelled: Spelled) -> Node:
    integrators = [(n.op, n.inputs) for n in group if isinstance(n.op, Li)]
    if not isinstance(node.op, Threshold) or not 1 <= len(integrators) <= 2:
        raise GraphError(f"{node.name} is no threshold of neurons of reset {spelled.reset!r}")
    (first, fed), (last, _) = integrators[0], integrators[-1]
    alpha = first.beta if len(integrators) == 2 else last.alpha
    op = Lif(last.beta, node.op.threshold, first.gain, spelled.reset, None, alpha)
    return Node(node.name, op, tuple(n for n in fed if n not in spelled.nodes), node.source)
