"""TAAF: temporal attention-guided adaptive fusion of pictures and sound.

Source: Shen, Xie, Xu, Pan, Tang, Chen, "Spiking Neural Networks with Temporal Attention-Guided Adaptive
Fusion for imbalanced Multi-modal Learning", arXiv 2505.14535. There is no public code. [paper] marks what
its abstract and summary state, [recon] what is reconstructed.

    image [T,B,c,H,W]  encoder -- pooled features -- warp --.            .-- score e_t ------.
                                                             +-- F_t --<                      > sum_t s_t o_t
    audio [T,B,c,H,W]  encoder -- pooled features -- warp --'            '-- o_t = W_c F_t --'

- [paper] a score of each step weights the fused features; the same scores weight the loss of the steps and
  modulate how fast each modality learns; a learnable warp of time aligns the modalities.
- [recon] the encoders, where the warp stands, and the forms of all equations:
  warp `a'_i = sum_j M_ij a_j`, rows that sum to one, |i - j| <= 1; score `e_t = w^T h(W F_t)`, h = tanh;
  `s = softmax_t(e)`; `o = sum_t s_t W_c F_t`; W_c without bias, so that `o_t` is the sum of `o_t^m`, what
  each modality says (Peng et al., "Balanced Multimodal Learning via On-the-fly Gradient Modulation", 2022);
  loss `sum_t s_t CE(o_t, y) + lambda sum_m sum_t s_t CE(o_t^m, y)`; gradient scale `k^m` (`gradient_scale`).

The deployable form replaces what a chip has not: h is a layer of spikes, the warp looks back only, and the
softmax over the window is left to the host or gives way to spikes (`TAAFConfig.attention`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from avnir.decision import Decision
from avnir.errors import UserError
from avnir.models.blocks import MakeNeuron
from avnir.models.classifier import Classifier
from avnir.models.configuration import Configuration, Shape3
from avnir.models.neuron import Fire, fused, leaky, looped
from avnir.models.taaf_layers import (
    BandedWarp,
    CausalWarp,
    Encoder,
    ScoreHead,
    confidence,
    gradient_scale,
    patch_encoder,
    resnet_encoder,
    vector_encoder,
)

OPEN_GATE = 1.5
"""Initial bias of a spiking gate: above its threshold, so that the gates of an untrained network are open."""
SMALL_SIDE = 40
"""Pictures up to this side get two stages of patch splitting, as S-CMRL's digits do; larger ones four."""


@dataclass(frozen=True)
class TAAFConfig(Configuration):
    """All that is needed to rebuild the network.

    `encoder`: `resnet`, a spiking ResNet18 whose first stage has `width` channels, or `patches`, S-CMRL's
    patch splitting of `stages` stages that ends at `width` channels.

    `warp`: `banded` (the source's form: it sees one step ahead), `causal` or `none`.

    `attention`, the weight s_t of a step:
    - `softmax`: over the window. The source's form.
    - `host`: the same, but the network gives the classes' values and the score of each step, and whoever
      reads them takes the softmax.
    - `gate`: a spike or none, from a neuron that gets the score: everything stays on the chip.
    - `static`: every step counts the same, and there is no score.

    `score`: the layer h of the score. `unimodal_weight`: lambda. `gamma`: of the gradient scale; 0 is none.
    """

    name: ClassVar[str] = "taaf"
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {
        "beta": (0, 1),
        "unimodal_weight": (0, 100),
        "gamma": (0, 100),
        "label_smoothing": (0, 0.95),
        "stages": (1, 4),
    }

    image_shape: Shape3 = (1, 28, 28)
    audio_shape: Shape3 = (1, 28, 28)
    classes: int = 10
    steps: int = 4
    modality: Literal["both", "image", "audio"] = "both"
    coding: Literal["rate", "direct", "events"] = "direct"
    encoder: Literal["patches", "resnet"] = "patches"
    width: int = 32
    stages: int = 2
    warp: Literal["banded", "causal", "none"] = "banded"
    score: Literal["tanh", "lif"] = "tanh"
    score_hidden: int = 64
    attention: Literal["softmax", "host", "gate", "static"] = "softmax"
    unimodal_weight: float = 1.0
    gamma: float = 0.5
    label_smoothing: float = 0.0
    beta: float = 0.5

    def conflicts(self) -> list[str]:
        """Which options do not go together."""
        part = 2 ** (self.stages - 1)
        if self.encoder == "patches" and self.width % part:
            return [f"width is {self.width}, must be a multiple of {part} for {self.stages} stages"]
        return []


FORMS: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    "deployable": {"warp": "causal", "score": "lif", "attention": "host"},
}
"""What the two forms set; the rest is the default."""


def config_for(
    shapes: Mapping[str, Shape3],
    classes: int,
    steps: int,
    modality: str,
    form: str,
    settings: Mapping[str, str],
) -> TAAFConfig:
    """The configuration for data of these `shapes` by modality, in a form of `FORMS`, with `settings`."""
    if form not in FORMS:
        raise UserError(f"unknown form {form!r} of taaf; known are: {', '.join(FORMS)}")
    large = max(side for shape in shapes.values() for side in shape[1:]) > SMALL_SIDE
    known = {f"{name}_shape": tuple(shape) for name, shape in shapes.items()}
    given = {"classes": classes, "steps": steps, "modality": modality, "stages": 4 if large else 2}
    return TAAFConfig.from_settings({**FORMS[form], **known, **given}, settings)


def training_defaults(config: TAAFConfig) -> dict[str, Any]:
    """[recon] How to train it: fields of `avnir.models.training.TrainingConfig`."""
    return {"epochs": 20, "batch_size": 100, "learning_rate": 1e-2, "weight_decay": 1e-3}


def build(config: Mapping[str, Any]) -> TAAF:
    """The untrained network that the JSON `config` describes."""
    return TAAF(TAAFConfig.from_json(config))


def encoder(shape: Shape3, config: TAAFConfig, neuron: MakeNeuron) -> Encoder:
    """The untrained encoder of one modality with samples of `shape`."""
    if shape[1:] == (1, 1):
        return vector_encoder(shape[0], config.width, neuron)
    if config.encoder == "resnet":
        return resnet_encoder(shape[0], config.width, neuron)
    return patch_encoder(shape[0], config.width, config.stages, neuron)


def warp(config: TAAFConfig) -> nn.Module:
    """The warp of one modality that `config` names."""
    if config.warp == "banded":
        return BandedWarp(config.steps)
    return CausalWarp() if config.warp == "causal" else nn.Identity()


class TAAF(Classifier):
    """The network of one or both modalities; see the module's docstring."""

    def __init__(self, config: TAAFConfig) -> None:
        super().__init__()
        self.config, self.steps, self.coding = config, config.steps, config.coding
        self.label_smoothing = config.label_smoothing
        self.inputs = ("image", "audio") if config.modality == "both" else (config.modality,)
        neuron = partial(leaky, beta=config.beta)
        encoders = {name: encoder(shape, config, neuron) for name, shape in self.shapes.items()}
        self.encoders = nn.ModuleDict(encoders)
        self.warps = nn.ModuleDict({name: warp(config) for name in self.inputs})
        self.classify = nn.ModuleDict(
            {name: nn.Linear(part.size, config.classes, bias=False) for name, part in encoders.items()}
        )
        if config.attention != "static":
            size = sum(part.size for part in encoders.values())
            self.score = ScoreHead(size, config.score_hidden, neuron() if config.score == "lif" else None)
        if config.attention == "gate":
            self.gate = neuron()
            nn.init.constant_(self.score.fc2.bias, OPEN_GATE)
        self.confidences: dict[str, float] = {}

    @property
    def shapes(self) -> Mapping[str, Shape3]:
        known = {"image": self.config.image_shape, "audio": self.config.audio_shape}
        return {name: known[name] for name in self.inputs}

    @property
    def decision(self) -> Decision:
        """How the host reads the class from the outputs of `forward`."""
        return Decision("classes", "score") if self.config.attention == "host" else Decision()

    def identity(self) -> dict[str, Any]:
        return self.config.to_json()

    def forward(self, *inputs: Tensor) -> Tensor | dict[str, Tensor]:
        """What is deployed: inputs `[T, B, c, h, w]` -> logits `[T, B, classes]`, whose sum decides.

        With attention on the host: `classes`, the logits of each step not yet weighted, and `score`
        `[T, B, 1]`; `attend` decides.
        """
        features = self.features(inputs, looped)
        logits = _total(self.opinions(features))
        if self.config.attention == "host":
            return {"classes": logits, "score": self.raw_scores(features, looped)}
        return logits if self.config.attention == "static" else logits * self.attention(features, looped)

    def window(self, *inputs: Tensor) -> Tensor:
        features = self.features(inputs, fused)
        return _total(self.opinions(features)) * self.attention(features, fused)

    def features(self, inputs: Sequence[Tensor], fire: Fire) -> dict[str, Tensor]:
        """The warped features `[T, B, D]` by modality.

        The mean over the maps comes before the warp: the two commute, and there is less to warp.
        """
        return {
            name: self.warps[name](self.encoders[name](x, fire))
            for name, x in zip(self.inputs, inputs, strict=True)
        }

    def opinions(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`o_t^m` `[T, B, classes]` by modality."""
        return {name: self.classify[name](values) for name, values in features.items()}

    def raw_scores(self, features: Mapping[str, Tensor], fire: Fire) -> Tensor:
        """`e_t` `[T, B, 1]`."""
        return self.score(torch.cat(list(features.values()), -1), fire)

    def attention(self, features: Mapping[str, Tensor], fire: Fire) -> Tensor:
        """`s_t` `[T, B, 1]`: of sum one over the window; spikes where they are gates; or all one."""
        if self.config.attention == "static":
            first = next(iter(features.values()))
            return torch.ones_like(first[..., :1])
        scores = self.raw_scores(features, fire)
        return fire(self.gate, scores) if self.config.attention == "gate" else scores.softmax(0)

    def loss(self, inputs: Sequence[Tensor], labels: Tensor) -> tuple[Tensor, Tensor]:
        """The balanced fusion loss, and the scores.

        Gates say that a step counts, not how much, so the scores' own cross-entropy is the first term there.
        """
        features = self.features(inputs, fused)
        opinions = self.opinions(features)
        logits, weights = _total(opinions), self.attention(features, fused)
        scores, shares = (weights * logits).sum(0), self._shares(weights)
        if self.config.attention == "gate":
            loss = cross_entropy(scores, labels, label_smoothing=self.label_smoothing)
        else:
            loss = self._over_steps(logits, labels, shares)
        if len(opinions) > 1:
            alone = [self._over_steps(values, labels, shares) for values in opinions.values()]
            loss = loss + self.config.unimodal_weight * torch.stack(alone).sum()
            self.confidences = {name: confidence(o, labels, shares) for name, o in opinions.items()}
        return loss, scores

    def _shares(self, weights: Tensor) -> Tensor:
        """How much the loss of each step counts, `[T, B]` of sum one over the window.

        A step whose gate is closed counts half as much as one whose gate is open, so that the classes of no
        step are left untrained.
        """
        raised = weights + 1 if self.config.attention == "gate" else weights
        return (raised / raised.sum(0)).squeeze(-1)

    def _over_steps(self, logits: Tensor, labels: Tensor, shares: Tensor) -> Tensor:
        """`sum_t s_t CE(o_t, y)`, the mean over the batch; logits `[T, B, classes]`, shares `[T, B]`."""
        losses = cross_entropy(
            logits.flatten(0, 1),
            labels.repeat(len(logits)),
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        return (shares * losses.view_as(shares)).sum(0).mean()

    def before_step(self) -> None:
        """Scale the gradients of the encoders' weights by `gradient_scale` of the last confidences."""
        for name, own in self.confidences.items():
            other = next(value for key, value in self.confidences.items() if key != name)
            scale = gradient_scale(own / other, self.config.gamma)
            for values in self.encoders[name].parameters():
                if values.ndim > 1 and values.grad is not None:
                    values.grad.mul_(scale)


def _total(opinions: Mapping[str, Tensor]) -> Tensor:
    first, *others = opinions.values()
    return sum(others, first)
