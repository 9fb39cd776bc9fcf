"""PyTorch's operations, as torch.export writes them, in terms of the real level.

One function per operation, in the table HANDLERS, with those of `aten_move` (axes and places), `aten_scale`
(factors, differences), `aten_product` (products, matmul), `aten_sum`, `aten_root`, `aten_parts` (slices,
splits, cat), `aten_pool` and `aten_neuron`. A handler gets the operation's arguments by name and returns what
stands for its result, or raises `Refused` with the reason and the remedy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from avnir.export import (
    aten_move,
    aten_neuron,
    aten_parts,
    aten_pool,
    aten_product,
    aten_root,
    aten_scale,
    aten_sum,
)
from avnir.export.aten_arguments import WRITTEN_OUT, array_of, padding_of, pair, required_array, value_of
from avnir.export.aten_move import aligned
from avnir.export.aten_root import guarded
from avnir.export.aten_rows import in_rows, row
from avnir.export.builder import Call, Handler, Membrane, Refused, Root, Value, Zeros
from avnir.export.neurons import OPERATOR
from avnir.ir import real


def _linear(call: Call) -> Value:
    x = value_of(call)
    if len(x.shape) != 1:
        raise Refused(
            f"Linear on the last axis of samples {x.shape}", "Flatten the sample first: x.flatten(1)"
        )
    return call.emit(real.Linear(required_array(call, "weight"), array_of(call, "bias")), x)


def _conv2d(call: Call) -> Value:
    weight = required_array(call, "weight")
    dilation = pair(call["dilation"])
    padding = padding_of(call["padding"], weight.shape[2:], dilation)
    op = real.Conv2d(
        weight, array_of(call, "bias"), pair(call["stride"]), padding, dilation, int(call["groups"])
    )
    return call.emit(op, value_of(call))


def _conv1d(call: Call) -> Value:
    weight = required_array(call, "weight")[:, :, None]
    (stride,), (dilation,) = call["stride"], call["dilation"]
    padding = padding_of(row(call["padding"]), weight.shape[2:], (1, dilation))
    op = real.Conv2d(weight, array_of(call, "bias"), (1, stride), padding, (1, dilation), int(call["groups"]))
    return in_rows(call, op, value_of(call))


def _batch_norm(call: Call) -> Value:
    mean, variance = array_of(call, "running_mean"), array_of(call, "running_var")
    if call["training"] or mean is None or variance is None:
        raise Refused(
            "batch normalisation by the statistics of each batch",
            "Keep track_running_stats=True and use eval()",
        )
    weight, bias = array_of(call, "weight"), array_of(call, "bias")
    ones, zeros = np.ones_like(mean), np.zeros_like(mean)
    weight, bias = ones if weight is None else weight, zeros if bias is None else bias
    op, x = real.BatchNorm(mean, variance, weight, bias, float(call["eps"])), value_of(call)
    return in_rows(call, op, x) if len(x.shape) == 2 else call.emit(op, x)


def _reshape(call: Call) -> Value | Root | Zeros:
    if isinstance(call["self"], Zeros):
        return Zeros()
    if isinstance(call["self"], Root):
        return replace(call["self"], x=_reshaped(call, call["self"].x))
    return _reshaped(call, value_of(call, "self"))


def _reshaped(call: Call, x: Value) -> Value:
    shape, window = call.builder.layout(call.result.shape)
    if math.prod(shape) != math.prod(x.shape):
        raise Refused(
            f"reshapes samples {x.shape} across the batch to {shape}", "Keep the batch first: x.flatten(1)"
        )
    return replace(aten_move.reshaped(call, x, shape), window=window)


def _same(call: Call) -> Any:
    return call["self"]


def _to(call: Call) -> Any:
    if not call.result.dtype.is_floating_point or call.result.element_size() != 4:
        raise Refused(f"converts to {call.node.meta['val'].dtype}", "Stay in float32")
    return call["self"]


def _dropout(call: Call) -> Value:
    if call["train"]:
        raise Refused(
            "dropout that is active in eval mode", "Use nn.Dropout, or F.dropout(x, p, self.training)"
        )
    return value_of(call)


def _add(call: Call) -> Value | Root:
    a, b = call["self"], call["other"]
    if call.builder.window and (isinstance(a, Zeros) or isinstance(b, Zeros)):
        raise Refused(*WRITTEN_OUT)
    if isinstance(b, int | float) and (root := guarded(call, float(b * call["alpha"]))):
        return root
    if not isinstance(a, Value | Membrane) or not isinstance(b, Value | Membrane):
        raise Refused("adds a constant or a parameter", "Put it into the bias of the layer before")
    a, b = value_of(call, "self"), value_of(call, "other")
    if call["alpha"] != 1:
        raise Refused(
            f"adds with alpha={call['alpha']}", "Fold the factor into the weights of the layer before"
        )
    aten_move.require_floats(call, "adds")
    return call.builder.sum(call.node, *aligned(call, "adds", a, b))


def _stack(call: Call) -> Value | Membrane:
    x = _only(call, "stacks several tensors")
    if not call.builder.window or call["dim"] != 0 or x.window:
        raise Refused("stacks along a new axis", "Stack the steps' outputs along axis 0 only")
    return replace(x, window=True)


def _only(call: Call, problem: str) -> Value | Membrane:
    items = call["tensors"]
    if len(items) != 1:
        raise Refused(
            problem,
            "Give each part a Linear (or Conv2d) of its own and add the results: W [a; b] = W_a a + W_b b",
        )
    if not isinstance(items[0], Value | Membrane):
        raise Refused("collects constants", "Return the spikes only")
    return items[0]


def _item(call: Call) -> Any:
    return call["a"][call["b"]]


def _zeros(call: Call) -> Zeros:
    return Zeros()


def _full(call: Call) -> Zeros:
    if call["fill_value"] != 0:
        raise Refused("uses a constant", "Put it into the bias of the layer before")
    return Zeros()


SAME = (
    "aten.alias.default",
    "aten.clone.default",
    "aten.contiguous.default",
    "aten.detach.default",
    "aten.detach_.default",
    "aten.lift_fresh_copy.default",
)
CONVERSIONS = ("aten.to.dtype", "aten.to.dtype_layout", "aten.type_as.default")
BLANKS = ("aten.zeros_like.default", "aten.new_zeros.default", "aten.full_like.default")
NOT_COMPUTING = frozenset({*SAME, *CONVERSIONS, *BLANKS, "_operator.getitem", OPERATOR})
"""Operations that a neuron's state may go into and still be that state, and the neurons themselves."""

HANDLERS: Mapping[str, Handler] = {
    **aten_move.HANDLERS,
    **aten_neuron.HANDLERS,
    **aten_parts.HANDLERS,
    **aten_pool.HANDLERS,
    **aten_product.HANDLERS,
    **aten_root.HANDLERS,
    **aten_scale.HANDLERS,
    **aten_sum.HANDLERS,
    "aten.linear.default": _linear,
    "aten.conv1d.default": _conv1d,
    "aten.conv1d.padding": _conv1d,
    "aten.conv2d.default": _conv2d,
    "aten.conv2d.padding": _conv2d,
    "aten.batch_norm.default": _batch_norm,
    "aten.dropout.default": _dropout,
    "aten.dropout_.default": _dropout,
    "aten.feature_dropout.default": _dropout,
    "aten.alpha_dropout.default": _dropout,
    "aten.feature_alpha_dropout.default": _dropout,
    "aten.add.Tensor": _add,
    "aten.add_.Tensor": _add,
    "aten.stack.default": _stack,
    "aten.zeros.default": _zeros,
    "aten.zeros_like.default": _zeros,
    "aten.new_zeros.default": _zeros,
    "aten.full.default": _full,
    "aten.full_like.default": _full,
    "_operator.getitem": _item,
    **dict.fromkeys(
        (
            "aten.flatten.using_ints",
            "aten.view.default",
            "aten.reshape.default",
            "aten.unflatten.int",
            "aten.squeeze.default",
            "aten.squeeze.dim",
            "aten.squeeze.dims",
            "aten.unsqueeze.default",
        ),
        _reshape,
    ),
    **dict.fromkeys(SAME, _same),
    **dict.fromkeys(CONVERSIONS, _to),
}
