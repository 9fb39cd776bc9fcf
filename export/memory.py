"""Which tensors of an exported step share memory: a graph of values knows none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from avnir.export.builder import Refused
from avnir.export.neurons import OPERATOR

GETITEM = "_operator.getitem"


@dataclass
class Memory:
    """Which results share memory, so that a tensor is not used after an addition in place changed it."""

    order: Mapping[fx.Node, int]
    roots: dict[fx.Node, fx.Node] = field(default_factory=dict)
    changed: dict[fx.Node, int] = field(default_factory=dict)

    def check(self, node: fx.Node, target: str) -> None:
        """Refuse what the graph, which knows no memory, would get wrong."""
        for used in node.all_input_nodes:
            if self.order[used] < self.changed.get(self.roots.get(used, used), -1):
                raise Refused("uses a tensor that `+=` has changed", "Write x = x + y instead of x += y")
        if _shares_memory(node, target):
            first = node.all_input_nodes[0]
            self.roots[node] = self.roots.get(first, first)
        if target == "aten.add_.Tensor":
            root = self.roots[node]
            if root.op == "placeholder":
                raise Refused(
                    "`+=` changes an input or a buffer", "Write x = x + y, and keep all state in neurons"
                )
            self.changed[root] = self.order[node]


def _shares_memory(node: fx.Node, target: str) -> bool:
    if target == GETITEM:
        return target_of(node.all_input_nodes[0]) != OPERATOR
    return isinstance(node.target, torch._ops.OpOverload) and any(
        argument.alias_info is not None for argument in node.target._schema.arguments[:1]
    )


def target_of(node: fx.Node) -> str:
    """The operation's full name, such as `aten.linear.default`."""
    target: Any = node.target
    return (
        str(target) if isinstance(target, torch._ops.OpOverload) else f"{target.__module__}.{target.__name__}"
    )
