"""Sparse maps, products, inverse roots and sums over the window, in PyTorch's float32 (`torch_reference`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from avnir.ir.real_graded import InverseRoot, Product
from avnir.ir.real_sparse import Sparse

Step = Callable[..., Tensor]
"""From what arrives at each port in a step to the output."""


def product(op: Product) -> Step:
    """What arrives at the two ports, multiplied."""
    return lambda first, second: first * second


def sparse(op: Sparse) -> Step:
    """The terms of every output side by side where all have as many, so that equal maps add in one way."""
    source, target = (torch.tensor(places, dtype=torch.int64) for places in (op.source, op.target))
    weight, (outputs, _) = torch.tensor(op.weight, dtype=torch.float32), op.size
    count = len(source) // outputs
    if torch.equal(target, torch.arange(outputs).repeat_interleave(count)):
        return lambda x: (x[:, source] * weight).reshape(len(x), outputs, count).sum(-1)
    return lambda x: x.new_zeros(len(x), outputs).index_add_(1, target, x[:, source] * weight)


def inverse_root(op: InverseRoot) -> Step:
    """As PyTorch computes it in float32; 0 where it is infinite."""

    def divisor(x: Tensor) -> Tensor:
        if op.guard == "under":
            return (x + op.epsilon).sqrt()
        return x.sqrt() + op.epsilon if op.guard == "beside" else x.sqrt().clamp(min=op.epsilon)

    return lambda x: divisor(x.clamp(min=0)).reciprocal().nan_to_num(posinf=0.0)


class WindowSums:
    """The sum over the window as PyTorch adds a whole one, given in the presentation after it."""

    def __init__(self, op: Any) -> None:
        self.running: bool = op.running
        self.kept: list[Tensor] = []
        self.held: Tensor | None = None

    def begin(self) -> None:
        """A window begins: what came in the last one is summed."""
        self.held = torch.stack(self.kept).sum(0) if self.kept else None
        self.kept = []

    def __call__(self, x: Tensor) -> Tensor:
        """What a step gives."""
        self.kept.append(x)
        if self.running:
            return torch.stack(self.kept).cumsum(0)[-1]
        return torch.zeros_like(x) if self.held is None else self.held
