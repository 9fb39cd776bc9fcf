"""Hypotheses about what the neurons of a layer do: their parameters and their arithmetic."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from avnir.ir.operation import Array
from avnir.ir.real import RESETS
from avnir.numerics import fixed
from avnir.verify.diagnosis.case import Case, Hypothesis, arithmetic, neurons_with
from avnir.verify.diagnosis.neuron import down, unbounded
from avnir.verify.diagnosis.site import Site, Wire, later

Change = tuple[str, Callable[[Array], Array]]
"""What is done to a parameter, in words and as a function."""

OFF_BY_ONE: tuple[Change, ...] = (
    ("1 higher", lambda values: values + 1),
    ("1 lower", lambda values: values - 1),
)
DOUBLED: tuple[Change, ...] = (("doubled", lambda values: values * 2), ("halved", lambda values: values // 2))
LIMITS: dict[str, tuple[int, int]] = {
    "decay_u": (fixed.CURRENT_DECAY.low, fixed.CURRENT_DECAY.high),
    "decay_v": (0, fixed.DECAY_ONE),
    "threshold": (fixed.THRESHOLD.low, fixed.THRESHOLD.high),
    "bias_mantissa": (fixed.BIAS_MANTISSA.low, fixed.BIAS_MANTISSA.high),
}
"""What a parameter of the integer neuron can hold."""


def resets(site: Site) -> Iterator[Case]:
    """Every other reset."""
    used = site.node.op.reset  # type: ignore[attr-defined]
    for reset in RESETS:
        if reset != used:
            yield Case(f"resets by {reset!r} in place of {used!r}", neurons_with(reset=reset))


def changed(parameter: str, *changes: Change) -> Callable[[Site], Iterator[Case]]:
    """Every one of the changes that keeps an integer parameter in its range and does something."""

    def cases(site: Site) -> Iterator[Case]:
        values = getattr(site.node.op, parameter).astype(np.int64)
        for words, change in changes:
            made = np.clip(change(values), *LIMITS[parameter]).astype(np.int32)
            if np.any(made != values):
                detail = f"{parameter} {words}: {span(made)} in place of {span(values)}"
                yield Case(detail, neurons_with(**{parameter: made}))

    return cases


def span(values: Array) -> str:
    """Its one value, or the range of its values."""
    low, high = (f"{edge.item():,}" for edge in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def bias_exponents(site: Site) -> Iterator[Case]:
    """The bias's exponent one off, or none."""
    op: Any = site.node.op
    for exponent in (op.bias_exponent + 1, op.bias_exponent - 1, 0):
        if fixed.BIAS_EXPONENT.holds(exponent) and exponent != op.bias_exponent and op.bias_mantissa.any():
            detail = f"bias exponent {exponent} in place of {op.bias_exponent}"
            yield Case(detail, neurons_with(bias_exponent=exponent))


def decays_exchanged(site: Site) -> Iterator[Case]:
    """The decays of current and potential exchanged, with the offset of one between them."""
    op: Any = site.node.op
    u, v = op.decay_v - 1, op.decay_u + 1
    if fixed.CURRENT_DECAY.holds(u) and np.any(u != op.decay_u):
        yield Case("decay_u and decay_v exchanged", neurons_with(decay_u=u, decay_v=v))


def ruled(detail: str, **changes: Any) -> Callable[[Site], Iterator[Case]]:
    """One other rule of arithmetic."""
    return lambda site: iter([Case(detail, arithmetic(**changes))])


def carried_over(site: Site) -> Iterator[Case]:
    """States that go on into the next sample; then spikes on their way in a loop do so too."""
    yield Case("states are not cleared between samples", arithmetic(carried=True), whole=True)
    if any(wire.lag > 0 for wire in site.wires):
        detail = "neither states nor spikes on their way are cleared between samples"
        yield Case(detail, lambda site: _in_a_row(site).ruled(carried=True).plain, whole=True)


def _in_a_row(site: Site) -> Site:
    """The same, but what a lag takes out of a sample's window arrives in the next one."""
    wires = (dataclasses.replace(wire, raw=_chained(wire), lag=0) for wire in site.wires)
    return dataclasses.replace(site, wires=tuple(wires))


def _chained(wire: Wire) -> Array:
    steps, batch = wire.raw.shape[:2]
    joined = wire.raw.swapaxes(0, 1).reshape(batch * steps, *wire.raw.shape[2:])
    moved = later(joined, wire.lag)
    return moved.reshape(batch, steps, *wire.raw.shape[2:]).swapaxes(0, 1)


def refractory(site: Site) -> Iterator[Case]:
    """A few steps of rest."""
    for steps in (1, 2, 3):
        yield Case(f"{steps} steps of rest after a spike", arithmetic(refractory=steps))


def overflows(site: Site) -> Iterator[Case]:
    """Other registers."""

    def saturated(values: Array) -> Array:
        return np.clip(values, -fixed.STATE_LIMIT + 1, fixed.STATE_LIMIT)

    yield Case("the current u saturates at 24 bits where ours wraps", arithmetic(current=saturated))
    yield Case("the current u has 32 bits, ours 24", arithmetic(current=unbounded))
    yield Case("the potential v wraps at 24 bits where ours saturates", arithmetic(potential=fixed.wrap24))
    yield Case("the potential v has 32 bits, ours 24", arithmetic(potential=unbounded))
    wide = arithmetic(current=unbounded, potential=unbounded)
    yield Case("u and v have 32 bits, ours 24", wide)


LIF = frozenset({"Lif"})
INTEGRATING = frozenset({"Lif", "Readout"})
INTEGER = frozenset({"integer"})

SIMPLE = (
    Hypothesis(
        "reset",
        "a spike does something else to the potential than in ours",
        "Set the reset of that side's neuron to ours, or export the model with that one.",
        resets,
        LIF,
    ),
    Hypothesis(
        "comparison",
        "a potential that is exactly the threshold spikes there, and not in ours",
        "Compare with > as snnTorch, NIR and Lava do, or lower the threshold here by one step of v.",
        ruled("spikes where v >= threshold, ours where v > threshold", reached=True),
        LIF,
    ),
    Hypothesis(
        "bias dropped",
        "the neurons get no bias",
        "Pass the bias on: a mantissa and its exponent for each neuron.",
        changed("bias_mantissa", ("left out", np.zeros_like)),
        INTEGRATING,
        INTEGER,
    ),
    Hypothesis(
        "bias changed",
        "the bias is another",
        "Check sign, and by whom the bias is shifted by its exponent: once, not twice and not never.",
        changed("bias_mantissa", ("negated", np.negative), DOUBLED[0], *OFF_BY_ONE),
        INTEGRATING,
        INTEGER,
    ),
    Hypothesis(
        "bias exponent",
        "the bias is shifted by another exponent",
        "Shift the mantissa by the exponent once.",
        bias_exponents,
        INTEGRATING,
        INTEGER,
    ),
    Hypothesis(
        "decay_v off by one",
        "the potential leaks by one 4096th more or less",
        "Loihi counts decay_u with an offset of one and decay_v without: check which one was added.",
        changed("decay_v", *OFF_BY_ONE),
        INTEGRATING,
        INTEGER,
    ),
    Hypothesis(
        "decay_u off by one",
        "the current decays by one 4096th more or less",
        "The chip adds one to decay_u itself: hand over the value without it.",
        changed("decay_u", *OFF_BY_ONE),
        INTEGRATING,
        INTEGER,
    ),
    Hypothesis(
        "no leak",
        "the potential does not leak",
        "Pass decay_v on.",
        changed("decay_v", ("0", np.zeros_like)),
        INTEGRATING,
        INTEGER,
    ),
    Hypothesis(
        "no memory",
        "the potential is forgotten in every step",
        "Pass decay_v on; 4096 forgets everything.",
        changed("decay_v", ("4096", lambda values: np.full_like(values, fixed.DECAY_ONE))),
        INTEGRATING,
        INTEGER,
    ),
    Hypothesis(
        "current kept",
        "the synaptic current lasts longer than in ours",
        "Set decay_u to 4095 where the model has no synaptic current.",
        changed("decay_u", ("0", np.zeros_like)),
        INTEGRATING,
        INTEGER,
    ),
    Hypothesis(
        "current not kept",
        "the synaptic current lasts one step only",
        "Pass decay_u on.",
        changed("decay_u", ("4095", lambda values: np.full_like(values, fixed.CURRENT_DECAY.high))),
        INTEGRATING,
        INTEGER,
    ),
    Hypothesis(
        "decays exchanged",
        "the decay of the current is the potential's, and the other way round",
        "Exchange decay_u and decay_v.",
        decays_exchanged,
        INTEGRATING,
        INTEGER,
    ),
    Hypothesis(
        "threshold off by one",
        "the threshold is one step off",
        "Check how the threshold was rounded; the chip compares with threshold << 6.",
        changed("threshold", *OFF_BY_ONE),
        LIF,
        INTEGER,
    ),
    Hypothesis(
        "threshold scaled",
        "the threshold has another scale",
        "Shift weights, bias and threshold by the same exponent.",
        changed("threshold", *DOUBLED),
        LIF,
        INTEGER,
    ),
    Hypothesis(
        "rounding of the leak",
        "decays round down, ours toward zero",
        "Round the magnitude, and then give it its sign.",
        ruled("decays round to minus infinity", decayed=down),
        INTEGRATING,
        INTEGER,
    ),
    Hypothesis(
        "order of the leak",
        "the potential leaks after the input was added, ours before",
        "Let the potential leak first, then add current and bias.",
        ruled("the leak takes from this step's input too", leak_last=True),
        INTEGRATING,
        INTEGER,
    ),
    Hypothesis(
        "no negative potential",
        "the potential never falls below 0",
        "Let the potential go negative: inhibition lasts.",
        ruled("v stops at 0", not_negative=True),
        INTEGRATING,
        INTEGER,
    ),
    Hypothesis(
        "refractory period",
        "a neuron rests after a spike",
        "Set the refractory delay to none.",
        refractory,
        LIF,
        INTEGER,
    ),
    Hypothesis(
        "overflow",
        "a register overflows otherwise, or is wider",
        "Use registers of 24 bits, of which the current wraps and the potential saturates.",
        overflows,
        INTEGRATING,
        INTEGER,
    ),
    Hypothesis(
        "state carried over",
        "a sample begins with the state that the one before it left",
        "Reset currents and potentials before each sample.",
        carried_over,
        INTEGRATING,
        INTEGER,
    ),
)
