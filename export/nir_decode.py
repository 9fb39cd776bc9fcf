"""NIR's nodes as operations of the real level: the equations are in `avnir.export.nir_read`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from avnir.errors import InterchangeError
from avnir.export.nir_conv import narrowed
from avnir.export.nir_encode import merged_shape
from avnir.export.nir_schema import MAX_DELAY, NirNode
from avnir.ir import real
from avnir.ir.geometry import Pair
from avnir.ir.operation import Array, Shape
from avnir.passes.fold_gain import canonical

AGREE = 1e-12
"""How far 1 - beta may be from dt/tau, relative, to be the same leak: a few roundings of float64."""
NEURONS = ("LIF", "IF", "CubaLIF", "LI", "I", "CubaLI")
"""The types that keep a state."""


def stale(what: str) -> str:
    """The sentence for metadata that the file no longer bears out."""
    remedy = "export it again, or remove the metadata to read it as a foreign file"
    return (
        f"{what} in avnir's metadata does not fit the file, which was changed after it was written; {remedy}"
    )


def neuron_problems(nir: NirNode, dt: float) -> Iterator[str]:
    """What no neuron of ours can do; the parameters are finite."""
    fields = {name: nir.array(name).astype(np.float64) for name in nir.fields}
    shapes = {name: value.shape for name, value in fields.items()}
    if len(set(shapes.values())) > 1:
        yield f"its parameters have different shapes: {shapes}"
    low = {name: float(value.min()) for name, value in fields.items()}
    for name in low.keys() & {"tau", "tau_mem", "tau_syn"}:
        if low[name] <= 0:
            yield f"{name} goes down to {low[name]} s, but must be positive"
        elif low[name] < dt:
            yield f"{name} goes down to {low[name]} s, but must be at least one time step of {dt} s"
    for name in low.keys() & {"r", "w_in"}:
        if low[name] <= 0:
            yield f"{name} goes down to {low[name]}, but must be positive"
    if low.get("v_threshold", 0) < 0:
        yield f"v_threshold goes down to {low['v_threshold']}, but must not be negative"
    for name in ("v_leak", "v_reset"):
        if np.any(fields.get(name, 0) != 0):
            yield f"{name} is not 0, but the chip's neuron rests at 0; shift threshold and biases by it"


def _whole(value: Array) -> Shape:
    return tuple(int(size) for size in value.reshape(-1))


def _one(nir: NirNode, field: str) -> int:
    values = _whole(nir.array(field))
    if len(values) != 1:
        raise InterchangeError(f"{field} has {len(values)} values, but must be one")
    return values[0]


def _pair(nir: NirNode, field: str) -> Pair:
    values = _whole(nir.array(field))
    if len(values) not in (1, 2):
        raise InterchangeError(f"{field} has {len(values)} values, but must be one or two")
    return values[0], values[-1]


def _require_shape(field: str, found: Shape, wanted: Shape) -> None:
    if found != wanted:
        raise InterchangeError(f"{field} is {found}, but what feeds it has the shape {wanted}")


def _parameter(nir: NirNode, field: str, shape: Shape) -> Array:
    value = nir.array(field)
    _require_shape(f"the shape of {field}", value.shape, shape)
    return value


def _input(nir: NirNode, shape: Shape, dt: float) -> real.Input:
    return real.Input(_whole(nir.array("shape")), nir.record.message_bits)


def _output(nir: NirNode, shape: Shape, dt: float) -> real.Output:
    _require_shape("shape", _whole(nir.array("shape")), shape)
    return real.Output(shape if nir.record.shape is None else tuple(nir.record.shape))


def _flatten(nir: NirNode, shape: Shape, dt: float) -> real.Flatten:
    """`shape` is that of its input in the file."""
    if "input_type" in nir.fields:
        _require_shape("input_type", _whole(nir.array("input_type")), shape)
    axes = len(shape)
    start, end = (
        axis + axes if axis < 0 else axis for axis in (_one(nir, "start_dim"), _one(nir, "end_dim"))
    )
    if not 0 <= start <= end < axes:
        raise InterchangeError(f"it merges the axes {start} to {end}, but its input is {shape}")
    return real.Flatten(
        merged_shape(shape, start, end) if nir.record.shape is None else tuple(nir.record.shape)
    )


def _linear(nir: NirNode, shape: Shape, dt: float) -> real.Linear:
    return real.Linear(nir.array("weight"), nir.array("bias") if "bias" in nir.fields else None)


def _conv(nir: NirNode, shape: Shape, dt: float) -> real.Conv2d:
    plain = real.Conv2d(
        nir.array("weight"),
        nir.array("bias"),
        stride=_pair(nir, "stride"),
        dilation=_pair(nir, "dilation"),
        groups=_one(nir, "groups"),
    )
    op = plain.replace(padding=_padding(nir, plain))
    op.output_shape(shape)
    if "input_shape" in nir.fields:
        _require_shape("input_shape", _whole(nir.array("input_shape")), shape[1:])
    record = nir.record
    if record.kernel is not None and record.padding is not None:
        op = narrowed(op, record.kernel, record.padding, record.groups)
    return op if record.bias else op.replace(bias=None)


def _padding(nir: NirNode, op: real.Conv2d) -> Pair:
    said = nir.fields["padding"]
    if not isinstance(said, str):
        return _pair(nir, "padding")
    around = [d * (k - 1) for d, k in zip(op.dilation, op.weight.shape[2:], strict=True)]
    if said == "valid":
        return 0, 0
    if said != "same" or op.stride != (1, 1) or any(zeros % 2 for zeros in around):
        raise InterchangeError(
            f"padding is {said!r} with stride {op.stride}; give it as numbers, equal on both sides"
        )
    return around[0] // 2, around[1] // 2


def _avg_pool(nir: NirNode, shape: Shape, dt: float) -> real.AvgPool2d:
    return real.AvgPool2d(_pair(nir, "kernel_size"), _pair(nir, "stride"), _pair(nir, "padding"))


def _sum_pool(nir: NirNode, shape: Shape, dt: float) -> real.SumPool2d:
    return real.SumPool2d(_pair(nir, "kernel_size"), _pair(nir, "stride"), _pair(nir, "padding"))


def _scale(nir: NirNode, shape: Shape, dt: float) -> real.Scale:
    full = _parameter(nir, "scale", shape)
    if nir.record.shape is None:
        return real.Scale(full)
    own = tuple(nir.record.shape)
    skipped = len(shape) - len(own)
    if skipped < 0 or any(size not in (1, there) for size, there in zip(own, shape[skipped:], strict=True)):
        raise InterchangeError(stale("the shape"))
    return real.Scale(full[(0,) * skipped + tuple(slice(size) for size in own) + (...,)])


def _threshold(nir: NirNode, shape: Shape, dt: float) -> real.Threshold:
    return real.Threshold(canonical(_parameter(nir, "threshold", shape), shape))


def _delay(nir: NirNode, shape: Shape, dt: float) -> real.Delay:
    delays = nir.array("delay").astype(np.float64)
    shortest, longest = float(delays.min()), float(delays.max())
    if shortest != longest:
        raise InterchangeError(f"delay is {shortest} to {longest} s; use one Delay for each of them")
    steps = float(np.rint(longest / dt))
    if not 1 <= steps <= MAX_DELAY or abs(longest / dt - steps) > AGREE * steps:
        limit = f"1 to {MAX_DELAY} whole time steps of {dt} s"
        raise InterchangeError(f"delay is {longest} s, but must be {limit}; change it, or remove the node")
    return real.Delay(delays.shape, int(steps))


def _lif(nir: NirNode, shape: Shape, dt: float) -> real.Lif:
    return _spiking(nir, shape, _leaking(nir, shape, dt))


def _if(nir: NirNode, shape: Shape, dt: float) -> real.Lif:
    return _spiking(nir, shape, _integrating(nir, shape, dt))


def _cuba(nir: NirNode, shape: Shape, dt: float) -> real.Lif:
    return _spiking(nir, shape, _of_current(nir, shape, dt))


def _spiking(nir: NirNode, shape: Shape, op: real.Li) -> real.Lif:
    threshold = canonical(_parameter(nir, "v_threshold", shape), shape)
    return real.Lif(op.beta, threshold, op.gain, nir.record.reset, None, op.alpha)


def _leaking(nir: NirNode, shape: Shape, dt: float) -> real.Li:
    tau = _parameter(nir, "tau", shape).astype(np.float64)
    beta = _leak("beta", nir.record.beta, tau, dt)
    r = _parameter(nir, "r", shape).astype(np.float64)
    gain = np.where(r == tau / dt, 1.0, r * (dt / tau))
    gain = np.where((r == 1) & (beta < 1), 1 - beta, gain)
    return real.Li(canonical(beta, shape), canonical(gain, shape))


def _integrating(nir: NirNode, shape: Shape, dt: float) -> real.Li:
    with np.errstate(over="ignore"):
        gain = _parameter(nir, "r", shape).astype(np.float64) * dt
    return real.Li(np.array(1.0), canonical(gain, shape))


def _of_current(nir: NirNode, shape: Shape, dt: float) -> real.Li:
    ones = np.ones(shape)
    tau_syn, tau_mem, r, w_in = (
        _parameter(nir, name, shape).astype(np.float64) if name in nir.fields else ones
        for name in ("tau_syn", "tau_mem", "r", "w_in")
    )
    alpha = _leak("alpha", nir.record.alpha, tau_syn, dt)
    beta = _leak("beta", nir.record.beta, tau_mem, dt)
    unit = (r == tau_mem / dt) & (w_in == tau_syn / dt)
    gain = np.where(unit, 1.0, r * (dt / tau_mem) * (w_in * (dt / tau_syn)))
    return real.Li(canonical(beta, shape), canonical(gain, shape), canonical(alpha, shape))


def _leak(name: str, said: float | list[float] | None, tau: Array, dt: float) -> Array:
    """The exact leak that the metadata says, if it is what tau says; else the leak of tau."""
    if said is None:
        return 1 - dt / tau
    exact = np.array(said, np.float64)
    if exact.ndim and exact.size != tau.size:
        raise InterchangeError(stale(f"the number of {name}s"))
    leak = np.broadcast_to(exact.reshape(tau.shape if exact.ndim else ()), tau.shape)
    if not np.all(np.abs((1 - leak) - dt / tau) <= AGREE * np.abs(1 - leak)):
        raise InterchangeError(stale(name))
    return leak


DECODERS: Mapping[str, Callable[[NirNode, Shape, float], real.RealOperation]] = {
    "Input": _input,
    "Output": _output,
    "Flatten": _flatten,
    "Linear": _linear,
    "Affine": _linear,
    "Conv2d": _conv,
    "AvgPool2d": _avg_pool,
    "SumPool2d": _sum_pool,
    "Scale": _scale,
    "Threshold": _threshold,
    "Delay": _delay,
    "LI": _leaking,
    "I": _integrating,
    "CubaLI": _of_current,
    "LIF": _lif,
    "IF": _if,
    "CubaLIF": _cuba,
}
"""How to make an operation of a node, the shape of its input and dt. Raise InterchangeError or GraphError."""
