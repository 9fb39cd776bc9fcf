"""What the host does for a sample: it shows the window, reads the outputs, and makes a class of them.

Moving a value to or from a chip has no published price. The arithmetic of the decision (`avnir.decision`) is
priced by the convention of `avnir.cost.convention`, FP32 in 45 nm, no energy of a host; exponentials have
no price there. A target's own price of any of these comes first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from avnir.cost.convention import FP32_ADD, FP32_MULTIPLY
from avnir.cost.entry import NEVER_PUBLISHED, Entry
from avnir.ir.graph import Graph, Node
from avnir.ir.presentations import presentations
from avnir.program import Program
from avnir.target import Cost, Target

PRICES: Mapping[str, Cost] = {"additions": FP32_ADD, "multiplications": FP32_MULTIPLY}


def host_entries(program: Program, target: Target, steps: int) -> Iterator[Entry]:
    """The entries of a sample of `steps` steps.

    Every value counts, whether it is 0 or not: what a host moves of those depends on the host.
    """
    for term, figure, count, price in _events(program, steps):
        yield Entry(f"host: {term}", figure, float(count), target.costs.get(figure, price))


def _events(program: Program, steps: int) -> Iterator[tuple[str, str, int, Cost]]:
    """Term, name of the price, count a sample, and the price where the target has none."""
    graph, decision = program.graph, program.decision
    shown = presentations(graph) * steps * _values(graph, graph.inputs)
    read = steps * _values(graph, graph.outputs)
    yield "values shown", "host_write_energy", shown, NEVER_PUBLISHED
    yield "values read", "host_read_energy", read, NEVER_PUBLISHED
    output = decision.read(node.name for node in graph.outputs)
    for what, number in decision.costs(math.prod(graph.shapes[output]), steps).items():
        yield f"{what} of the decision", f"host_{what}_energy", number, PRICES.get(what, NEVER_PUBLISHED)


def _values(graph: Graph, nodes: Iterable[Node]) -> int:
    return sum(math.prod(graph.shapes[node.name]) for node in nodes)
