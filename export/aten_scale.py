"""Products with constants, and differences.

A factor is a Scale, which PyTorch computes as it does x * c; a - b is a + (-1) b, and x / c is
x * (1/c), bit for bit, where 1/c is exact (a power of two) or x is 0 or 1. Products of two
tensors of the network are in `aten_product`, quotients in `aten_root`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from avnir.export.aten_arguments import required_array, value_of
from avnir.export.aten_move import aligned, require_floats
from avnir.export.aten_product import broadcast_product
from avnir.export.aten_root import quotient
from avnir.export.builder import Call, Handler, Parameter, Refused, Root, Value, Zeros
from avnir.ir import real
from avnir.ir.operation import Array

_NO_BIAS = "Put it into the bias of the layer before"


def _mul(call: Call) -> Value:
    names = ("self", "other") if isinstance(call["self"], Value | Zeros) else ("other", "self")
    if isinstance(call[names[1]], Value):
        return broadcast_product(call, value_of(call, "self"), value_of(call, "other"))
    x = value_of(call, names[0])
    return _scaled(call, _factor(call, names[1], x), x)


def _div(call: Call) -> Value:
    if isinstance(call["other"], Root):
        return quotient(call, value_of(call, "self"), call["other"])
    if isinstance(call["other"], Value):
        raise Refused("divides by values of the network", "Use fixed factors: only sums reach a neuron")
    x = value_of(call, "self")
    divisor = _factor(call, "other", x)
    if not np.all(divisor):
        raise Refused("divides by 0", "Use a divisor that is not 0")
    powers = bool(np.all(np.abs(np.frexp(divisor)[0]) == 0.5))
    if not powers and not call.builder.is_binary(x):
        raise Refused(
            "divides by what is no power of two, which float32 rounds unlike a product",
            "Multiply by the constant instead: x * (1 / c)",
        )
    return _scaled(call, np.asarray(np.float32(1) / divisor), x)


def _neg(call: Call) -> Value:
    return _negated(call, value_of(call, "self"))


def _sub(call: Call) -> Value:
    return _difference(call, "self", "other")


def _rsub(call: Call) -> Value:
    return _difference(call, "other", "self")


def _difference(call: Call, plus: str, minus: str) -> Value:
    if not isinstance(call[plus], Value) or not isinstance(call[minus], Value):
        raise Refused("adds or subtracts a constant or a parameter", _NO_BIAS)
    a, b = value_of(call, plus), value_of(call, minus)
    if call["alpha"] != 1:
        raise Refused(f"subtracts with alpha={call['alpha']}", "Write a - alpha * b")
    require_floats(call, "subtracts")
    a, b = aligned(call, "subtracts", a, b)
    return call.builder.sum(call.node, a, _negated(call, b))


def _negated(call: Call, x: Value) -> Value:
    return _scaled(call, np.array(-1, np.float32), x, "negative")


def _scaled(call: Call, factor: Array, x: Value, label: str = "") -> Value:
    require_floats(call, "multiplies")
    return call.emit(real.Scale(factor), x, label=label)


def _factor(call: Call, name: str, x: Value) -> Array:
    """A constant factor, float32, without the batch's axis."""
    if isinstance(call[name], int | float):
        factor = np.array(call[name], np.float32)
        if not np.isfinite(factor):
            raise Refused(f"uses the factor {call[name]}", "Use a finite factor")
        return factor
    if not isinstance(call[name], Parameter):
        raise Refused("uses a factor computed in forward", "Give it as a number, a parameter or a buffer")
    array = required_array(call, name)
    extra = max(array.ndim - len(x.shape), 0)
    if any(size != 1 for size in array.shape[:extra]):
        raise Refused(
            f"uses a factor {array.shape} that differs from sample to sample or step to step",
            f"Give it the shape of one sample, {x.shape}, or one that broadcasts to it",
        )
    return array.reshape(array.shape[extra:])


HANDLERS: Mapping[str, Handler] = {
    "aten.mul.Tensor": _mul,
    "aten.div.Tensor": _div,
    "aten.neg.default": _neg,
    "aten.sub.Tensor": _sub,
    "aten.rsub.Tensor": _rsub,
    "aten.rsub.Scalar": _rsub,
}
