"""PyTorch's operations, as torch.export writes them, in terms of the real level.

One function per operation, in the table HANDLERS. A handler gets the operation's arguments by name
and returns what stands for its result, or raises `Refused` with the reason and the remedy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
from snntorch import Leaky

from avnir.export.builder import Call, Membrane, Parameter, Refused, State, Value, Zeros
from avnir.export.neurons import lif
from avnir.ir import real
from avnir.ir.operation import Array, Shape


def _value(call: Call, name: str = "input") -> Value:
    value = call[name]
    if isinstance(value, Value):
        return value
    if isinstance(value, Membrane):
        raise Refused(
            "uses a membrane potential",
            "Use the neuron's spikes; on the chip the potential stays in the neuron",
        )
    raise Refused(
        "computes with a constant or a parameter",
        "Compute it once, outside forward (for weight norms: remove_parametrizations)",
    )


def _array(call: Call, name: str) -> Array | None:
    value = call[name]
    if value is None:
        return None
    if not isinstance(value, Parameter):
        raise Refused(f"the {name} is computed in forward", "Give the layer plain parameters")
    array: Array = value.tensor.detach().numpy().copy()
    if array.dtype != np.float32 or not np.all(np.isfinite(array)):
        raise Refused(
            f"{value.name} is {array.dtype} or not finite", "Use finite float32 parameters: model.float()"
        )
    return array


def _required(call: Call, name: str) -> Array:
    array = _array(call, name)
    if array is None:
        raise Refused(f"has no {name}", "Give the layer plain parameters")
    return array


def _pair(value: Any) -> tuple[int, int]:
    items = [value] if isinstance(value, int) else list(value)
    return (int(items[0]), int(items[-1]))


def _linear(call: Call) -> Value:
    x = _value(call)
    if len(x.shape) != 1:
        raise Refused(
            f"Linear on the last axis of samples {x.shape}", "Flatten the sample first: x.flatten(1)"
        )
    return call.emit(real.Linear(_required(call, "weight"), _array(call, "bias")), x)


def _conv2d(call: Call) -> Value:
    weight = _required(call, "weight")
    dilation = _pair(call["dilation"])
    padding = _padding(call["padding"], weight.shape[2:], dilation)
    op = real.Conv2d(
        weight, _array(call, "bias"), _pair(call["stride"]), padding, dilation, int(call["groups"])
    )
    return call.emit(op, _value(call))


def _padding(padding: Any, kernel: Shape, dilation: tuple[int, int]) -> tuple[int, int]:
    """PyTorch's 'same' adds dilation * (kernel - 1) zeros in all, half on each side where that is even."""
    if not isinstance(padding, str):
        return _pair(padding)
    if padding == "valid":
        return (0, 0)
    total = tuple(d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
    if any(t % 2 for t in total):
        raise Refused("padding='same' with an even kernel pads one side more", "Use an odd kernel")
    return (total[0] // 2, total[1] // 2)


def _batch_norm(call: Call) -> Value:
    mean, variance = _array(call, "running_mean"), _array(call, "running_var")
    if call["training"] or mean is None or variance is None:
        raise Refused(
            "batch normalisation by the statistics of each batch",
            "Keep track_running_stats=True and use eval()",
        )
    weight, bias = _array(call, "weight"), _array(call, "bias")
    ones, zeros = np.ones_like(mean), np.zeros_like(mean)
    weight, bias = ones if weight is None else weight, zeros if bias is None else bias
    return call.emit(real.BatchNorm(mean, variance, weight, bias, float(call["eps"])), _value(call))


def _avg_pool2d(call: Call) -> Value:
    padding = _pair(call["padding"])
    if call["divisor_override"] is not None:
        raise Refused("divisor_override", "Leave it out and fold the factor into the next layer's weights")
    if any(padding) and not call["count_include_pad"]:
        raise Refused("count_include_pad=False with padding", "Use count_include_pad=True or no padding")
    return call.emit(real.AvgPool2d(*_window(call), padding), _value(call, "self"))


def _max_pool2d(call: Call) -> Value:
    if _pair(call["dilation"]) != (1, 1):
        raise Refused("max-pooling with a dilation", "Use dilation=1")
    return call.emit(real.MaxPool2d(*_window(call), _pair(call["padding"])), _value(call, "self"))


def _window(call: Call) -> tuple[tuple[int, int], tuple[int, int]]:
    if call["ceil_mode"]:
        raise Refused(
            "ceil_mode=True", "Use ceil_mode=False, and pad or crop the input where a window is cut"
        )
    kernel = _pair(call["kernel_size"])
    return kernel, _pair(call["stride"]) if call["stride"] else kernel


def _reshape(call: Call) -> Value | Zeros:
    if isinstance(call["self"], Zeros):
        return Zeros()
    x = _value(call, "self")
    shape, window = call.builder.layout(call.result.shape)
    if math.prod(shape) != math.prod(x.shape):
        raise Refused(
            f"reshapes samples {x.shape} across the batch to {shape}", "Keep the batch first: x.flatten(1)"
        )
    if shape == x.shape:
        return Value(x.producers, shape, window)
    flat = call.emit(real.Flatten(shape), x)
    return Value(flat.producers, shape, window)


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
    return _value(call)


def _add(call: Call) -> Value:
    a, b = call["self"], call["other"]
    if not isinstance(a, Value | Membrane) or not isinstance(b, Value | Membrane):
        raise Refused("adds a constant or a parameter", "Put it into the bias of the layer before")
    a, b = _value(call, "self"), _value(call, "other")
    if call["alpha"] != 1:
        raise Refused(
            f"adds with alpha={call['alpha']}", "Fold the factor into the weights of the layer before"
        )
    if a.shape != b.shape or a.window != b.window:
        raise Refused(f"adds samples {a.shape} and {b.shape} by broadcasting", "Bring both to one shape")
    if not call.result.is_floating_point():
        raise Refused("adds integers or booleans", "Convert the inputs first: x.float()")
    return call.builder.sum(call.node, a, b)


def _select(call: Call) -> Value:
    x = _value(call, "self")
    if not (x.window and call["dim"] == 0):
        raise Refused("takes a part of a sample", "Use a Linear or a Conv2d whose weights are zero elsewhere")
    return Value(x.producers, x.shape)


def _unbind(call: Call) -> tuple[Value, ...]:
    return (_select(call),)


def _one_chunk(call: Call) -> tuple[Value, ...]:
    if len(call.result) != 1:
        raise Refused("splits a tensor", "Give each part a layer of its own, or an input of its own")
    return (_value(call, "self"),)


def _stack(call: Call) -> Value:
    x = _only(call, "stacks several tensors")
    if not call.builder.window or call["dim"] != 0 or x.window:
        raise Refused("stacks along a new axis", "Stack the steps' outputs along axis 0 only")
    return Value(x.producers, x.shape, window=True)


def _cat(call: Call) -> Value:
    return _only(call, "concatenates tensors")


def _only(call: Call, problem: str) -> Value:
    items = call["tensors"]
    if len(items) != 1:
        raise Refused(
            problem,
            "Give each part a Linear (or Conv2d) of its own and add the results: W [a; b] = W_a a + W_b b",
        )
    if not isinstance(items[0], Value):
        raise Refused("collects membrane potentials or constants", "Return the spikes only")
    return items[0]


def _item(call: Call) -> Any:
    return call["a"][call["b"]]


def _zeros(call: Call) -> Zeros:
    return Zeros()


def _full(call: Call) -> Zeros:
    if call["fill_value"] != 0:
        raise Refused("uses a constant", "Put it into the bias of the layer before")
    return Zeros()


def _leaky(call: Call) -> tuple[Value, Membrane]:
    x, mem, path = _value(call), call["mem"], call["layer"]
    if x.window:
        raise Refused("a neuron gets the whole window at once", "Loop over the steps: for x_t in x: lif(x_t)")
    state = mem.index if isinstance(mem, State) else None
    if state is None and mem is not None and not (call.builder.window and isinstance(mem, Zeros)):
        raise Refused(
            "the neuron's potential starts anew each step, or comes from elsewhere",
            "Hand its own potential back to it: init_hidden=True, or states that forward takes and returns",
        )
    spikes = call.emit(lif(cast(Leaky, call.builder.modules[path]), x.shape), x, path)
    return spikes, Membrane(path, state)


Handler = Callable[[Call], Any]

HANDLERS: Mapping[str, Handler] = {
    "aten.linear.default": _linear,
    "aten.conv2d.default": _conv2d,
    "aten.conv2d.padding": _conv2d,
    "aten.batch_norm.default": _batch_norm,
    "aten.avg_pool2d.default": _avg_pool2d,
    "aten.max_pool2d.default": _max_pool2d,
    "aten.dropout.default": _dropout,
    "aten.dropout_.default": _dropout,
    "aten.feature_dropout.default": _dropout,
    "aten.alpha_dropout.default": _dropout,
    "aten.feature_alpha_dropout.default": _dropout,
    "aten.add.Tensor": _add,
    "aten.add_.Tensor": _add,
    "aten.select.int": _select,
    "aten.unbind.int": _unbind,
    "aten.chunk.default": _one_chunk,
    "aten.split.Tensor": _one_chunk,
    "aten.stack.default": _stack,
    "aten.cat.default": _cat,
    "aten.to.dtype": _to,
    "aten.zeros.default": _zeros,
    "aten.zeros_like.default": _zeros,
    "aten.new_zeros.default": _zeros,
    "aten.full.default": _full,
    "aten.full_like.default": _full,
    "_operator.getitem": _item,
    "avnir.leaky.default": _leaky,
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
    **dict.fromkeys(
        (
            "aten.alias.default",
            "aten.clone.default",
            "aten.contiguous.default",
            "aten.detach.default",
            "aten.detach_.default",
            "aten.lift_fresh_copy.default",
        ),
        _same,
    ),
}
