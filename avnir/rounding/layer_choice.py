"""What is chosen for one layer where that is not the usual way: by `avnir why`, from the spikes it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from avnir.errors import DataError

LAYERS = "layers"
"""Its place in a program's provenance."""


@dataclass(frozen=True)
class LayerChoice:
    """`weight_bits` 2 to 8, None as the whole network; `threshold` and `decay` are added to the rounded ones.

    `threshold` counts steps of the mantissa, `decay` 4096ths that the potential loses in a step: with 1 it
    decays faster. DataError where a width is out of its range.
    """

    weight_bits: int | None = None
    threshold: int = 0
    decay: int = 0

    def __post_init__(self) -> None:
        if self.weight_bits is not None and not 2 <= self.weight_bits <= 8:
            raise DataError(f"weights of {self.weight_bits} bits were chosen for a layer; take 2 to 8")

    def record(self) -> dict[str, int]:
        """What is not as usual, as plain values."""
        return {name: value for name, value in asdict(self).items() if value}


Choices = Mapping[str, LayerChoice]
"""By layer; a layer that is not named is as usual."""


def choices_record(choices: Choices) -> dict[str, Any]:
    """For a program's provenance: empty where all is as usual."""
    made = {name: choice.record() for name, choice in sorted(choices.items()) if choice.record()}
    return {LAYERS: made} if made else {}


def check_choices(choices: Choices, layers: Sequence[str]) -> None:
    """Raise DataError with each choice that is for none of `layers`, those of neurons that spike."""
    if unknown := [name for name in choices if name not in layers]:
        raise DataError(f"no layers to choose for: {', '.join(unknown)}; there are {', '.join(layers)}")
