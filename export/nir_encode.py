"""Operations of the real level as NIR's nodes; `avnir.export.nir_write` says in what form they come.

A Lif is NIR's LIF with r = 1 and tau = dt / (1 - beta), or its IF where beta = 1, or with a synaptic
current its CubaLIF with r = tau_mem / dt and w_in = tau_syn / dt; an Li is the LI, I or CubaLI of the same
parameters, with r = tau / dt where its gain is 1. All parameters are of the neurons' full shape, those of
neurons in float64, weights in their own dtype. A Delay is NIR's, in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from avnir.export.nir_conv import square_form
from avnir.export.nir_schema import MAX_DELAY, NirNode, NodeRecord
from avnir.ir import real
from avnir.ir.graph import Node
from avnir.ir.operation import Array, Shape, same_array
from avnir.passes.fold_gain import canonical, canonical_operation, leak_problem, unit_gain


class Refused(Exception):
    """One node that NIR cannot hold."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}. {remedy}")
        self.finding = (problem, remedy)


Encoded = tuple[str, dict[str, Array | str], dict[str, Any]]
"""NIR's type, its fields, and what NodeRecord adds."""


def encode(node: Node, shape: Shape, dt: float) -> NirNode:
    """The node as NIR holds it; `shape` is its input's (an Input's own). Raises Refused."""
    return made(node, _encoder(node.op.kind)(node.op, shape, dt))


def made(node: Node, encoded: Encoded) -> NirNode:
    """NIR's node for `node`, which says where it comes from too."""
    kind, fields, extra = encoded
    extra |= {"source": node.source} if node.source else {}
    return NirNode(kind, fields, NodeRecord(**extra))


def _encoder(kind: str) -> Callable[[Any, Shape, float], Encoded]:
    if kind not in ENCODERS:
        raise Refused(f"{kind} has no form in NIR", LOWERED_BY.get(kind, "Replace it in the model"))
    return ENCODERS[kind]


def integers(values: Shape | int) -> Array:
    """Whole numbers as NIR's files hold them."""
    return np.array(values, np.int64)


def _input(op: real.Input, shape: Shape, dt: float) -> Encoded:
    return "Input", {"shape": integers(op.shape)}, {"message_bits": op.message_bits}


def _output(op: real.Output, shape: Shape, dt: float) -> Encoded:
    own = {} if op.shape == shape else {"shape": list(op.shape)}
    return "Output", {"shape": integers(shape)}, own


def _flatten(op: real.Flatten, shape: Shape, dt: float) -> Encoded:
    return flatten(shape, op.shape)


def flatten(before: Shape, after: Shape) -> Encoded:
    """NIR's Flatten that makes `after` of `before`; raises Refused where it merges no axes."""
    merged = merged_axes(before, after)
    if merged is None:
        raise Refused(
            f"Flatten makes {after} of {before}, which is no merging of neighbouring axes",
            "Flatten neighbouring axes only",
        )
    start, end = (np.array(axis, np.int64) for axis in merged)
    return "Flatten", {"input_type": integers(before), "start_dim": start, "end_dim": end}, {}


def merged_axes(before: Shape, after: Shape) -> tuple[int, int] | None:
    """The first and last axis whose merging makes `after` of `before`; None where there are none."""
    axes = len(before)
    last = len(after)
    candidates = ((start, start + axes - last) for start in range(last) if axes >= last)
    return next((pair for pair in candidates if merged_shape(before, *pair) == after), None)


def merged_shape(shape: Shape, start: int, end: int) -> Shape:
    """The shape after merging the axes from `start` to `end`, both included, both from 0."""
    return (*shape[:start], int(np.prod(shape[start : end + 1], dtype=object)), *shape[end + 1 :])


def _linear(op: real.Linear, shape: Shape, dt: float) -> Encoded:
    if op.bias is None:
        return "Linear", {"weight": op.weight}, {}
    return "Affine", {"weight": op.weight, "bias": op.bias}, {}


def _conv(op: real.Conv2d, shape: Shape, dt: float) -> Encoded:
    form = square_form(op, shape)
    if form is None:
        height, width = op.weight.shape[2:]
        remedy = "Give the kernel an odd or an even size on both axes (add a row or column of zeros)"
        raise Refused(f"a kernel of {height}x{width} has no square form that NIR's readers take", remedy)
    fields: dict[str, Array | str] = {
        "input_shape": integers(shape[1:]),
        "weight": form.weight,
        "bias": np.zeros(len(op.weight), op.weight.dtype) if op.bias is None else op.bias,
        "stride": integers(op.stride),
        "padding": integers(form.padding),
        "dilation": integers(op.dilation),
        "groups": np.array(1, np.int64),
    }
    extra: dict[str, Any] = {} if op.bias is not None else {"bias": False}
    if form is not op:
        extra |= {"kernel": op.weight.shape[2:], "padding": op.padding, "groups": op.groups}
    return "Conv2d", fields, extra


def _pool(op: real.Pool2d, shape: Shape, dt: float) -> Encoded:
    fields = {"kernel_size": op.kernel, "stride": op.stride, "padding": op.padding}
    return op.kind, {name: integers(pair) for name, pair in fields.items()}, {}


def _scale(op: real.Scale, shape: Shape, dt: float) -> Encoded:
    own = {} if op.scale.shape == shape else {"shape": list(op.scale.shape)}
    return "Scale", {"scale": _full(op.scale, shape)}, own


def _threshold(op: real.Threshold, shape: Shape, dt: float) -> Encoded:
    _require_canonical(op, shape)
    return "Threshold", {"threshold": _full(op.threshold, shape)}, {}


def _delay(op: real.Delay, shape: Shape, dt: float) -> Encoded:
    if op.steps > MAX_DELAY:
        raise Refused(f"it is a delay of {op.steps} steps", f"At most {MAX_DELAY} are read back")
    return "Delay", {"delay": np.full(op.shape, op.steps * dt)}, {}


def _lif(op: real.Lif, shape: Shape, dt: float) -> Encoded:
    if op.bias is not None:
        raise Refused("Lif.bias has no form in NIR", "Put it into the bias of the Linear or Conv2d in front")
    kind, fields, extra = _membrane(op, shape, dt)
    extra |= {} if op.reset == "zero" else {"reset": op.reset}
    fields |= {"v_threshold": _full(op.threshold, shape), "v_reset": np.zeros(shape)}
    return f"{kind}F", fields, extra


def _li(op: real.Li, shape: Shape, dt: float) -> Encoded:
    if op.bias is not None:
        raise Refused("Li.bias has no form in NIR", "Put it into the bias of the Linear or Conv2d in front")
    return _membrane(op, shape, dt)


def _membrane(op: real.Lif | real.Li, shape: Shape, dt: float) -> Encoded:
    """What a neuron with a threshold and one without share: an I, LI or CubaLI."""
    _require_canonical(op, shape)
    if problem := leak_problem(op):
        raise Refused(*problem)
    plain = op.kind == "Li" and op.alpha is None and not np.all(op.beta == 1)
    whole = plain and same_array(op.gain, np.ones(()))
    if not whole and not same_array(op.gain, canonical(unit_gain(op, dt), shape)):
        raise Refused("its gain is not the one of NIR's r = 1", "Run the pass fold_gain first")
    zeros, ones = np.zeros(shape), np.ones(shape)
    if np.all(op.beta == 1):
        return "I", {"r": ones}, {}
    tau = _full(dt / (1 - op.beta), shape)
    leaks = {"beta": _values(op.beta)}
    if op.alpha is None:
        return "LI", {"tau": tau, "v_leak": zeros, "r": tau / dt if whole else ones}, leaks
    leaks["alpha"] = _values(op.alpha)
    tau_syn = _full(dt / (1 - op.alpha), shape)
    currents = {"tau_mem": tau, "tau_syn": tau_syn, "r": tau / dt, "w_in": tau_syn / dt}
    return "CubaLI", {**currents, "v_leak": zeros}, leaks


def _values(array: Array) -> float | list[float]:
    values: float | list[float] = array.reshape(-1).tolist() if array.ndim else array.item()
    return values


def _require_canonical(op: real.RealOperation, shape: Shape) -> None:
    if op != canonical_operation(op, shape):
        problem = f"the parameters of {op.kind} are not float64, 0-d where uniform, else of shape {shape}"
        raise Refused(problem, "Run the pass fold_gain first")


def _full(values: Array, shape: Shape) -> Array:
    return np.broadcast_to(values, shape).copy()


ENCODERS: Mapping[str, Callable[[Any, Shape, float], Encoded]] = {
    "Input": _input,
    "Output": _output,
    "Flatten": _flatten,
    "Linear": _linear,
    "Conv2d": _conv,
    "AvgPool2d": _pool,
    "SumPool2d": _pool,
    "Scale": _scale,
    "Threshold": _threshold,
    "Delay": _delay,
    "Lif": _lif,
    "Li": _li,
}
LOWERED_BY: Mapping[str, str] = {
    "BatchNorm": "Run the pass fold_batchnorm first",
    "MaxPool2d": "Run the pass lower_maxpool first",
    "Alpha": "With reset_mechanism='none' it is two LI and a Threshold, which the pass lower_alpha makes; "
    "another reset changes one of two currents at a spike, which no neuron of NIR does",
    "Product": "NIR has no product of two values: leave graph.nir out, the chip's integers have it",
    "WindowSum": "NIR has no sum over a window of steps: leave graph.nir out, the chip's integers have it",
    "InverseRoot": "NIR has no inverse root: leave graph.nir out, the chip's integers have it",
    "Sparse": "NIR has no map of moved or summed values: leave graph.nir out, the chip's integers have it",
}
"""What to do about operations that NIR lacks."""
