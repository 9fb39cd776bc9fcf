"""The real level: what the model says, in float64, one time step at a time.

These are NIR's operations plus what a trained network needs before it is lowered (batch
normalisation, max-pooling, the reset mode). Arrays keep the dtype in which they arrived, so that a
float32 network can be replayed in float32; the interpreter computes in float64.

Layout is PyTorch's: one sample is `(C, H, W)` or `(N,)`, a batch puts B in front. A convolution is
a cross-correlation, as in PyTorch and NIR.

The neuron, for one step with summed input I:
    v <- beta * v + gain * I + bias,     s = v > threshold,     then the reset
or, with a synaptic current i,
    i <- alpha * i + gain * I,     v <- beta * v + i + bias,     s = v > threshold,     then the reset
No reset touches i. snnTorch's `Leaky` and `Synaptic` have gain 1. `RLeaky` and `RSynaptic` are the same
with I fed by their own spikes of the step before, through a Delay.

NIR's LIF, dv/dt = (v_leak - v + r I) / tau, is the forward Euler step beta = 1 - dt/tau, gain = r dt/tau;
its IF is beta = 1, gain = r dt; its CubaLIF adds di/dt = (-i + w_in I) / tau_syn, alpha = 1 - dt/tau_syn,
and has gain = r dt/tau_mem * w_in dt/tau_syn (Pedersen et al., "Neuromorphic intermediate
representation", Nature Communications 15, 8122, 2024, table 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from avnir.errors import GraphError
from avnir.ir.geometry import Pair, broadcast_checked, conv_size, correlate, reshaped
from avnir.ir.operation import Array, Operation, Shape, require

RESETS = ("zero", "subtract", "none", "zero_delayed", "subtract_delayed", "zero_next")
"""What a spike does to the membrane potential v (snnTorch 1.0.0, `_neurons/leaky.py`):

- `zero`: v is 0 after the spike (reset_mechanism="zero", reset_delay=False); the chip's own reset
- `subtract`: v loses one threshold after the spike ("subtract", reset_delay=False). A v that is above
  threshold even after that loses it once, when the next step begins, and gets it back if that step
  does not spike: snnTorch's own arithmetic, s = v' > threshold with v' = beta v + I - r threshold
  and r = v > threshold, then v = v' - (s - r) threshold
- `none`: nothing
- `zero_delayed`: v counts as 0 when the next step begins, and is seen above threshold until then
- `subtract_delayed`: the next step's v loses one threshold (snnTorch's default)
- `zero_next`: v is 0 in the step after the spike whatever comes in then, and rises again from there; what
  reset_mechanism="zero" with a delay means for every snnTorch neuron but Leaky (their `_base_zero`)
"""


@dataclass(frozen=True, eq=False)
class RealOperation(Operation):
    """An operation of the real level; `step` is its definition."""

    level: ClassVar[str] = "real"
    linear: ClassVar[bool] = False
    """Whether the output is an affine function of the input, so that it can be merged into a synapse."""
    graded: ClassVar[bool] = False
    """Whether the output travels on axons as numbers: graded messages."""

    @property
    def sends(self) -> bool:
        """Whether synapses begin here: its spikes or messages travel on axons."""
        return self.spiking or self.graded

    def ports(self, inputs: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        """Which inputs belong to which port; each port sees their sum, `step` all of them stacked."""
        return (inputs,)

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        """One time step: `x` float64 `[B, *input_shape]`; `state` starts empty and is the operation's own."""
        raise NotImplementedError(self.kind)


@dataclass(frozen=True, eq=False)
class Input(RealOperation):
    """A named input; `message_bits` 0: binary spikes, n: signed integers of n bits, None: real numbers."""

    shape: Shape = ()
    message_bits: int | None = 0

    def output_shape(self, shape: Shape) -> Shape:
        return self.shape


@dataclass(frozen=True, eq=False)
class Output(RealOperation):
    """A named output; `shape` is how the caller sees what feeds it."""

    shape: Shape = ()

    def output_shape(self, shape: Shape) -> Shape:
        return reshaped(self, shape, self.shape)

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        return x.reshape(len(x), *self.shape)


@dataclass(frozen=True, eq=False)
class Delay(RealOperation):
    """What came in `steps` steps ago, of `shape`; 0 before that. NIR's Delay of `steps` * dt."""

    shape: Shape = ()
    steps: int = 1

    def check(self) -> None:
        require(self.steps >= 1, self, "steps", "at least 1")

    @property
    def delayed(self) -> bool:
        return True

    def output_shape(self, shape: Shape) -> Shape:
        if shape != self.shape:
            raise GraphError(f"Delay holds {self.shape}, but its input is {shape}")
        return shape

    def earlier(self, batch: int, state: dict[str, Array]) -> Array:
        """What it gives in this step, before it has seen this step's input."""
        return state.setdefault("kept", np.zeros((self.steps, batch, *self.shape)))[0]

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        given = self.earlier(len(x), state)
        state["kept"] = np.concatenate([state["kept"][1:], x[None]])
        return given


@dataclass(frozen=True, eq=False)
class Flatten(RealOperation):
    """Row-major reshape of a sample to `shape`."""

    linear: ClassVar[bool] = True
    shape: Shape = ()

    def output_shape(self, shape: Shape) -> Shape:
        return reshaped(self, shape, self.shape)

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        return x.reshape(len(x), *self.shape)


@dataclass(frozen=True, eq=False)
class Linear(RealOperation):
    """y = W x + b; `weight` `[out, in]`, `bias` `[out]` or None."""

    linear: ClassVar[bool] = True
    weight: Array
    bias: Array | None = None

    def check(self) -> None:
        require(self.weight.ndim == 2, self, "weight", "a matrix [out, in]")
        _check_bias(self, self.bias, len(self.weight))

    def synapses_summed(self, values: Array) -> Array:
        """The sum over each row of `values`, shaped as the weights."""
        return np.asarray(values.reshape(len(values), -1).sum(axis=1))

    def output_shape(self, shape: Shape) -> Shape:
        if shape != self.weight.shape[1:]:
            raise GraphError(f"Linear takes {self.weight.shape[1:]}, but its input is {shape}")
        return (len(self.weight),)

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        y = x @ self.weight.astype(np.float64).T
        return y if self.bias is None else y + self.bias


@dataclass(frozen=True, eq=False)
class Conv2d(RealOperation):
    """Cross-correlation; `weight` `[C_out, C_in/groups, kH, kW]`, `bias` `[C_out]` or None; zero padding."""

    linear: ClassVar[bool] = True
    weight: Array
    bias: Array | None = None
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def check(self) -> None:
        require(self.weight.ndim == 4, self, "weight", "[C_out, C_in/groups, kH, kW]")
        require(
            self.groups >= 1 and len(self.weight) % self.groups == 0, self, "groups", "a divisor of C_out"
        )
        require(min(self.stride) >= 1, self, "stride", "at least 1")
        require(min(self.dilation) >= 1, self, "dilation", "at least 1")
        require(min(self.padding) >= 0, self, "padding", "at least 0")
        _check_bias(self, self.bias, len(self.weight))

    def synapses_summed(self, values: Array) -> Array:
        """The sum over each output channel of `values`, shaped as the weights."""
        return np.asarray(values.reshape(len(values), -1).sum(axis=1))

    def output_shape(self, shape: Shape) -> Shape:
        channels = self.weight.shape[1] * self.groups
        if len(shape) != 3 or shape[0] != channels:
            raise GraphError(f"Conv2d takes ({channels}, H, W), but its input is {shape}")
        return (len(self.weight), *conv_size(self, shape, self.weight.shape[2:]))

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        y = correlate(
            x, self.weight.astype(np.float64), self.stride, self.padding, self.dilation, self.groups
        )
        return y if self.bias is None else y + self.bias[:, None, None]


@dataclass(frozen=True, eq=False)
class BatchNorm(RealOperation):
    """y = (x - mean) / sqrt(variance + eps) * weight + bias along axis 0 of a sample; all `[C]`."""

    linear: ClassVar[bool] = True
    mean: Array
    variance: Array
    weight: Array
    bias: Array
    eps: float = 1e-5

    def check(self) -> None:
        require(bool(np.all(self.variance + self.eps > 0)), self, "variance", "above -eps")

    def output_shape(self, shape: Shape) -> Shape:
        if not shape or shape[0] != len(self.mean):
            raise GraphError(f"BatchNorm takes {len(self.mean)} channels, but its input is {shape}")
        return shape

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        scale, shift = self.affine()
        rest = (1,) * (x.ndim - 2)
        return x * scale.reshape(-1, *rest) + shift.reshape(-1, *rest)

    def affine(self) -> tuple[Array, Array]:
        """The same map as y = scale * x + shift, both float64 `[C]`."""
        scale = self.weight.astype(np.float64) / np.sqrt(self.variance.astype(np.float64) + self.eps)
        return scale, self.bias - self.mean * scale


@dataclass(frozen=True, eq=False)
class Pool2d(RealOperation):
    """Windows of `kernel`, moved by `stride`, over an input padded by `padding`; incomplete windows drop."""

    kernel: Pair = (2, 2)
    stride: Pair = (2, 2)
    padding: Pair = (0, 0)
    dilation: ClassVar[Pair] = (1, 1)

    def check(self) -> None:
        require(min(self.kernel) >= 1, self, "kernel", "at least 1")
        require(min(self.stride) >= 1, self, "stride", "at least 1")
        small = all(2 * p <= k for p, k in zip(self.padding, self.kernel, strict=True))
        require(min(self.padding) >= 0 and small, self, "padding", "between 0 and half the kernel")

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            raise GraphError(f"{self.kind} takes (C, H, W), but its input is {shape}")
        return (shape[0], *conv_size(self, shape, self.kernel))


@dataclass(frozen=True, eq=False)
class SumPool2d(Pool2d):
    """The sum of each window."""

    linear: ClassVar[bool] = True

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        ones = np.ones((x.shape[1], 1, *self.kernel))
        return correlate(x, ones, self.stride, self.padding, (1, 1), x.shape[1])


@dataclass(frozen=True, eq=False)
class AvgPool2d(SumPool2d):
    """The sum of each window over kH * kW, padding counted (PyTorch's count_include_pad=True)."""

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        return super().step(x, state) / math.prod(self.kernel)


@dataclass(frozen=True, eq=False)
class MaxPool2d(Pool2d):
    """The largest value of each window; padding never wins."""

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        (ph, pw), (kh, kw) = self.padding, self.kernel
        padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (kh, kw), axis=(2, 3))
        return windows[:, :, :: self.stride[0], :: self.stride[1]].max(axis=(4, 5))


@dataclass(frozen=True, eq=False)
class Scale(RealOperation):
    """y = scale * x; `scale` broadcasts to the sample's shape."""

    linear: ClassVar[bool] = True
    scale: Array

    def output_shape(self, shape: Shape) -> Shape:
        return broadcast_checked(self, "scale", self.scale, shape)

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        return x * self.scale


@dataclass(frozen=True, eq=False)
class Threshold(RealOperation):
    """s = x > threshold, without a state; `threshold` broadcasts to the sample's shape."""

    spiking: ClassVar[bool] = True
    threshold: Array

    def output_shape(self, shape: Shape) -> Shape:
        return broadcast_checked(self, "threshold", self.threshold, shape)

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        return (x > self.threshold).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Lif(RealOperation):
    """The leaky integrate-and-fire neuron of the module's docstring.

    `beta` and `alpha` in [0, 1], `gain`, `threshold` and `bias` broadcast to the sample's shape; `reset`
    is one of RESETS. Without `alpha` there is no synaptic current. State `v`, and `i` with `alpha`,
    `[B, *shape]`, starts at 0.
    """

    spiking: ClassVar[bool] = True
    stateful: ClassVar[bool] = True
    beta: Array
    threshold: Array
    gain: Array
    reset: str = "zero"
    bias: Array | None = None
    alpha: Array | None = None

    def check(self) -> None:
        require(self.reset in RESETS, self, "reset", f"one of {', '.join(RESETS)}")
        require(_is_decay(self.beta), self, "beta", "in [0, 1]")
        require(self.alpha is None or _is_decay(self.alpha), self, "alpha", "in [0, 1]")
        require(bool(np.all(self.gain > 0) and np.all(np.isfinite(self.gain))), self, "gain", "positive")
        require(
            bool(np.all(np.isfinite(self.threshold)) and np.all(self.threshold >= 0)),
            self,
            "threshold",
            "finite and not negative",
        )

    def output_shape(self, shape: Shape) -> Shape:
        for name in ("beta", "threshold", "gain", "bias", "alpha"):
            if getattr(self, name) is not None:
                broadcast_checked(self, name, getattr(self, name), shape)
        return shape

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        v = state.get("v", np.zeros_like(x))
        above = (v > self.threshold).astype(np.float64)
        if self.reset == "zero_delayed":
            v = (1 - above) * v
        v = self.beta * v + _current(self, x, state)
        if self.bias is not None:
            v = v + self.bias
        if self.reset == "zero_next":
            v = (1 - above) * v
        if self.reset in ("subtract", "subtract_delayed"):
            v = v - above * self.threshold
        spikes = (v > self.threshold).astype(np.float64)
        if self.reset == "zero":
            v = (1 - spikes) * v
        elif self.reset == "subtract":
            v = v - (spikes - above) * self.threshold
        state["v"] = v
        return spikes


@dataclass(frozen=True, eq=False)
class Li(RealOperation):
    """The leaky integrator, a neuron without threshold: its output is the potential v.

        v <- beta v + gain I + bias,     or with a current  i <- alpha i + gain I,  v <- beta v + i + bias

    `beta` and `alpha` in [0, 1], `gain` and `bias` broadcast to the sample's shape. NIR's LI and CubaLI, as
    Lif is its LIF and CubaLIF; beta = 1 is NIR's I.
    """

    graded: ClassVar[bool] = True
    stateful: ClassVar[bool] = True
    beta: Array
    gain: Array
    alpha: Array | None = None
    bias: Array | None = None

    def check(self) -> None:
        require(_is_decay(self.beta), self, "beta", "in [0, 1]")
        require(self.alpha is None or _is_decay(self.alpha), self, "alpha", "in [0, 1]")
        require(bool(np.all(self.gain > 0) and np.all(np.isfinite(self.gain))), self, "gain", "positive")

    def output_shape(self, shape: Shape) -> Shape:
        for name in ("beta", "gain", "alpha", "bias"):
            if getattr(self, name) is not None:
                broadcast_checked(self, name, getattr(self, name), shape)
        return shape

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        v = self.beta * state.get("v", np.zeros_like(x)) + _current(self, x, state)
        state["v"] = v if self.bias is None else v + self.bias
        return state["v"]


ALPHA_RESETS = ("zero", "subtract", "none")


@dataclass(frozen=True, eq=False)
class Alpha(RealOperation):
    """snnTorch's `Alpha` neuron (1.0.0, `_neurons/alpha.py`): an excitatory and an inhibitory current.

        e' = alpha e + I,     h' = beta h - I,     v = tau (e' + h'),     s = v > threshold
        tau = ln(alpha) / (ln(beta) - ln(alpha)) + 1

    Where the last v was above threshold, the reset changes this step: `zero` clears e, h and v for the
    whole of it; `subtract` makes e = e' - threshold, h = 0 and v = tau (e' + h') + h (the old h); `none`
    changes nothing. `tau`, which float32 rounds in its own way, is a parameter. All broadcast to the
    sample's shape; state e, h, v `[B, *shape]` starts at 0.
    """

    spiking: ClassVar[bool] = True
    stateful: ClassVar[bool] = True
    alpha: Array
    beta: Array
    tau: Array
    threshold: Array
    reset: str = "zero"

    def check(self) -> None:
        require(self.reset in ALPHA_RESETS, self, "reset", f"one of {', '.join(ALPHA_RESETS)}")
        for name in ("alpha", "beta"):
            require(_is_decay(getattr(self, name)), self, name, "in [0, 1]")
        require(bool(np.all(np.isfinite(self.tau))), self, "tau", "finite")
        require(
            bool(np.all(np.isfinite(self.threshold)) and np.all(self.threshold >= 0)),
            self,
            "threshold",
            "finite and not negative",
        )

    def output_shape(self, shape: Shape) -> Shape:
        for name in ("alpha", "beta", "tau", "threshold"):
            broadcast_checked(self, name, getattr(self, name), shape)
        return shape

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        e, h, v = (state.get(name, np.zeros_like(x)) for name in ("e", "h", "v"))
        above = (v > self.threshold).astype(np.float64)
        old = h
        e, h = self.alpha * e + x, self.beta * h - x
        v = self.tau * (e + h)
        if self.reset == "zero":
            e, h, v = (1 - above) * e, (1 - above) * h, (1 - above) * v
        elif self.reset == "subtract":
            e, h, v = e - above * self.threshold, (1 - above) * h, v + above * old
        state.update(e=e, h=h, v=v)
        return (v > self.threshold).astype(np.float64)


def _current(op: Lif | Li, x: Array, state: dict[str, Array]) -> Array:
    """What this step adds to v, bias aside: gain * I, or what has become of i."""
    if op.alpha is None:
        return x * op.gain
    state["i"] = op.alpha * state.get("i", np.zeros_like(x)) + x * op.gain
    return state["i"]


def _is_decay(values: Array) -> bool:
    return bool(np.all((values >= 0) & (values <= 1)))


def _check_bias(op: Operation, bias: Array | None, size: int) -> None:
    require(bias is None or bias.shape == (size,), op, "bias", f"None or of shape ({size},)")
