"""What neurons of every kind send, as tensors: the equations of `avnir.ir.integer*`, explained there.

A step function takes what arrives at each port, int32 `[S, B, *shape]`, and the layer's registers, int32
`[B, *shape]` each, which it brings from before these S steps to after them. It gives spikes, uint8, or
messages, int32, `[S, B, *shape]`. A cast from int64 to int32 keeps the lower 32 bits, as the chip's words do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from avnir.ir.integer import Lif
from avnir.ir.integer_delta import Delta, SigmaDelta
from avnir.ir.integer_graded import InverseRoot, Product, Readout, Relay
from avnir.ir.integer_window import WindowSum
from avnir.ir.inverse_root import ESTIMATES, FRACTION_BITS, ITERATIONS, LARGEST
from avnir.ir.operation import Array
from avnir.numerics import fixed

Registers = dict[str, Any]
Step = Callable[..., Tensor]
LIMIT = fixed.STATE_LIMIT


def _lif(op: Lif, device: str) -> Step:
    current, leaked = _current(op, device), _leaked(op, device)
    theta = (_constant(op.threshold, device) << fixed.ALIGN).int()

    def step(a: Tensor, held: Registers) -> Tensor:
        above = held["v"] > theta
        held["u"] = current(held["u"], a)
        v = leaked(held["v"].masked_fill(above, 0) if op.reset == "zero_delayed" else held["v"])
        v += held["u"]
        if op.reset == "zero_next":
            v.masked_fill_(above, 0)
        elif op.reset in ("subtract", "subtract_delayed"):
            v -= above * theta
        v = _clipped(v.int())
        spikes = v > theta
        if op.reset == "zero":
            v.masked_fill_(spikes, 0)
        elif op.reset == "subtract":
            v = _clipped(v - (spikes.int() - above.int()) * theta)
        held["v"] = v
        return spikes.byte()

    return _each(step)


def _readout(op: Readout, device: str) -> Step:
    current, leaked = _current(op, device), _leaked(op, device)

    def step(a: Tensor, held: Registers) -> Tensor:
        held["u"] = current(held["u"], a)
        held["v"] = _clipped((leaked(held["v"]) + held["u"]).int())
        return torch.as_tensor(held["v"])

    return _each(step)


def _current(op: Lif | Readout, device: str) -> Callable[[Tensor, Tensor], Tensor]:
    """u after a step in which `a` arrives."""
    keep = fixed.DECAY_ONE - 1 - _constant(op.decay_u, device)

    def current(u: Tensor, a: Tensor) -> Tensor:
        wide = _decayed(u, keep).add_(a, alpha=1 << fixed.ALIGN).int()
        return wide - ((wide > LIMIT).int() - (wide <= -LIMIT).int()) * (2 * LIMIT)

    return current


def _leaked(op: Lif | Readout, device: str) -> Callable[[Tensor], Tensor]:
    """What is left of v, and the bias, int64. (`zero_next` sets to 0 what includes the bias.)"""
    keep = fixed.DECAY_ONE - _constant(op.decay_v, device)
    bias = _constant(op.bias_mantissa, device) << op.bias_exponent
    return lambda v: _decayed(v, keep).add_(bias)


def _decayed(register: Tensor, keep: Tensor) -> Tensor:
    """register * keep / 2^12, rounded toward zero, int64."""
    return (register.long() * keep).div_(fixed.DECAY_ONE, rounding_mode="trunc")


def _clipped(v: Tensor) -> Tensor:
    return v.clamp_(-LIMIT + 1, LIMIT - 1)


def _relay(op: Relay, device: str) -> Step:
    def relay(x: Tensor, held: Registers) -> Tensor:
        return x * ((x if op.positive else _size(x)) > op.threshold)

    return relay


def _product(op: Product, device: str) -> Step:
    def product(first: Tensor, second: Tensor, held: Registers) -> Tensor:
        found = (first.long() * second).int() >> op.exponent
        return found * (_size(found) > op.threshold)

    return product


def _inverse_root(op: InverseRoot, device: str) -> Step:
    estimates = _constant(ESTIMATES, device)

    def inverse_root(x: Tensor, held: Registers) -> Tensor:
        b = x.long().clamp_(0, LARGEST)
        estimate = estimates[(torch.frexp(b.double())[1] - 1).clamp_(min=0)]
        root, shift = estimate // 2, FRACTION_BITS + 1
        for _ in range(ITERATIONS):
            b = (b * estimate >> shift) * estimate >> shift
            estimate = (3 << FRACTION_BITS) - b
            root = root * estimate >> shift
        return root.masked_fill_(x <= 0, 0).int()

    return inverse_root


def _window_sum(op: WindowSum, device: str) -> Step:
    def window_sum(x: Tensor, held: Registers) -> Tensor:
        sums = _running(held["sum"], x)
        held["sum"] = sums[-1]
        return sums if op.running else held["held"].expand_as(x)

    return window_sum


def _delta(op: Delta, device: str) -> Step:
    step = _each(_changed(op))
    return lambda x, held: step((x.long() << op.shift).int(), held)


def _sigma_delta(op: SigmaDelta, device: str) -> Step:
    step, bias = _each(_changed(op)), _constant(op.bias, device) << op.shift

    def sigma_delta(x: Tensor, held: Registers) -> Tensor:
        sigma = _running(held["sigma"], x)
        held["sigma"] = sigma[-1]
        activation = (sigma.long() + bias).int()
        return step(activation.clamp_(min=0) if op.rectify else activation, held)

    return sigma_delta


def _changed(op: Delta) -> Step:
    """What one step sends of an activation."""

    def step(activation: Tensor, held: Registers) -> Tensor:
        change = (activation.long() - held["act"] + held["residue"]).int()
        error = (held["error"].long() + change).int() if op.cumulative else held["error"]
        sends = _size(error if op.cumulative else change) >= op.threshold << op.shift
        sent = change * sends
        held["act"], held["residue"] = activation, change * ~sends
        held["error"] = error.masked_fill(_size(sent) > 0, 0)
        return sent >> op.state_exponent

    return step


def _each(step: Step) -> Step:
    """A function of one step, for several in a row."""
    return lambda x, held: torch.stack([step(a, held) for a in x])


def _running(start: Tensor, x: Tensor) -> Tensor:
    """The sum after each step."""
    return (x.cumsum(0, dtype=torch.int64) + start).int()


def _size(x: Tensor) -> Tensor:
    """|x| in 32 bits, where that of -2^31 is -2^31."""
    return x.long().abs_().int()


def _constant(values: Array, device: str) -> Tensor:
    """A parameter of a layer, int64, 0-d or `shape`."""
    return torch.tensor(values).long().to(device)


STEPS: Mapping[str, Callable[[Any, str], Step]] = {
    "Lif": _lif,
    "Relay": _relay,
    "Product": _product,
    "InverseRoot": _inverse_root,
    "Readout": _readout,
    "WindowSum": _window_sum,
    "Delta": _delta,
    "SigmaDelta": _sigma_delta,
}
"""By the kind of neurons, how they are laid out on a device."""


def summed(values: Iterable[Tensor]) -> Tensor:
    """The sum of what several nodes give, int64; a single one as it is."""
    first, *others = values
    return sum((other.long() for other in others), first.long()) if others else first
