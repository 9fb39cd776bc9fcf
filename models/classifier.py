"""What `avnir.models.training` trains: a spiking network that names one class for a window of steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from avnir.decision import Decision
from avnir.ir.operation import Shape
from avnir.models.data.encoding import Coding


class Classifier(nn.Module, ABC):
    """A window of `steps` to a score for each class; the class with the highest is the answer."""

    inputs: tuple[str, ...]
    """Names of the inputs, in the order of `window`: `image`, `audio` or both."""
    steps: int
    time: Literal["step", "window"] = "window"
    """What one call of `forward` is: a step, with the state kept between calls, or a whole window."""
    coding: Coding = "rate"
    """How static pictures become steps; events are given by step."""
    label_smoothing: float = 0.0
    """Of the default `loss`: the share of a label's weight that is spread over all classes."""

    @property
    @abstractmethod
    def shapes(self) -> Mapping[str, Shape]:
        """The shape of each input, for one sample at one step."""

    @abstractmethod
    def window(self, *inputs: Tensor) -> Tensor:
        """Inputs [T, B, c, h, w], one each -> [T, B, classes] spikes or logits, from a fresh state."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What it is, as JSON values: a training checkpoint goes on with the same network only."""

    @property
    def decision(self) -> Decision:
        """How a host reads the class from what `forward` gives: as `scores` does."""
        return Decision()

    def scores(self, *inputs: Tensor) -> Tensor:
        """Inputs [T, B, c, h, w] -> [B, classes], of which the highest decides: the sum over the window."""
        return self.window(*inputs).sum(0)

    def loss(self, inputs: Sequence[Tensor], labels: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of a batch, a scalar, and its scores [B, classes]: cross-entropy of the scores."""
        scores = self.scores(*inputs)
        return cross_entropy(scores, labels, label_smoothing=self.label_smoothing), scores

    def before_step(self) -> None:
        """Called between the gradients and the optimiser's step, to change gradients."""

    def reset_state(self) -> None:
        """Let nothing of the last window remain; a network that keeps nothing has nothing to do."""
