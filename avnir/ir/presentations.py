"""How often a window is shown, so that sums over the whole of it are known before they are used.

On the chip a sum over all steps exists when the last has passed. So the same window is shown again, every
layer from a fresh state: spikes repeat, as everything is deterministic, and what was summed over the last
presentation stands by. A sum of what itself depends on such a sum needs one more. The last presentation
computes exactly what the model does; those before are rehearsals.
"""

from __future__ import annotations

from collections.abc import Mapping

from avnir.ir.graph import Graph
from avnir.ir.loops import components


def presentations(graph: Graph) -> int:
    """1, and 1 for each rehearsed operation on the path that has the most of them."""
    return 1 + max(rehearsals(graph).values())


def rehearsals(graph: Graph) -> Mapping[str, int]:
    """For each node the presentations after which all others are the same: rehearsed operations up to it.

    Around a loop all depends on the same sums: no operation on it is rehearsed, it would wait for itself
    (`avnir.ir.graph.verified`).
    """
    needed: dict[str, int] = {}
    for names in components(graph.consumers):
        nodes = [graph[name] for name in names]
        before = max((needed.get(name, 0) for node in nodes for name in node.inputs), default=0)
        needed |= {node.name: before + node.op.rehearsed for node in nodes}
    return needed
