"""Inverse roots, as a norm is divided by: one graded layer, where they are guarded against 0.

Taken are, for a tensor x of the network and a constant eps > 0,

    1 / sqrt(x + eps),   torch.rsqrt(x + eps),   (x + eps) ** -0.5
    1 / (sqrt(x) + eps),   a / (sqrt(x) + eps)
    1 / sqrt(x.clamp(min=eps)),   1 / sqrt(x).clamp(min=eps),   and a / those

with sqrt(x) also as a norm, torch.linalg.vector_norm(f, dim=...), f.norm(dim=...), or F.normalize(f). Without
eps PyTorch gives infinity where x is 0, and nothing that computes in integers does. a / b is taken as
a * (1 / b), which float32 may round differently in the last place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from torch import fx

from avnir.export.aten_arguments import value_of
from avnir.export.aten_move import HANDLERS as MOVES
from avnir.export.aten_move import aligned, reshaped
from avnir.export.aten_product import broadcast_product, product
from avnir.export.aten_sum import summed, summed_axes
from avnir.export.builder import Call, Handler, Refused, Root, Value
from avnir.export.memory import target_of
from avnir.export.remedies import refuse
from avnir.ir.real_graded import InverseRoot

_GUARD = "Guard it: torch.rsqrt(x + 1e-6), or f / (f.norm(dim=1, keepdim=True) + 1e-6)"
_UNDER_ROOTS = ("aten.sqrt.default", "aten.rsqrt.default", "aten.pow.Tensor_Scalar")
_RESHAPES = ("aten.unsqueeze.default", "aten.squeeze.dim", "aten.view.default", "aten.reshape.default")


def stands_under_root(node: fx.Node) -> bool:
    """Whether all that is done with a result is to take its root."""
    return bool(node.users) and all(map(_leads_under_root, node.users))


def _leads_under_root(user: fx.Node) -> bool:
    if user.op != "call_function":
        return False
    target = target_of(user)
    return target in _UNDER_ROOTS or (target in {*MOVES, *_RESHAPES} and stands_under_root(user))


def guarded(call: Call, epsilon: float, least: bool = False) -> Root | None:
    """What `self` is after + epsilon, or with `least` after a clamp, under a root or as one; else None."""
    x = call["self"]
    if isinstance(x, Value) and stands_under_root(call.node):
        x = Root(x)
    if not isinstance(x, Root):
        return None
    if x.guard or not (math.isfinite(epsilon) and epsilon > 0):
        raise Refused(f"guards a root by {epsilon}" + " once more" * bool(x.guard), "Use one guard, above 0")
    if least:
        return replace(x, guard="least", epsilon=epsilon if x.rooted else math.sqrt(epsilon))
    return replace(x, guard="beside" if x.rooted else "under", epsilon=epsilon)


def inverse(call: Call, root: Root) -> Value:
    """1 / sqrt(x), guarded."""
    if not root.guard:
        raise Refused("an inverse root that is infinite at 0", _GUARD)
    return call.emit(InverseRoot(root.epsilon, root.guard), root.x, label="inverse_root")


def quotient(call: Call, a: Value, root: Root) -> Value:
    """a / sqrt(x), guarded."""
    if not root.rooted:
        raise Refused(
            "divides by values of the network", "Divide by a norm, which is a root, or by a constant"
        )
    return product(call, *aligned(call, "divides", a, inverse(call, root)))


def _clamp(call: Call) -> Root:
    """`clamp` and `clamp_min`."""
    least = call["min"]
    if call.arguments.get("max") is None and isinstance(least, int | float):
        root = guarded(call, float(least), least=True)
        if root is not None:
            return root
    raise refuse(str(call.node.target))


def _sqrt(call: Call) -> Root:
    x = call["self"]
    if isinstance(x, Root) and x.rooted:
        raise refuse(str(call.node.target))
    return replace(x if isinstance(x, Root) else Root(value_of(call, "self")), rooted=True)


def _rsqrt(call: Call) -> Value:
    return inverse(call, _sqrt(call))


def _reciprocal(call: Call) -> Value:
    x = call["self"]
    if not isinstance(x, Root) or not x.rooted:
        raise Refused("divides by values of the network", "Use fixed factors: only sums reach a neuron")
    return inverse(call, x)


def _pow(call: Call) -> Value | Root:
    exponent = call["exponent"]
    if exponent == 2:
        return _square(call)
    if exponent == 0.5:
        return _sqrt(call)
    if exponent == -0.5:
        return _rsqrt(call)
    raise Refused(f"the power {exponent}", "Powers 2, 0.5 and -0.5 are taken")


def _square(call: Call) -> Value:
    x = value_of(call, "self")
    return broadcast_product(call, x, x)


def _norm(call: Call) -> Root:
    """The root of the sum of squares; of spikes the squares are the spikes."""
    x = value_of(call, "self")
    if call["ord"] not in (None, 2) or call["dtype"] is not None or call["dim"] is None:
        raise Refused(f"a norm of order {call['ord']}", "Use the norm of order 2 over axes of the sample")
    dims = [call["dim"]] if isinstance(call["dim"], int) else call["dim"]
    axes, time = summed_axes(call, x, dims)
    if time or (len(dims) > 1 and "linalg_norm" in str(call.node.target)):
        raise Refused("a norm over the steps, or of a matrix", "Use vector_norm over axes of the sample")
    total = summed(call, product(call, x, x), axes)
    shape, window = call.builder.layout(call.result.shape)
    return Root(Value(reshaped(call, total, shape).producers, shape, window), rooted=True)


HANDLERS: Mapping[str, Handler] = {
    "aten.clamp.default": _clamp,
    "aten.clamp_min.default": _clamp,
    "aten.sqrt.default": _sqrt,
    "aten.rsqrt.default": _rsqrt,
    "aten.reciprocal.default": _reciprocal,
    "aten.pow.Tensor_Scalar": _pow,
    "aten.square.default": _square,
    "aten.linalg_vector_norm.default": _norm,
    "aten.linalg_norm.default": _norm,
}
