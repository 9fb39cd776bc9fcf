"""How many cores a placement takes, in words and as plain values."""

from __future__ import annotations

from typing import Any

from avnir.place.placement import Placement


def cores_text(placement: Placement) -> str:
    """For example `6 of 120 cores`, or `130 of 2 x 120 cores`."""
    there = f"{placement.chips} x " if placement.chips > 1 else ""
    return f"{placement.cores} of {there}{placement.cores_per_chip} cores"


def cores_record(placement: Placement) -> dict[str, Any]:
    """The sums of a placement, for JSON."""
    return {
        "cores": placement.cores,
        "chips": placement.chips,
        "cores_per_chip": placement.cores_per_chip,
        "neurons": placement.neurons,
        "synaptic_words": placement.synaptic_words,
    }
