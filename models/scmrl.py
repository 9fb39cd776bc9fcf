"""S-CMRL: spiking cross-modal residual learning with semantic alignment (He et al., arXiv 2502.12488).

Each modality becomes tokens by spiking patch splitting; each then takes from the other what its own
spatio-temporal attention finds there, as a residual; the rest is a spiking MLP and a linear head:

    x, y  = patches(image), patches(audio)                      [T, B, C, h, w], values 0, 1, 2
    r     = LIF(W P(x, y)),  P of `avnir.models.attention`        one each way, separate weights
    x     = x + alpha r;  x = x + MLP(x);  the same for y
    out_t = head(mean over tokens of x_t + mean over tokens of y_t), and the mean over t decides

The neuron of the authors' code is v <- v/2 + I/2, a spike and v <- 0 where v >= 1. In u = 2 v it is
u <- u/2 + I with threshold 2, and the surrogate, a sigmoid of slope 4 in v, has slope 2 in u: the same spikes
and the same gradients, with nothing to multiply.

snnTorch, NIR and the chip fire above a threshold, not at it. Behind a convolution and a normalisation that
never matters, in attention it does: I is a multiple of 1/4, so after T steps u is a multiple of 2^-(T+1), and
`u >= 2` is exactly `u > 2 - 2^-(T+2)` (in v: 1 - 2^-(T+3)). `fires="ge"` does that, "gt" leaves 2.

What the source leaves open or does otherwise, each an option:
- `query`: q of the own modality and k, v of the other, as the code; the paper's figure draws the opposite;
- `project="none"`: r = P without layer and neuron, as the code does when it trains without alignment;
  `"normalised"`: a normalisation between W and LIF, as everywhere else in the network;
- `attention` and `fusion`: its ablations and baselines, and `qk`, which needs coincidences only;
- `attention_threshold`: 1; the authors' call asks for 0.5 there, but their neuron drops it;
- `product`: the order of the products in attention; the same numbers exactly;
- `temporal="causal"`: no step looks ahead, so a chip need not see the window again; other numbers.

Levels 0 to 127 of static pictures are taken as they are: the normalisation behind the first layer takes
their scale away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from avnir.ir.operation import Shape
from avnir.models import attention as attend
from avnir.models.blocks import ConvUnit, PatchSplitting, SpikingMLP, VectorStem, per_step
from avnir.models.classifier import Classifier
from avnir.models.configuration import Shape3
from avnir.models.neuron import Fire, fused, leaky, looped
from avnir.models.scmrl_config import ALIGNED, SCMRLConfig, is_vector, stages
from avnir.models.scmrl_config import config_for as config_for
from avnir.models.scmrl_config import training_defaults as training_defaults

MLP_RATIO = 4


def neuron() -> snn.Leaky:
    """The published neuron, in u = 2 v."""
    return leaky(beta=0.5, threshold=2.0, slope=2.0)


def lattice_neuron(config: SCMRLConfig) -> snn.Leaky:
    """The neuron for inputs that are multiples of 1/4, which fires at the threshold or above it."""
    below = 2.0 ** -(config.steps + 2) if config.fires == "ge" else 0.0
    return leaky(beta=0.5, threshold=2 * config.attention_threshold - below, slope=2.0)


def _small(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """A linear layer as the authors' code initialises it."""
    nn.init.trunc_normal_(layer.weight, std=0.02)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _stem(config: SCMRLConfig, shape: Shape3) -> nn.Module:
    if is_vector(shape):
        return VectorStem(shape[0], config.channels, config.grid, neuron)
    widths = [config.channels // 2**i for i in reversed(range(stages(shape)))]
    return PatchSplitting(shape[0], widths, neuron)


def _spatial(config: SCMRLConfig) -> attend.SpikeAttention:
    mix = attend.SPATIAL[config.product]
    return attend.SpikeAttention(config.channels, mix, neuron, partial(lattice_neuron, config))


def _temporal(config: SCMRLConfig) -> attend.SpikeAttention:
    mix = attend.TEMPORAL[config.product, config.temporal]
    return attend.SpikeAttention(config.channels, mix, neuron, partial(lattice_neuron, config))


def _full(config: SCMRLConfig) -> attend.SpatioTemporalAttention:
    steps = config.steps if config.temporal == "causal" else None
    return attend.SpatioTemporalAttention(_spatial(config), _temporal(config), steps)


def _qk(config: SCMRLConfig) -> attend.QKAttention:
    return attend.QKAttention(config.channels, neuron, partial(lattice_neuron, config))


_ATTENTION = {"full": _full, "spatial": _spatial, "temporal": _temporal, "qk": _qk}


class CrossModalResidual(nn.Module):
    """What `own` takes from `other`: two times `[T, B, C, h, w]` -> r, of that shape, spikes if projected."""

    def __init__(self, config: SCMRLConfig) -> None:
        super().__init__()
        self.swapped = config.query == "other"
        self.attention = _ATTENTION[config.attention](config)
        self.project = _PROJECTIONS[config.project](config)

    def forward(self, own: Tensor, other: Tensor, fire: Fire) -> Tensor:
        x, y = (other, own) if self.swapped else (own, other)
        found: Tensor = self.attention(x, y, fire)
        return found if self.project is None else self.project(found, fire)


def _plain(config: SCMRLConfig) -> ConvUnit:
    """`LIF(W P)` without normalisation, W small at first, as the authors' code."""
    unit = ConvUnit(config.channels, config.channels, neuron, kernel=1, bias=True, normalise=False)
    _small(unit.conv)
    return unit


def _normalised(config: SCMRLConfig) -> ConvUnit:
    return ConvUnit(config.channels, config.channels, neuron, kernel=1, bias=True)


_PROJECTIONS: Mapping[str, Callable[[SCMRLConfig], ConvUnit | None]] = {
    "plain": _plain,
    "normalised": _normalised,
    "none": lambda config: None,
}


class WeightAttention(nn.Module):
    """The baseline `w own`, one weight for each step from the token means of both: `[T, B, C, h, w]`."""

    def __init__(self, config: SCMRLConfig) -> None:
        super().__init__()
        self.fc1 = _small(nn.Linear(2 * config.channels, config.channels))
        self.fc2 = _small(nn.Linear(config.channels, 1))

    def forward(self, own: Tensor, other: Tensor, fire: Fire) -> Tensor:
        means = torch.cat([own.mean((3, 4)), other.mean((3, 4))], 2)
        weight = per_step(lambda rows: self.fc2(self.fc1(rows)), means)
        return weight.unsqueeze(3).unsqueeze(4) * own


def _exchange(config: SCMRLConfig) -> nn.Module | None:
    """How a modality meets the other, or itself where it is alone (the code's network of one modality)."""
    if config.modality != "both":
        return _spatial(config)
    if config.fusion in ALIGNED:
        return CrossModalResidual(config)
    return WeightAttention(config) if config.fusion == "weight" else None


class SCMRL(Classifier):
    """The network but for the names of its inputs; see the module."""

    def __init__(self, config: SCMRLConfig) -> None:
        super().__init__()
        self.config, self.steps, self.coding = config, config.steps, config.coding
        self.fire: Fire = partial(fused, detach=config.detach)
        self.stems = nn.ModuleDict({name: _stem(config, config.shapes[name]) for name in self.inputs})
        made = {name: _exchange(config) for name in self.inputs}
        self.exchange = nn.ModuleDict({name: module for name, module in made.items() if module is not None})
        hidden = MLP_RATIO * config.channels
        self.mlps = nn.ModuleDict({n: SpikingMLP(config.channels, hidden, neuron) for n in self.inputs})
        parts = len(self.inputs) if config.fusion == "concat" else 1
        self.head = _small(nn.Linear(parts * config.channels, config.classes))

    @property
    def shapes(self) -> Mapping[str, Shape]:
        return self.config.shapes

    def identity(self) -> dict[str, Any]:
        return self.config.to_json()

    def run(self, fire: Fire, inputs: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Inputs `[T, B, c, h, w]` -> logits of each step `[T, B, classes]`, residuals `[T, B, C, h, w]`."""
        tokens = [stem(x, fire) for stem, x in zip(self.stems.values(), inputs, strict=True)]
        tokens, residuals = self._exchanged(tokens, fire)
        tokens = [x + mlp(x, fire) for mlp, x in zip(self.mlps.values(), tokens, strict=True)]
        means = [x.mean((3, 4)) for x in tokens]
        joined = torch.cat(means, 2) if self.config.fusion == "concat" else sum(means[1:], means[0])
        return per_step(self.head, joined), residuals

    def _exchanged(self, tokens: list[Tensor], fire: Fire) -> tuple[list[Tensor], list[Tensor]]:
        """Tokens after the modalities met, and what each got; one modality meets itself."""
        meetings = zip(self.exchange.values(), tokens, reversed(tokens), strict=False)
        found = [module(own, other, fire) for module, own, other in meetings]
        if not found:
            return tokens, []
        if len(tokens) == 1:
            return [tokens[0] + found[0]], []
        if self.config.fusion == "residual":
            return [x + self.config.alpha * r for x, r in zip(tokens, found, strict=True)], found
        return found, found

    def window(self, *inputs: Tensor) -> Tensor:
        """Inputs `[T, B, c, h, w]`, one each -> logits of each step `[T, B, classes]`."""
        return self.run(self.fire, inputs)[0]

    def scores(self, *inputs: Tensor) -> Tensor:
        return self.window(*inputs).mean(0)

    def loss(self, inputs: Sequence[Tensor], labels: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the mean logits, and the alignment of the two residuals' means."""
        logits, residuals = self.run(self.fire, inputs)
        scores = logits.mean(0)
        loss = cross_entropy(scores, labels, label_smoothing=self.config.label_smoothing)
        if self.config.alignment:
            image, audio = (residual.mean((0, 3, 4)) for residual in residuals)
            aligned = semantic_alignment(audio, image, labels, self.config.temperature)
            loss = loss + self.config.alignment * aligned
        return loss, scores

    def reset_state(self) -> None:
        for module in self.modules():
            if isinstance(module, snn.Leaky):
                module.reset_mem()


def semantic_alignment(audio: Tensor, image: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """`-1/B^2 sum_ij [y_i = y_j] log softmax_j(f_a f_v^T / tau)_ij` of features `[B, C]` (S-CMRL's L_sao)."""
    similar = (audio @ image.T / temperature).log_softmax(1)
    return -(similar * (labels[:, None] == labels)).mean()


class AudioVisualSCMRL(SCMRL):
    """Image and audio."""

    inputs = ("image", "audio")

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        """A window `[T, B, c, h, w]` of both -> logits of each step `[T, B, classes]`."""
        return self.run(looped, (image, audio))[0]


class ImageSCMRL(SCMRL):
    """The image alone."""

    inputs = ("image",)

    def forward(self, image: Tensor) -> Tensor:
        """A window `[T, B, c, h, w]` -> logits of each step `[T, B, classes]`."""
        return self.run(looped, (image,))[0]


class AudioSCMRL(SCMRL):
    """The audio alone."""

    inputs = ("audio",)

    def forward(self, audio: Tensor) -> Tensor:
        """A window `[T, B, c, h, w]` -> logits of each step `[T, B, classes]`."""
        return self.run(looped, (audio,))[0]


_NETWORKS: Mapping[str, type[SCMRL]] = {"both": AudioVisualSCMRL, "image": ImageSCMRL, "audio": AudioSCMRL}


def scmrl(config: SCMRLConfig) -> SCMRL:
    """The untrained network of the modalities that `config` names."""
    return _NETWORKS[config.modality](config)


def build(config: Mapping[str, Any]) -> SCMRL:
    """The untrained network that a JSON `config` describes."""
    return scmrl(SCMRLConfig.from_json(config))
