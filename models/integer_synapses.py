"""The synapses of an integer program with weights that can be trained; see `integer_network`."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F  # PyTorch's own convention
from torch import Tensor, nn

from avnir.ir import integer
from avnir.ir.graph import Node
from avnir.ir.integer_sparse import Sparse
from avnir.ir.operation import Array
from avnir.numerics import fixed


class _Nearest(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.round()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def nearest(values: Tensor) -> Tensor:
    """The nearest whole numbers (halves to even), with the gradient of the identity."""
    return cast(Tensor, _Nearest.apply(values))  # type: ignore[no-untyped-call]


def matrix(op: integer.Connection) -> Array:
    """The weights of a connection, int8, one row `[C_out or out, ...]` for each of its sums."""
    if not isinstance(op, Sparse):
        return op.weight
    full = np.zeros(op.size, np.int8)
    full[op.target, op.source] = op.weight
    return full


class Synapses(nn.Module):
    """One connection; `largest` magnitude of a weight, `peak` of what its sources send together.

    `shadow` has the form of `matrix`; `held` are the weights that stay as they are in `first`.
    """

    shadow: nn.Parameter
    first: Tensor
    held: Tensor
    size: Tensor

    def __init__(self, node: Node, largest: int, peak: int, signed: bool) -> None:
        super().__init__()
        self.node, self.largest, self.peak, self.signed = node, largest, peak, signed
        first = torch.from_numpy(matrix(self.op).astype(np.float32))
        rows = first.abs().flatten(1)
        held = torch.zeros_like(rows, dtype=torch.bool).scatter_(1, rows.argmax(1, keepdim=True), True)
        if isinstance(self.op, Sparse):
            held |= torch.from_numpy(matrix(self.op.replace(weight=np.ones_like(self.op.weight))) == 0)
        self.shadow = nn.Parameter(first / largest)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("held", held.view_as(first), persistent=False)
        self.register_buffer("size", rows.amax(1).view(-1, *(1,) * (first.ndim - 1)), persistent=False)

    @property
    def op(self) -> integer.Connection:
        return cast(integer.Connection, self.node.op)

    @property
    def bound(self) -> int:
        """No |sum| can be larger, whatever the weights become."""
        return -fixed.WEIGHT.low * self.first[0].numel() * self.peak << self.op.exponent

    def weights(self) -> Tensor:
        """The integers, float32."""
        return torch.where(self.held, self.first, nearest(self.shadow * self.largest))

    def sums(self, x: Tensor) -> Tensor:
        """`[N, *source]` to the shifted sums `[N, *made]`, in the type of x."""
        made = self._sums(x, (self.weights() * (1 << self.op.exponent)).to(x.dtype))
        if self.op.kind == "Conv" and self.bound >= fixed.STATE_LIMIT:
            return made - (made - _wrapped(made)).detach()
        return made

    def _sums(self, x: Tensor, weight: Tensor) -> Tensor:
        op = self.op
        if not isinstance(op, integer.Conv):
            return F.linear(x.flatten(1), weight)
        return F.conv2d(x, weight, None, op.stride, op.padding, op.dilation, op.groups)

    def hold(self) -> None:
        """Put every shadow back within its row's size."""
        limit = self.size / self.largest
        self.shadow.clamp_(-limit, limit.clamp(max=fixed.WEIGHT.high / self.largest))

    def worst(self) -> Tensor:
        """The largest |sum| of each row over all inputs, `[rows]`."""
        rows = self.weights().flatten(1).double()
        plus, minus = rows.clamp(min=0).sum(1), -rows.clamp(max=0).sum(1)
        both = plus + minus if self.signed else torch.maximum(plus, minus)
        return both * (self.peak << self.op.exponent)

    def result(self) -> integer.Connection:
        """The operation with the weights as they are now."""
        op, weights = self.op, self.weights().numpy().astype(np.int8)
        return op.replace(weight=weights[op.target, op.source] if isinstance(op, Sparse) else weights)


def _wrapped(values: Tensor) -> Tensor:
    limit = fixed.STATE_LIMIT
    return (values.detach() + limit).remainder(2 * limit) - limit
