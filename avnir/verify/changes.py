"""What differs between two programs, node by node, by name: every parameter of every operation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from avnir.ir.graph import Node
from avnir.ir.operation import same_array
from avnir.program import Program

ADDED, REMOVED, CHANGED = "added", "removed", "changed"


@dataclass(frozen=True)
class Change:
    """A node of the program that is ADDED, REMOVED or CHANGED, and how."""

    node: str
    operation: str
    what: str
    how: str = ""


def changes(before: Program, after: Program) -> Iterator[Change]:
    """The nodes that differ, those of the later program in its order, then those that are gone."""
    old = {node.name: node for node in before.graph}
    for node in after.graph:
        earlier = old.pop(node.name, None)
        if earlier is None:
            yield Change(node.name, node.op.kind, ADDED)
        elif how := "; ".join(_differing(earlier, node)):
            yield Change(node.name, node.op.kind, CHANGED, how)
    for node in old.values():
        yield Change(node.name, node.op.kind, REMOVED)


def _differing(before: Node, after: Node) -> Iterator[str]:
    if before.inputs != after.inputs:
        yield f"fed by {', '.join(before.inputs)}, now by {', '.join(after.inputs)}"
    if before.op.kind != after.op.kind:
        yield f"was a {before.op.kind}"
        return
    pairs = zip(before.op.items(), after.op.items(), strict=True)
    for (name, old), (_, new) in pairs:
        if told := _changed(old, new):
            yield f"{name}: {told}"


def _changed(old: Any, new: Any) -> str:
    """How a parameter differs, empty where it does not."""
    if not (isinstance(old, np.ndarray) and isinstance(new, np.ndarray)):
        return "" if type(old) is type(new) and old == new else f"{_short(old)} to {_short(new)}"
    if same_array(old, new):
        return ""
    if old.shape != new.shape:
        return f"{list(old.shape)} to {list(new.shape)}"
    if old.size == 1:
        return f"{old.item()} to {new.item()}"
    apart = np.abs(old.astype(np.float64) - new.astype(np.float64))
    return f"{np.count_nonzero(apart):,} of {old.size:,} differ, by at most {apart.max():g}"


def _short(value: Any) -> str:
    return f"array {list(value.shape)}" if isinstance(value, np.ndarray) else str(value)


def provenance(before: Program, after: Program) -> Iterator[tuple[str, str, str]]:
    """What made them, where that differs: name, before, after."""
    old, new = ({"target": p.target, **p.provenance} for p in (before, after))
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield name, str(old.get(name, "-")), str(new.get(name, "-"))
