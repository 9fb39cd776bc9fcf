"""What `avnir.models.training` trains: a spiking network that names one class for a window of spikes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from avnir.ir.operation import Shape


class Classifier(nn.Module, ABC):
    """Spikes over a window of `steps` to output spikes; the class with the most of them is the answer."""

    inputs: tuple[str, ...]
    """Names of the inputs, in the order of `window`: `image`, `audio` or both."""
    steps: int

    @property
    @abstractmethod
    def shapes(self) -> Mapping[str, Shape]:
        """The shape of each input, for one sample at one step."""

    @abstractmethod
    def window(self, *inputs: Tensor) -> Tensor:
        """Inputs [T, B, c, h, w], one each -> output spikes [T, B, classes], from a fresh state."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What it is, as JSON values: a training checkpoint goes on with the same network only."""

    def reset_state(self) -> None:
        """Let nothing of the last window remain; a network that keeps nothing has nothing to do."""
