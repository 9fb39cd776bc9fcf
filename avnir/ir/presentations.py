"""How often a window is shown, so that sums over the whole of it are known before they are used.

On the chip a sum over all steps exists when the last has passed. So the same window is shown again, every
layer from a fresh state: spikes repeat, as everything is deterministic, and what was summed over the last
presentation stands by. A sum of what itself depends on such a sum needs one more. The last presentation
computes exactly what the model does; those before are rehearsals.
"""

from __future__ import annotations

from avnir.ir.graph import Graph


def presentations(graph: Graph) -> int:
    """1, and 1 for each rehearsed operation on the path that has the most of them.

    In a loop no operation is rehearsed: it would wait for itself (`avnir.ir.graph.verified`).
    """
    behind: dict[str, int] = {}
    for node in graph:
        before = max((behind.get(name, 0) for name in node.inputs), default=0)
        behind[node.name] = before + node.op.rehearsed
    return 1 + max(behind.values())
