"""The layers of `avnir.models.taaf`: encoders, warps of time, the score of a step, and how fast each learns.

All sizes and equations are [recon]: arXiv 2505.14535 has no public code.
"""

from __future__ import annotations

import math

import snntorch as snn
import torch
from torch import Tensor, nn

import avnir
from avnir.models.blocks import MakeNeuron, PatchSplitting, ResNetTrunk, VectorStem
from avnir.models.neuron import Fire

REACH = 1
"""Steps that the banded warp looks to either side."""
TAPS = 3
"""Steps that the causal warp takes in: this one and the two before."""
NEAR_IDENTITY = 3.0
"""Initial logit of the step itself among zeros: 0.91 of three."""


class Encoder(nn.Module):
    """A trunk and the mean over its maps: `[T, B, c, H, W]` -> features `[T, B, size]`."""

    def __init__(self, trunk: nn.Module, size: int) -> None:
        super().__init__()
        self.trunk, self.size = trunk, size

    def forward(self, x: Tensor, fire: Fire) -> Tensor:
        return self.trunk(x, fire).mean((-2, -1))


def vector_encoder(features: int, width: int, neuron: MakeNeuron) -> Encoder:
    """For vectors `[T, B, features, 1, 1]`: one layer of `width` neurons."""
    return Encoder(VectorStem(features, width, (1, 1), neuron), width)


def resnet_encoder(inputs: int, width: int, neuron: MakeNeuron) -> Encoder:
    """A spiking ResNet18 whose first stage has `width` channels."""
    return Encoder(ResNetTrunk(inputs, neuron, [width * factor for factor in (1, 2, 4, 8)]), 8 * width)


def patch_encoder(inputs: int, width: int, stages: int, neuron: MakeNeuron) -> Encoder:
    """S-CMRL's patch splitting: stages of doubling width that end at `width`."""
    widths = [width >> later for later in reversed(range(stages))]
    return Encoder(PatchSplitting(inputs, widths, neuron), width)


class BandedWarp(nn.Module):
    """`a'_i = sum_j M_ij a_j` over the steps of `[T, B, D]`, M [T, T] for windows of T steps only.

    Rows sum to one, entries further than `REACH` from the diagonal are zero.
    """

    outside: Tensor

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(NEAR_IDENTITY * torch.eye(steps))
        place = torch.arange(steps)
        outside = (place[:, None] - place).abs() > REACH
        self.register_buffer("outside", outside, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("ij,jbd->ibd", self.matrix(), x)

    def matrix(self) -> Tensor:
        """M [T, T]."""
        return self.logits.masked_fill(self.outside, -math.inf).softmax(1)


class CausalWarp(nn.Module):
    """`a'_t = sum_k w_k a_{t-k}`, k from 0 to `TAPS` - 1; the weights, the same in each step, sum to one.

    Outside training they are the constants `tap_k`: those learned when it left training.
    """

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(NEAR_IDENTITY * torch.eye(TAPS)[0])
        for k, weight in enumerate(self.learned()):
            self.register_buffer(f"tap_{k}", weight.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        first, *later = self.learned() if self.training else self.taps()
        return sum((weight * avnir.delayed(x, k) for k, weight in enumerate(later, 1)), first * x)

    def learned(self) -> tuple[Tensor, ...]:
        """The weights as training knows them."""
        return self.logits.softmax(0).unbind()

    def taps(self) -> tuple[Tensor, ...]:
        """The weights as constants."""
        return tuple(self.get_buffer(f"tap_{k}") for k in range(TAPS))

    def train(self, mode: bool = True) -> CausalWarp:
        for tap, weight in zip(self.taps(), self.learned(), strict=True):
            tap.copy_(weight.detach())
        return super().train(mode)


class ScoreHead(nn.Module):
    """`e_t = w^T h(W F_t)`: fused features `[T, B, D]` -> scores `[T, B, 1]`; h is `lif`, or tanh."""

    def __init__(self, inputs: int, hidden: int, lif: snn.Leaky | None) -> None:
        super().__init__()
        self.fc1 = nn.Linear(inputs, hidden)
        self.lif = lif
        self.fc2 = nn.Linear(hidden, 1)

    def forward(self, fused_features: Tensor, fire: Fire) -> Tensor:
        current = self.fc1(fused_features)
        return self.fc2(torch.tanh(current) if self.lif is None else fire(self.lif, current))


def attend(classes: Tensor, score: Tensor) -> Tensor:
    """What the host computes of the outputs: `[T, B, K]` and `[T, B, 1]` -> scores `[B, K]`."""
    return (score.softmax(0) * classes).sum(0)


def confidence(logits: Tensor, labels: Tensor, shares: Tensor) -> float:
    """The probability of the true class, weighted over the steps by `shares` `[T, B]`: the batch's mean."""
    probabilities = logits.detach().softmax(-1)
    chosen = labels.view(1, -1, 1).expand(len(logits), -1, 1)
    return float((shares.detach() * probabilities.gather(-1, chosen).squeeze(-1)).sum(0).mean())


def gradient_scale(ratio: float, gamma: float) -> float:
    """[recon] `k = 1 - tanh(gamma rho)` where rho, own confidence over the other's, is above 1; else 1."""
    return 1 - math.tanh(gamma * ratio) if ratio > 1 else 1.0
