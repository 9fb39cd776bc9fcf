"""The neuron of the audio-visual systems: over a window step by step, or at once and differentiable.

`snntorch.Leaky` with hard reset in the same step, m the potential that a step leaves behind:

    v_t = beta m_{t-1} + I_t,   s_t = v_t > threshold,   m_t = v_t - s_t v_t

`looped` calls the neuron T times: what is traced, exported and compared. `fused` gives the same spikes, bit
for bit, as one operation of autograd, whose gradient is that of the loop:

    dL/dv_t = g_t (1 - s_t) + (dL/ds_t - g_t v_t) s'(v_t - threshold),   g_t = beta dL/dv_{t+1}

with s' the neuron's own surrogate. Detached, g_t is zero: the gradient does not cross steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast
from weakref import WeakKeyDictionary

import snntorch as snn
import torch
from torch import Tensor

Fire = Callable[[snn.Leaky, Tensor], Tensor]
"""A neuron and its input current `[T, B, ...]` to spikes `[T, B, ...]`, from a fresh state."""
Surrogate = Callable[[Tensor], Tensor]


def leaky(
    beta: float = 0.5, threshold: float = 1.0, slope: float = 4.0, surrogate: Surrogate | None = None
) -> snn.Leaky:
    """A neuron with hard reset in the same step: what the chip, NIR and Lava do.

    `surrogate` by default `Sigmoid(slope)`.
    """
    return snn.Leaky(
        beta=beta,
        threshold=threshold,
        spike_grad=surrogate or Sigmoid(slope),
        init_hidden=True,
        reset_mechanism="zero",
        reset_delay=False,
    )


@dataclass(frozen=True)
class Sigmoid:
    """The step x > 0 with the derivative of `1 / (1 + exp(-slope x))` (Zenke, Ganguli, "SuperSpike", 2018).

    snnTorch's own computes it from exponentials, which for x below -88 / slope give inf / inf.
    """

    slope: float

    def __call__(self, x: Tensor) -> Tensor:
        return cast(Tensor, _Step.apply(x, self))  # type: ignore[no-untyped-call]

    def derivative(self, x: Tensor) -> Tensor:
        """At every value of x."""
        share = (self.slope * x).sigmoid_()
        return (1 - share).mul_(share).mul_(self.slope)


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, surrogate: Sigmoid) -> Tensor:
        ctx.save_for_backward(x)
        ctx.surrogate = surrogate
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.surrogate.derivative(ctx.saved_tensors[0]).mul_(gradient), None


def looped(neuron: snn.Leaky, current: Tensor, *, detach: bool = False) -> Tensor:
    """Current `[T, B, ...]` -> spikes `[T, B, ...]` by T calls of the neuron, from a fresh state."""
    neuron.reset_mem()
    spikes = []
    for step in current:
        spikes.append(neuron(step))
        if detach:
            neuron.mem = neuron.mem.detach()
    return torch.stack(spikes)


def fused(neuron: snn.Leaky, current: Tensor, *, detach: bool = False) -> Tensor:
    """The spikes of `looped`, float32, and its gradient, in one operation; the neuron keeps no state.

    A neuron of other settings than `leaky` gives, or with learned ones, is looped. Under autocast it
    computes in float32.
    """
    if not _is_plain(neuron):
        return looped(neuron, current, detach=detach)
    beta, threshold = neuron.beta.clamp(0, 1), neuron.threshold
    made = _Window.apply(current.float(), beta, threshold, neuron.spike_grad, detach)  # type: ignore[no-untyped-call]
    return cast(Tensor, made)


def _is_plain(neuron: snn.Leaky) -> bool:
    """Whether the equations above are the neuron's; nothing fires at rest, nothing is learned."""
    return (
        neuron.reset_mechanism == "zero"
        and not (neuron.reset_delay or neuron.inhibition or neuron.state_quant or neuron.output)
        and not (neuron.beta.requires_grad or neuron.threshold.requires_grad)
        and not neuron.graded_spikes_factor.requires_grad
        and _fits(neuron)
    )


_FITTING: WeakKeyDictionary[snn.Leaky, tuple[tuple[int, int], bool]] = WeakKeyDictionary()


def _fits(neuron: snn.Leaky) -> bool:
    """Whether no threshold is negative and a spike is 1; looked at once, as it waits for the device."""
    version = (neuron.threshold._version, neuron.graded_spikes_factor._version)
    known = _FITTING.get(neuron)
    if known is None or known[0] != version:
        good = bool((neuron.threshold >= 0).all()) and bool((neuron.graded_spikes_factor == 1).all())
        known = _FITTING[neuron] = (version, good)
    return known[1]


class _Window(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, current: Tensor, beta: Tensor, threshold: Tensor, surrogate: Surrogate, detach: bool
    ) -> Tensor:
        potentials, spikes = torch.empty_like(current), torch.empty_like(current)
        kept = torch.zeros_like(current[0])
        for now, arriving, fired in zip(potentials, current, spikes, strict=True):
            torch.mul(beta, kept, out=now).add_(arriving)
            torch.gt(now, threshold, out=fired)
            torch.mul(fired, now, out=kept)
            torch.sub(now, kept, out=kept)
        ctx.save_for_backward(potentials, spikes, beta, threshold)
        ctx.surrogate, ctx.detach = surrogate, detach
        return spikes

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        potentials, spikes, beta, threshold = ctx.saved_tensors
        made = _derivative(ctx.surrogate, potentials - threshold)
        if ctx.detach:
            return made.mul_(gradient), None, None, None, None
        later, product = torch.zeros_like(potentials[0]), torch.empty_like(potentials[0])
        for t in reversed(range(len(made))):
            torch.mul(later, potentials[t], out=product)
            made[t].mul_(torch.sub(gradient[t], product, out=product))
            made[t].add_(later.addcmul_(later, spikes[t], value=-1))
            torch.mul(made[t], beta, out=later)
        return made, None, None, None, None


def _derivative(surrogate: Surrogate, x: Tensor) -> Tensor:
    """A fresh tensor; of another surrogate than `Sigmoid` what its gradient says."""
    if isinstance(surrogate, Sigmoid):
        return surrogate.derivative(x)
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(surrogate(x).sum(), x)
    return slope
