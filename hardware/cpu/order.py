"""The order in which the engine works: node after node, and all nodes of a loop together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from avnir.ir.graph import Graph, Node


def components(graph: Graph) -> tuple[tuple[Node, ...], ...]:
    """The strongly connected components, each after those that feed it; more than one node is a loop.

    Sharir, "A strong-connectivity algorithm", Computers & Mathematics with Applications 7(1), 1981: what
    reaches a node against the edges, in the reverse of the order in which a search along them ends.
    """
    fed_by = {node.name: node.inputs for node in graph}
    place = {name: k for k, name in enumerate(fed_by)}
    seen: set[str] = set()
    ended = [name for root in fed_by for name in _ended(root, graph.consumers, seen)]
    seen = set()
    found = (_ended(root, fed_by, seen) for root in reversed(ended))
    return tuple(
        tuple(graph[name] for name in sorted(names, key=place.__getitem__)) for names in found if names
    )


def _ended(root: str, edges: Mapping[str, Sequence[str]], seen: set[str]) -> list[str]:
    """The names that are reached from `root` and not `seen` yet, each after those reached from it."""
    ended: list[str] = []
    path = [(root, iter(edges[root]))] if root not in seen else []
    seen.add(root)
    while path:
        name, rest = path[-1]
        step = next((other for other in rest if other not in seen), None)
        if step is None:
            ended.append(name)
            path.pop()
        else:
            seen.add(step)
            path.append((step, iter(edges[step])))
    return ended
