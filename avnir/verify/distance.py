"""How far two spike trains are apart: van Rossum's distance, and the shift in time that fits best.

Each spike starts a trace that decays by lambda = exp(-1 / tau) a step, and D^2 is the square of the
difference of both traces, summed over time:

    h <- lambda h + (a - b),     D^2 = (1 - lambda^2) sum_t h_t^2

The sum runs on behind the window, where h only decays: a geometric series, added in closed form. So a spike
that only one side has counts 1 wherever it stands, the same spike one step later counts 2 (1 - lambda), and
no spike counts for nothing. Two spikes close together in one train alone count more than 2: they overlap.

Source: van Rossum, "A novel spike distance", Neural Computation 13(4), 2001, section 2, in steps of
time and with twice his factor, by which a single spike counts 1/2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avnir.ir.operation import Array

DEFAULT_TAU = 4.0
"""Steps. The smaller, the more coincidence counts; the larger, the more only the number of spikes."""
MAX_SHIFT = 4
"""Steps by which one side is moved against the other, both ways."""


def van_rossum(first: Array, second: Array, tau_steps: float = DEFAULT_TAU) -> float:
    """D^2 of two layers' trains `[T, B, *shape]`, summed over all neurons and samples; tau in steps, above 0.

    Of graded messages it is the same with the messages as heights.
    """
    decay = float(np.exp(-1.0 / tau_steps))
    trace, total = np.zeros(first.shape[1:]), 0.0
    for a, b in zip(first, second, strict=True):
        trace = decay * trace + (a.astype(np.float64) - b)
        total += float(np.sum(trace**2))
    tail = float(np.sum(trace**2)) * decay**2  # all later steps, times (1 - decay^2)
    return (1 - decay**2) * total + tail


@dataclass(frozen=True)
class Shift:
    """`steps` by which the second train comes later than the first, and the share of equal slots then.

    Only the steps that both have are compared, of T steps T - |steps|.
    """

    steps: int
    agreement: float

    @property
    def exact(self) -> bool:
        """Whether all slots that both have are equal."""
        return self.agreement == 1.0


def best_shift(first: Array, second: Array) -> Shift:
    """The shift with the most equal slots, up to MAX_SHIFT steps; of equals the smallest.

    Fewer steps are compared after a shift, so that it may fit by chance: it counts only if less than half of
    the share differs that differs without it, and more than silence is left on both sides.
    """
    reach = min(MAX_SHIFT, len(first) - 1)
    unshifted = Shift(0, float(np.mean(first == second)))
    found = [unshifted]
    for steps in sorted(range(-reach, reach + 1), key=lambda k: (abs(k), -k)):
        a, b = overlapping(first, second, steps)
        if steps and (np.any(a) or np.any(b)):
            found.append(Shift(steps, float(np.mean(a == b))))
    best = max(found, key=lambda shift: shift.agreement)
    return best if 1 - best.agreement < (1 - unshifted.agreement) / 2 else unshifted


def overlapping(first: Array, second: Array, steps: int) -> tuple[Array, Array]:
    """What both have once the second, `steps` later (earlier below 0), is moved back onto the first."""
    count = len(first) - abs(steps)
    early, late = max(-steps, 0), max(steps, 0)
    return first[early : early + count], second[late : late + count]
