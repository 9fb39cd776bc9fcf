"""One layer of neurons over a whole window, by the definition or with one thing done otherwise.

`course` runs any layer; what a simulator or a chip may do otherwise and the operation has no parameter for is
a `Rule`. With the plain Rule everything is what the operation's own `step` gives (`avnir.ir.integer`,
`avnir.ir.integer_graded`, `avnir.ir.real`), which a test holds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import singledispatch

import numpy as np

from avnir.ir import integer, real
from avnir.ir.integer_graded import Readout
from avnir.ir.operation import Array, Operation
from avnir.numerics import fixed


def down(values: Array, shift: int) -> Array:
    """`values >> shift`, rounded to minus infinity, as a plain shift register does."""
    return values >> shift


def unbounded(values: Array) -> Array:
    """The value itself: a register wide enough."""
    return values


@dataclass(frozen=True)
class Rule:
    """How the arithmetic of a layer is done; the defaults are the chip's.

    `reached`: a potential equal to the threshold spikes. `current`, `potential`: what a register of 24 bits
    does to u and v. `decayed`: how a decay rounds. `leak_last`: the leak takes from this step's input too.
    `not_negative`: v stops at 0. `refractory`: steps after a spike in which v stays 0. `carried`: a sample
    begins with the state that the one before it in the batch left.
    """

    reached: bool = False
    current: Callable[[Array], Array] = fixed.wrap_current
    potential: Callable[[Array], Array] = fixed.clip_potential
    decayed: Callable[[Array, int], Array] = fixed.toward_zero
    leak_last: bool = False
    not_negative: bool = False
    refractory: int = 0
    carried: bool = False


PLAIN = Rule()
LATE = ("zero_delayed", "zero_next", "subtract", "subtract_delayed")
"""Resets that look at whether the potential of the step before was above threshold."""


@dataclass(frozen=True)
class Course:
    """What a layer did, `[T, B, *shape]`: what it sent, its registers after each step.

    `decided` is the potential that was compared with the threshold, before a reset; None where there is none.
    """

    sent: Array
    registers: Mapping[str, Array]
    decided: Array | None = None


@dataclass(frozen=True)
class Cell:
    """The parameters of a Lif or a Readout as int64 arrays that broadcast to what arrives in a step.

    `threshold` and `bias` are at the scale of v: shifted. If not `spiking`, the potential is sent.
    """

    decay_u: Array
    decay_v: Array
    bias: Array
    threshold: Array = field(default_factory=lambda: np.zeros((), np.int64))
    reset: str = "none"
    spiking: bool = True

    @classmethod
    def of(cls, op: integer.Lif | Readout) -> Cell:
        """Those of a layer."""
        wide = {n: getattr(op, n).astype(np.int64) for n in ("decay_u", "decay_v", "bias_mantissa")}
        bias = wide.pop("bias_mantissa") << op.bias_exponent
        if isinstance(op, Readout):
            return cls(**wide, bias=bias, spiking=False)
        return cls(**wide, bias=bias, threshold=op.threshold.astype(np.int64) << fixed.ALIGN, reset=op.reset)

    def of_neuron(self, shape: tuple[int, ...], neuron: tuple[int, ...]) -> Cell:
        """Those of one neuron of a layer of `shape`, 0-d."""
        arrays = {n: v for n, v in vars(self).items() if isinstance(v, np.ndarray)}
        return dataclasses.replace(self, **{n: np.broadcast_to(v, shape)[neuron] for n, v in arrays.items()})


def integrate(cell: Cell, arriving: Array, rule: Rule = PLAIN) -> Course:
    """The integer neuron over `arriving`, int64 `[T, ...]`, from state 0."""
    u, v, rest = (np.zeros(arriving.shape[1:], np.int64) for _ in range(3))
    kept: list[tuple[Array, Array, Array, Array]] = []
    for a in arriving:
        before = _above(cell, v, rule) if cell.reset in LATE else np.zeros_like(v)
        left = rule.decayed(u * (fixed.DECAY_ONE - (cell.decay_u + 1)), fixed.DECAY_BITS)
        u = rule.current(fixed.wrap32(left + (a << fixed.ALIGN)))
        v = _grown(cell, u, (1 - before) * v if cell.reset == "zero_delayed" else v, rule)
        if cell.reset == "zero_next":
            v = (1 - before) * v
        if cell.reset in ("subtract", "subtract_delayed"):
            v = v - before * cell.threshold
        v = rule.potential(fixed.wrap32(v))
        v = np.maximum(v, 0) if rule.not_negative else v
        v = np.where(rest > 0, 0, v) if rule.refractory else v
        decided, sent = v, _above(cell, v, rule)
        rest = np.where(sent > 0, rule.refractory, np.maximum(rest - 1, 0)) if rule.refractory else rest
        if cell.reset == "zero":
            v = (1 - sent) * v
        elif cell.reset == "subtract":
            v = rule.potential(v - (sent - before) * cell.threshold)
        kept.append((sent, u, v, decided))
    sent, u, v, decided = (np.stack(each) for each in zip(*kept, strict=True))
    if not cell.spiking:
        return Course(v, {"u": u, "v": v})
    return Course(sent, {"u": u, "v": v}, decided)


def _above(cell: Cell, v: Array, rule: Rule) -> Array:
    if not cell.spiking:
        return np.zeros_like(v)
    return (v > cell.threshold - rule.reached).astype(np.int64)


def _grown(cell: Cell, u: Array, v: Array, rule: Rule) -> Array:
    """The potential after leak and input, before any reset."""
    kept = fixed.DECAY_ONE - cell.decay_v
    if rule.leak_last:
        return rule.decayed((v + u + cell.bias) * kept, fixed.DECAY_BITS)
    return rule.decayed(v * kept, fixed.DECAY_BITS) + u + cell.bias


@singledispatch
def course(op: Operation, arriving: Array, rule: Rule = PLAIN) -> Course:
    """A layer over one window: `arriving` `[T, B, *shape]`, of several ports `[T, ports, B, *shape]`.

    A layer that is known only after a rehearsal is shown the same window twice. Layers without a rule of
    their own follow their definition whatever the rule says.
    """
    state: dict[str, Array] = {}
    for _ in range(2 if op.rehearsed else 1):
        op.begin(state)
        found = [_stepped(op, x, state) for x in arriving]
    return Course(np.stack([sent for sent, _ in found]), _columns([kept for _, kept in found]))


def _stepped(op: Operation, x: Array, state: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    sent = op.step(x, state)  # type: ignore[attr-defined]
    return sent, dict(state)


def _columns(rows: list[dict[str, Array]]) -> dict[str, Array]:
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


@course.register(integer.Lif)
@course.register(Readout)
def _(op: integer.Lif | Readout, arriving: Array, rule: Rule = PLAIN) -> Course:
    if not rule.carried:
        return integrate(Cell.of(op), arriving, rule)
    steps, batch = arriving.shape[:2]
    in_a_row = arriving.swapaxes(0, 1).reshape(batch * steps, 1, *arriving.shape[2:])
    found = integrate(Cell.of(op), in_a_row, rule)

    def apart(array: Array) -> Array:
        return array.reshape(batch, steps, *array.shape[2:]).swapaxes(0, 1)

    decided = None if found.decided is None else apart(found.decided)
    return Course(apart(found.sent), {name: apart(a) for name, a in found.registers.items()}, decided)


@course.register
def _(op: real.Lif, arriving: Array, rule: Rule = PLAIN) -> Course:
    """With `reached`, the threshold is the next smaller float64."""
    late = {"zero": "none", "subtract": "subtract_delayed"}
    threshold = np.nextafter(op.threshold, -np.inf) if rule.reached else op.threshold
    used = op.replace(threshold=np.maximum(threshold, 0))
    probe = used.replace(reset=late.get(op.reset, op.reset))
    state: dict[str, Array] = {}
    kept: list[tuple[Array, Array, Array]] = []
    for x in arriving:
        before = dict(state)
        probe.step(x, before)
        kept.append((used.step(x, state), state["v"], before["v"]))
    sent, v, decided = (np.stack(each) for each in zip(*kept, strict=True))
    return Course(sent, {"v": v}, decided)
