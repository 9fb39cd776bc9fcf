"""How two runs of one network part, layer by layer and step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from avnir.trace import Trace
from avnir.verify.compare import LayerAgreement, compare
from avnir.verify.distance import DEFAULT_TAU, Shift, best_shift, van_rossum


@dataclass(frozen=True)
class LayerProfile:
    """How far one layer of two runs is apart.

    `distance` is van Rossum's, squared, one spike that one side lacks counting 1 (`avnir.verify.distance`);
    `shift` is the one that fits best; `growth[t]` counts the slots that differ in step t.
    """

    agreement: LayerAgreement
    distance: float
    shift: Shift
    growth: tuple[int, ...]

    @property
    def layer(self) -> str:
        return self.agreement.layer

    @property
    def equal(self) -> bool:
        """Whether every slot is equal."""
        return self.agreement.equal == self.agreement.slots

    @property
    def spikes_more(self) -> int:
        """Spikes that the second run has more than the first; below 0, fewer."""
        return self.agreement.second_spikes - self.agreement.first_spikes

    @property
    def only_shifted(self) -> bool:
        """Whether it is equal at another step, in all slots that both have."""
        return not self.equal and self.shift.steps != 0 and self.shift.exact

    def record(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "layer": self.layer,
            "slots": self.agreement.slots,
            "equal": self.agreement.equal,
            "agreement": self.agreement.agreement,
            "spikes": [self.agreement.first_spikes, self.agreement.second_spikes],
            "van_rossum": self.distance,
            "shift": {"steps": self.shift.steps, "agreement": self.shift.agreement},
            "growth": list(self.growth),
        }


def profiles(first: Trace, second: Trace, tau_steps: float = DEFAULT_TAU) -> tuple[LayerProfile, ...]:
    """Every layer that both have, in the first's order, of the last presentation of the window.

    Raises what `avnir.verify.compare.compare` raises.
    """
    one, other = (Trace(trace.spikes, {}) for trace in (first, second))
    found = compare(one, other, ("the first", "the second"))
    return tuple(_profile(layer, first, second, tau_steps) for layer in found.layers)


def _profile(layer: LayerAgreement, first: Trace, second: Trace, tau_steps: float) -> LayerProfile:
    a, b = first.spikes[layer.layer], second.spikes[layer.layer]
    unlike = (a != b).sum(axis=tuple(range(1, a.ndim)))
    if layer.equal == layer.slots:
        return LayerProfile(layer, 0.0, Shift(0, 1.0), tuple(map(int, unlike)))
    distance = van_rossum(a, b, tau_steps)
    return LayerProfile(layer, distance, best_shift(a, b), tuple(int(k) for k in np.atleast_1d(unlike)))
