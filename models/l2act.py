"""Feature discrimination: L2-ActSpikeNet for pictures, a compact network for sound, a spiking MLP for both.

Source: Oikonomou, Kansizoglou, Gasteratos, "Spiking Neural Network Feature Discrimination Boosts Modality
Fusion", arXiv 2502.10423. There is no public code. [paper] marks what the paper's abstract and summary
state, [recon] what is reconstructed.

    image [T,B,c,H,W]  spiking ResNet18 ------------------- embedding -- L2 --.
                                                                              +-- spiking MLP -> [T,B,classes]
    audio [T,B,c,H,W]  three convolutions, pooling, layer - embedding -- L2 --'

- [paper] the spiking ResNet18 with activations after the additions; an L2 layer behind each embedding, which
  puts it on a hypersphere; a compact audio network; a spiking MLP over both normalised embeddings; first the
  networks of one modality, then the fusion.
- [recon] every size, the neuron, `z = alpha f / (||f|| + eps)` of the rate embedding f, the mean of the
  spikes over the window, and alpha. Classifiers of one modality have no bias, so that angles alone decide.

The deployable form replaces what a chip has not: the embedding of the picture becomes spikes, a layer behind
the global pooling, and the L2 layer one of its forms below (`L2Layer`). A network of one modality needs no L2
layer to be run, as a positive factor changes no argmax: `drop_l2`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import snntorch as snn
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from avnir.errors import UserError
from avnir.models.blocks import MakeNeuron
from avnir.models.classifier import Classifier
from avnir.models.configuration import Configuration, Shape3
from avnir.models.l2act_layers import (
    Addition,
    AudioEncoder,
    Concatenation,
    FusionMLP,
    ImageEncoder,
    L2Layer,
    VectorEncoder,
)
from avnir.models.neuron import Fire, fused, leaky, looped

Stage = Literal["all", "unimodal", "fusion"]


@dataclass(frozen=True)
class L2ActConfig(Configuration):
    """All that is needed to rebuild the network.

    `width`: channels of the first stage of the ResNet, 64 in ResNet18; the stages double it. `audio_width`:
    channels of the first of three convolutions, which double too. `embedding`: values of an embedding that is
    a layer of spikes, which the picture's is with `image_embedding="spikes"`; `"pooled"` is the mean over
    the last maps, 8 `width` values. `scale`: the alpha of the L2 layer.

    `training="two_stage"`: the fusion's gradient ends at the embeddings; `"end_to_end"`: it does not, and
    the fusion's loss is the only one.
    """

    name: ClassVar[str] = "l2act"
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {
        "beta": (0, 1),
        "scale": (1e-3, 1e3),
        "label_smoothing": (0, 0.95),
    }

    image_shape: Shape3 = (1, 28, 28)
    audio_shape: Shape3 = (1, 28, 28)
    classes: int = 10
    steps: int = 4
    modality: Literal["both", "image", "audio"] = "both"
    coding: Literal["rate", "direct", "events"] = "direct"
    width: int = 64
    audio_width: int = 32
    image_embedding: Literal["pooled", "spikes"] = "pooled"
    embedding: int = 256
    l2: Literal["rate", "step", "static", "none"] = "rate"
    drop_l2: bool = False
    scale: float = 16.0
    fusion: Literal["smlp", "concat", "add"] = "smlp"
    hidden: int = 512
    readout: Literal["logits", "spikes"] = "logits"
    training: Literal["two_stage", "end_to_end"] = "two_stage"
    label_smoothing: float = 0.0
    beta: float = 0.5

    def conflicts(self) -> list[str]:
        """Which options do not go together."""
        seen = self.modality != "audio"
        checks = [
            (
                self.l2 == "step" and seen and self.image_embedding == "pooled",
                "l2 is 'step', which counts the spikes of an embedding: set image_embedding=spikes",
            ),
            (
                self.drop_l2 and (self.modality == "both" or self.l2 == "step" or self.readout == "spikes"),
                "drop_l2 leaves out a factor that changes no argmax: set modality to image or audio, l2 to "
                "rate, static or none, and readout to logits",
            ),
            (
                self.modality != "image" and 1 < min(self.audio_shape[1:]) < 8,
                f"audio_shape is {self.audio_shape}, which is halved three times: height and width must be "
                "at least 8, or both 1 for a vector",
            ),
        ]
        return [problem for wrong, problem in checks if wrong]


FORMS: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    "deployable": {
        "width": 16,
        "audio_width": 16,
        "image_embedding": "spikes",
        "embedding": 128,
        "l2": "static",
        "hidden": 128,
    },
}
"""What the two forms set; the rest is the default."""


def config_for(
    shapes: Mapping[str, Shape3],
    classes: int,
    steps: int,
    modality: str,
    form: str,
    settings: Mapping[str, str],
) -> L2ActConfig:
    """The configuration for data of these `shapes` by modality, in a form of `FORMS`, with `settings`."""
    if form not in FORMS:
        raise UserError(f"unknown form {form!r} of l2act; known are: {', '.join(FORMS)}")
    known = {f"{name}_shape": tuple(shape) for name, shape in shapes.items()}
    alone = {"l2": "rate", "drop_l2": True} if form == "deployable" and modality != "both" else {}
    given = {"classes": classes, "steps": steps, "modality": modality}
    return L2ActConfig.from_settings({**FORMS[form], **alone, **known, **given}, settings)


def training_defaults(config: L2ActConfig) -> dict[str, Any]:
    """[recon] How to train it: fields of `avnir.models.training.TrainingConfig`."""
    return {"epochs": 10, "batch_size": 100, "learning_rate": 4e-3, "weight_decay": 1e-3}


def build(config: Mapping[str, Any]) -> L2Act:
    """The untrained network that the JSON `config` describes."""
    return L2Act(L2ActConfig.from_json(config))


def encoder(
    modality: str, config: L2ActConfig, neuron: MakeNeuron
) -> ImageEncoder | AudioEncoder | VectorEncoder:
    """The untrained encoder of one modality."""
    shape = config.image_shape if modality == "image" else config.audio_shape
    if shape[1:] == (1, 1):
        return VectorEncoder(shape[0], config.embedding, neuron)
    if modality == "audio":
        return AudioEncoder(shape, config.audio_width, config.embedding, neuron)
    spikes = config.embedding if config.image_embedding == "spikes" else None
    return ImageEncoder(shape[0], config.width, spikes, neuron)


def l2_layer(config: L2ActConfig) -> nn.Module:
    """The L2 layer that `config` names."""
    return nn.Identity() if config.l2 == "none" else L2Layer(config.l2, config.scale)


def fusion(size: int, config: L2ActConfig, classifiers: nn.ModuleDict, neuron: MakeNeuron) -> nn.Module:
    """What makes logits of the embeddings, of `size` values together."""
    if config.modality != "both" or config.fusion == "add":
        return Addition(classifiers)
    if config.fusion == "concat":
        return Concatenation(size, config.classes)
    return FusionMLP(size, config.hidden, config.classes, neuron)


class L2Act(Classifier):
    """The network of one or both modalities; see the module's docstring."""

    def __init__(self, config: L2ActConfig) -> None:
        super().__init__()
        self.config, self.steps, self.coding = config, config.steps, config.coding
        self.label_smoothing = config.label_smoothing
        self.inputs = ("image", "audio") if config.modality == "both" else (config.modality,)
        self.stage: Stage = "all"
        neuron = partial(leaky, beta=config.beta)
        encoders = {name: encoder(name, config, neuron) for name in self.inputs}
        self.encoders = nn.ModuleDict(encoders)
        self.l2 = nn.ModuleDict({name: l2_layer(config) for name in self.inputs})
        self.classifiers = nn.ModuleDict(
            {name: nn.Linear(part.size, config.classes, bias=False) for name, part in encoders.items()}
        )
        size = sum(part.size for part in encoders.values())
        self.fusion = fusion(size, config, self.classifiers, neuron)
        self.lif_out: snn.Leaky | None = neuron() if config.readout == "spikes" else None

    @property
    def shapes(self) -> Mapping[str, Shape3]:
        known = {"image": self.config.image_shape, "audio": self.config.audio_shape}
        return {name: known[name] for name in self.inputs}

    def identity(self) -> dict[str, Any]:
        return self.config.to_json()

    def forward(self, *inputs: Tensor) -> Tensor:
        """What is deployed: inputs `[T, B, c, h, w]` -> logits or spikes `[T, B, classes]`.

        Differs from `window` with `drop_l2` only, by a positive factor for each sample.
        """
        embeddings = self.embeddings(inputs, looped)
        normalised = embeddings if self.config.drop_l2 else self.normalised(embeddings)
        return self.output(self.fusion(normalised, looped), looped)

    def window(self, *inputs: Tensor) -> Tensor:
        normalised = self.normalised(self.embeddings(inputs, fused))
        return self.output(self.fusion(normalised, fused), fused)

    def embeddings(self, inputs: Sequence[Tensor], fire: Fire) -> dict[str, Tensor]:
        """The embeddings `[T, B, D]` by modality, not yet normalised."""
        return {name: self.encoders[name](x, fire) for name, x in zip(self.inputs, inputs, strict=True)}

    def normalised(self, embeddings: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same behind their L2 layers."""
        return {name: self.l2[name](values) for name, values in embeddings.items()}

    def output(self, logits: Tensor, fire: Fire) -> Tensor:
        """Logits `[T, B, classes]`, or the spikes that they give as a current."""
        return logits if self.lif_out is None else fire(self.lif_out, logits)

    def loss(self, inputs: Sequence[Tensor], labels: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the fusion and, in two stages, of each modality's own classifier.

        `stage="all"`, the default, trains both at once, the fusion on embeddings cut from its gradient.
        """
        normalised = self.normalised(self.embeddings(inputs, fused))
        if self.config.modality != "both" or self.config.training == "end_to_end":
            scores = self._scores(self.fusion, normalised)
            return self._entropy(scores, labels), scores
        scores = self._scores(self.fusion, {name: z.detach() for name, z in normalised.items()})
        losses = []
        if self.stage != "unimodal" and self.config.fusion != "add":
            losses.append(self._entropy(scores, labels))
        if self.stage != "fusion":
            losses += [self._entropy(self._alone(name, z), labels) for name, z in normalised.items()]
        return torch.stack(losses).sum(), scores

    def _alone(self, name: str, normalised: Tensor) -> Tensor:
        """What the classifier of one modality says."""
        return self._scores(Addition(self.classifiers), {name: normalised})

    def _scores(self, fusion: nn.Module, normalised: Mapping[str, Tensor]) -> Tensor:
        return self.output(fusion(normalised, fused), fused).sum(0)

    def _entropy(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Of the mean over the window where logits are summed, of the count where spikes are."""
        logits = scores if self.lif_out is not None else scores / self.steps
        return cross_entropy(logits, labels, label_smoothing=self.label_smoothing)

    def enter(self, stage: Stage) -> None:
        """Train one stage alone: `unimodal`, then `fusion` with the networks of the modalities as they are.

        Raises `UserError` for a network without two stages, or whose fusion has nothing to train.
        """
        if self.config.modality != "both" or self.config.training != "two_stage":
            raise UserError("stages are for networks of both modalities with training=two_stage")
        if stage == "fusion" and self.config.fusion == "add":
            raise UserError("fusion 'add' has nothing to train; stay in stage unimodal or all")
        self.stage = stage
        for part in (self.encoders, self.classifiers):
            part.requires_grad_(stage != "fusion")
        self.train(self.training)

    def train(self, mode: bool = True) -> L2Act:
        super().train(mode)
        if self.stage == "fusion":
            self.encoders.eval()
            self.l2.eval()
        return self


class Discrimination(NamedTuple):
    """Mean angles in degrees between two embeddings of one class, and of two classes."""

    within: float
    between: float


def discrimination(embeddings: Tensor, labels: Tensor) -> Discrimination:
    """[paper] Intra-class compactness and inter-class separation of embeddings [N, D] with labels [N].

    Means over all pairs of different samples; a sample without any spike has no direction and is left out.
    Raises `UserError` where no class has two samples, or there are not two classes.
    """
    spiking = embeddings.norm(dim=1) > 0
    directions = normalize(embeddings[spiking].double(), dim=1)
    same = labels[spiking, None] == labels[None, spiking]
    first = torch.ones_like(same).triu(1)
    if not bool((same & first).any()) or bool(same.all()):
        raise UserError(f"{len(same)} embeddings: two of one class and two classes are needed for angles")
    angles = torch.rad2deg(torch.acos((directions @ directions.T).clamp(-1, 1)))
    return Discrimination(float(angles[same & first].mean()), float(angles[~same & first].mean()))
