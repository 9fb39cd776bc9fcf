"""The layers of `avnir.models.l2act`: encoders of one modality, the L2 layer, and what fuses.

All sizes are [recon]: arXiv 2502.10423 has no public code.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from avnir.models.blocks import ConvUnit, MakeNeuron, ResNetTrunk, VectorStem, per_step
from avnir.models.configuration import Shape3
from avnir.models.neuron import Fire

EPSILON = 1e-3
"""Under the root as its square, so that the norm of no spikes at all has a gradient."""
MOMENTUM = 0.1
"""Of the training mean of the norm, as that of batch normalisation in PyTorch."""


class L2Layer(nn.Module):
    """Embeddings `[T, B, D]` -> `z = scale f / ||f||`, zero where there was no spike.

    - `rate`: f is the mean over the window, and z the same in each step. The source's form.
    - `step`: f is the binary embedding of each step; its norm is the root of its number of spikes.
    - `static`: the embedding of each step over ONE norm, the mean of that of `rate` over a batch while
      training, and its running mean, a constant, afterwards.
    - `none`: the embedding itself.
    """

    factor: Tensor
    """`scale` over the running mean of the norm: one number, so that a deployed network only multiplies."""

    def __init__(self, mode: str, scale: float) -> None:
        super().__init__()
        self.mode, self.scale = mode, scale
        self.register_buffer("factor", torch.tensor(scale))

    def forward(self, embedding: Tensor) -> Tensor:
        if self.training:
            self._observe(embedding.detach())
        return {"rate": self._rate, "step": self._step, "static": self._static}[self.mode](embedding)

    @property
    def mean_norm(self) -> float:
        """The running mean of the norm."""
        return self.scale / float(self.factor)

    def _rate(self, embedding: Tensor) -> Tensor:
        rates = embedding.mean(0, keepdim=True)
        inverse = torch.rsqrt(rates.square().sum(-1, keepdim=True) + EPSILON**2)
        return (self.scale * rates * inverse).expand_as(embedding)

    def _step(self, spikes: Tensor) -> Tensor:
        return self.scale * spikes * torch.rsqrt(spikes.sum(-1, keepdim=True) + EPSILON**2)

    def _static(self, embedding: Tensor) -> Tensor:
        if self.training:
            return embedding * (self.scale / _mean_norm(embedding.detach()))
        return embedding * self.factor

    def _observe(self, embedding: Tensor) -> None:
        norm = torch.lerp(self.scale / self.factor, _mean_norm(embedding), MOMENTUM)
        self.factor.copy_(self.scale / norm)


def _mean_norm(embedding: Tensor) -> Tensor:
    """Embeddings `[T, B, D]` -> the mean length of their means over the window, a scalar above zero."""
    return embedding.mean(0).norm(dim=-1).mean() + EPSILON


class ImageEncoder(nn.Module):
    """L2-ActSpikeNet before its L2 layer: `[T, B, inputs, H, W]` -> embedding `[T, B, size]`.

    A spiking ResNet18 whose first stage has `width` channels, and the mean over its last maps, 8 `width`
    values; or, where `spikes` says how many, a layer of neurons behind them.
    """

    def __init__(self, inputs: int, width: int, spikes: int | None, neuron: MakeNeuron) -> None:
        super().__init__()
        widths = [width * factor for factor in (1, 2, 4, 8)]
        self.trunk = ResNetTrunk(inputs, neuron, widths)
        self.size = spikes or widths[-1]
        self.embedding = ConvUnit(widths[-1], self.size, neuron, kernel=1) if spikes else None

    def forward(self, x: Tensor, fire: Fire) -> Tensor:
        pooled = self.trunk(x, fire).mean((-2, -1), keepdim=True)
        return (self.embedding(pooled, fire) if self.embedding else pooled).flatten(2)


class AudioEncoder(nn.Module):
    """Three convolutions, each with a 2x2 max-pool, and a layer: `[T, B, *shape]` -> spikes `[T, B, size]`.

    The convolutions have `width`, 2 `width` and 4 `width` channels.
    """

    def __init__(self, shape: Shape3, width: int, size: int, neuron: MakeNeuron) -> None:
        super().__init__()
        inputs, height, breadth = shape
        channels = (inputs, width, 2 * width, 4 * width)
        self.stages = nn.ModuleList(ConvUnit(a, b, neuron) for a, b in pairwise(channels))
        self.pool = nn.MaxPool2d(2)
        self.size = size
        self.embedding = VectorStem(channels[-1] * (height // 8) * (breadth // 8), size, (1, 1), neuron)

    def forward(self, x: Tensor, fire: Fire) -> Tensor:
        for stage in self.stages:
            x = per_step(self.pool, stage(x, fire))
        return self.embedding(x.flatten(2), fire).flatten(2)


class VectorEncoder(nn.Module):
    """For vectors `[T, B, features, 1, 1]`: one layer -> spikes `[T, B, size]`."""

    def __init__(self, features: int, size: int, neuron: MakeNeuron) -> None:
        super().__init__()
        self.size = size
        self.embedding = VectorStem(features, size, (1, 1), neuron)

    def forward(self, x: Tensor, fire: Fire) -> Tensor:
        return self.embedding(x, fire).flatten(2)


class FusionMLP(nn.Module):
    """[paper] Both embeddings, of `size` values together, a hidden layer of spikes, classes: logits."""

    def __init__(self, size: int, hidden: int, classes: int, neuron: MakeNeuron) -> None:
        super().__init__()
        self.fc1 = nn.Linear(size, hidden)
        self.lif = neuron()
        self.fc2 = nn.Linear(hidden, classes)

    def forward(self, embeddings: Mapping[str, Tensor], fire: Fire) -> Tensor:
        return self.fc2(fire(self.lif, self.fc1(torch.cat(list(embeddings.values()), -1))))


class Concatenation(nn.Module):
    """For comparison: one linear layer without bias over both embeddings."""

    def __init__(self, size: int, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(size, classes, bias=False)

    def forward(self, embeddings: Mapping[str, Tensor], fire: Fire) -> Tensor:
        return self.fc(torch.cat(list(embeddings.values()), -1))


class Addition(nn.Module):
    """The sum of what the classifiers of the modalities say; of one modality, what its classifier says."""

    def __init__(self, classifiers: nn.ModuleDict) -> None:
        super().__init__()
        self.classifiers = classifiers

    def forward(self, embeddings: Mapping[str, Tensor], fire: Fire) -> Tensor:
        first, *others = (self.classifiers[name](z) for name, z in embeddings.items())
        return sum(others, first)
