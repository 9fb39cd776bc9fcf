"""The loops of a network: its strongly connected components.

Sharir, "A strong-connectivity algorithm", Computers & Mathematics with Applications 7(1), 1981: what
reaches a node against the edges, in the reverse of the order in which a search along them ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Edges = Mapping[str, Sequence[str]]
"""For each node, by name, those that an edge leads to."""


def components(after: Edges) -> list[list[str]]:
    """All components, each after those that lead into it, its nodes in the order in which they are given."""
    before: dict[str, list[str]] = {name: [] for name in after}
    for name, targets in after.items():
        for target in targets:
            before[target].append(name)
    place = {name: k for k, name in enumerate(after)}
    seen: set[str] = set()
    ended = [name for root in after for name in _ended(root, after, seen)]
    seen = set()
    found = (_ended(root, before, seen) for root in reversed(ended))
    return [sorted(names, key=place.__getitem__) for names in found if names]


def _ended(root: str, edges: Edges, seen: set[str]) -> list[str]:
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
