"""The chip's neuron inside PyTorch: exact integers forwards, a surrogate gradient backwards.

Forwards is `avnir.ir.integer.Lif.step`, in int64, over a window. Backwards, with v' the potential that is
compared with the threshold theta, x = (v' - theta) / theta, and s = v' > theta:

    ds/dv' = 1 / (theta (1 + (pi x)^2))

the arctangent surrogate (Fang et al., "Incorporating learnable membrane time constant to enhance learning of
spiking neural networks", ICCV 2021) with snnTorch's default width, where a threshold is 1 unit. What rounds,
wraps or clips counts as the identity. A reset in the same step passes the gradient on through s; one that
looks back at the step before does not, as in snnTorch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avnir.hardware.cpu.compiled import compiled
from avnir.ir import integer
from avnir.ir.operation import Array
from avnir.ir.real import RESETS
from avnir.numerics import fixed

ZERO, SUBTRACT, ZERO_DELAYED, SUBTRACT_DELAYED, ZERO_NEXT = map(
    RESETS.index, ("zero", "subtract", "zero_delayed", "subtract_delayed", "zero_next")
)
LIMIT = fixed.STATE_LIMIT
HALF, FULL = 1 << 31, 1 << 32
"""Of the 32-bit register in which sums are made."""
ONE, ALIGN = fixed.DECAY_ONE, 1 << fixed.ALIGN


@dataclass(frozen=True)
class Neurons:
    """The constants of `n` neurons, int64 `[n]`.

    4096ths of current and potential that a step keeps, and the threshold on the potential's scale; `width`,
    float64 `[n]`, is what counts as 1 for the surrogate.
    """

    keep_u: Array
    keep_v: Array
    theta: Array
    width: Array
    reset: int

    @classmethod
    def of(cls, op: integer.Lif) -> Neurons:
        """The neurons of an operation, in row-major order. A threshold of 0 has the scale as its width."""

        def flat(values: Array, dtype: type[np.generic]) -> Array:
            return np.broadcast_to(values, op.shape).reshape(-1).astype(dtype)

        width = np.where(op.threshold > 0, op.threshold, op.scale) * ALIGN
        return cls(
            fixed.CURRENT_DECAY.high - flat(op.decay_u, np.int64),
            ONE - flat(op.decay_v, np.int64),
            flat(op.threshold, np.int64) << fixed.ALIGN,
            flat(width, np.float64),
            RESETS.index(op.reset),
        )


def window(
    current: Tensor, bias: Tensor, state: tuple[Tensor, Tensor], neurons: Neurons
) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes float32 `[T, B, n]` and the registers u and v, float64 `[B, n]`, after the last step.

    `current`, the summed input `[T, B, n]`, `bias` `[n]` on the potential's scale, and the registers before
    the first step hold whole numbers.
    """
    spikes, u, v = _Window.apply(current, bias, *state, neurons)  # type: ignore[no-untyped-call]
    return spikes, u, v


class _Window(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, current: Tensor, bias: Tensor, u: Tensor, v: Tensor, neurons: Neurons
    ) -> tuple[Tensor, Tensor, Tensor]:
        a = current.detach().contiguous().numpy()
        decided, above = np.empty(a.shape, np.int32), np.empty(a.shape, np.uint8)
        spikes = np.empty(a.shape, np.float32)
        last_u, last_v = u.detach().numpy().astype(np.int64), v.detach().numpy().astype(np.int64)
        whole_bias = bias.detach().numpy().astype(np.int64)
        n = neurons
        _forward(a, whole_bias, last_u, last_v, n.keep_u, n.keep_v, n.theta, n.reset, decided, above, spikes)
        ctx.seen, ctx.neurons, ctx.dtypes = (decided, above), neurons, (current.dtype, bias.dtype)
        ends = (torch.from_numpy(last.astype(np.float64)) for last in (last_u, last_v))
        return torch.from_numpy(spikes), *ends  # type: ignore[return-value]

    @staticmethod
    def backward(
        ctx: Any, spikes: Tensor, u: Tensor, v: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        (decided, above), n = ctx.seen, ctx.neurons
        first_u, first_v = u.numpy().copy(), v.numpy().copy()
        current, bias = np.empty(decided.shape, np.float32), np.zeros(decided.shape[2])
        _backward(
            spikes.contiguous().numpy(), first_u, first_v, decided, above,
            n.keep_u, n.keep_v, n.theta, n.width, n.reset, current, bias,
        )  # fmt: skip
        return (
            torch.from_numpy(current).to(ctx.dtypes[0]),
            torch.from_numpy(bias).to(ctx.dtypes[1]),
            torch.from_numpy(first_u),
            torch.from_numpy(first_v),
            None,
        )


@compiled
def _forward(
    a: Array,
    bias: Array,
    u: Array,
    v: Array,
    keep_u: Array,
    keep_v: Array,
    theta: Array,
    reset: int,
    decided: Array,
    above: Array,
    spikes: Array,
) -> None:
    """Step u and v, int64 `[B, n]`, through the window; fill the last three, all `[T, B, n]`.

    `decided` is the potential that was compared, `above` whether the one before the step was above.
    """
    steps, batch, count = a.shape
    for t in range(steps):
        for b in range(batch):
            for i in range(count):
                kept = u[b, i] * keep_u[i]
                kept = kept >> 12 if kept >= 0 else -(-kept >> 12)
                new_u = (kept + (np.int64(a[t, b, i]) << 6) + HALF) % FULL - HALF
                if new_u > LIMIT:
                    new_u -= 2 * LIMIT
                elif new_u <= -LIMIT:
                    new_u += 2 * LIMIT
                old = v[b, i]
                was_above = old > theta[i]
                if reset == ZERO_DELAYED and was_above:
                    old = 0
                kept = old * keep_v[i]
                kept = kept >> 12 if kept >= 0 else -(-kept >> 12)
                new = kept + new_u + bias[i]
                if reset == ZERO_NEXT and was_above:
                    new = 0
                if reset in (SUBTRACT, SUBTRACT_DELAYED) and was_above:
                    new -= theta[i]
                new = (new + HALF) % FULL - HALF
                new = min(max(new, -LIMIT + 1), LIMIT - 1)
                fires = new > theta[i]
                decided[t, b, i] = new
                above[t, b, i] = was_above
                spikes[t, b, i] = fires
                if reset == ZERO and fires:
                    new = 0
                elif reset == SUBTRACT:
                    new -= (np.int64(fires) - np.int64(was_above)) * theta[i]
                    new = min(max(new, -LIMIT + 1), LIMIT - 1)
                u[b, i] = new_u
                v[b, i] = new


@compiled
def _backward(
    spikes: Array,
    u: Array,
    v: Array,
    decided: Array,
    above: Array,
    keep_u: Array,
    keep_v: Array,
    theta: Array,
    width: Array,
    reset: int,
    current: Array,
    bias: Array,
) -> None:
    """Carry the gradients of u and v, float64 `[B, n]`, back to the window's start.

    Those of `current` `[T, B, n]` and `bias` `[n]` are filled from that of `spikes` `[T, B, n]`.
    """
    steps, batch, count = decided.shape
    for t in range(steps - 1, -1, -1):
        for b in range(batch):
            for i in range(count):
                fires = decided[t, b, i] > theta[i]
                x = math.pi * (decided[t, b, i] - theta[i]) / width[i]
                slope = 1.0 / (width[i] * (1.0 + x * x))
                after = v[b, i]
                if reset == ZERO:
                    after *= (0.0 if fires else 1.0) - decided[t, b, i] * slope
                elif reset == SUBTRACT:
                    after *= 1.0 - theta[i] * slope
                made = spikes[t, b, i] * slope + after
                if reset == ZERO_NEXT and above[t, b, i]:
                    made = 0.0
                bias[i] += made
                into_u = made + u[b, i]
                current[t, b, i] = into_u * 64.0
                u[b, i] = into_u * keep_u[i] / 4096.0
                before = made * keep_v[i] / 4096.0
                v[b, i] = 0.0 if reset == ZERO_DELAYED and above[t, b, i] else before
