"""The options of S-CMRL and what they are for which data (see `avnir.models.scmrl`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from avnir.ir.operation import Shape
from avnir.models.attention import HEADS, Product, Temporal
from avnir.models.configuration import Configuration, Shape3
from avnir.models.data.encoding import Coding

Modality = Literal["both", "image", "audio"]
Form = Literal["paper", "deployable"]
DEEP_FROM = 64
"""Pictures of at least this height and width go through four stages, smaller ones through two."""
FORMS: Mapping[Form, Product] = {"paper": "matmul", "deployable": "broadcast"}
"""The order of products in attention: all that the two forms differ in."""
DEEP_CHANNELS: Mapping[Form, int] = {"paper": 256, "deployable": 64}
"""For large pictures: the published sizes for CREMA-D and for UrbanSound8K-AV."""
SHALLOW_CHANNELS = 32
"""For small ones: the smaller of the published sizes for digits."""
ALIGNED = ("residual", "replace")
"""The ways of fusion that have residuals to align."""


@dataclass(frozen=True)
class SCMRLConfig(Configuration):
    """All that is needed to rebuild the network.

    Shapes are (c, h, w) of one sample at one step; (n, 1, 1) is a vector of n values. `alignment` is the
    weight of the alignment loss, `temperature` its tau: 0.07 for CREMA-D, 0.08 for UrbanSound8K-AV and 0.1
    for digits in the authors' code. Of one modality alone, attention is spatial, on itself, with alpha 1.
    """

    name: ClassVar[str] = "scmrl"
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {
        "steps": (1, 20),
        "alpha": (0, 16),
        "attention_threshold": (0.5, 4),
        "alignment": (0, 1e3),
        "temperature": (1e-3, 1e3),
        "label_smoothing": (0, 0.99),
    }

    image_shape: Shape3 = (1, 28, 28)
    audio_shape: Shape3 = (1, 28, 28)
    modality: Modality = "both"
    classes: int = 10
    channels: int = 32
    steps: int = 4
    coding: Coding = "direct"
    attention: Literal["full", "spatial", "temporal", "qk"] = "full"
    query: Literal["own", "other"] = "own"
    fusion: Literal["residual", "replace", "weight", "add", "concat"] = "residual"
    project: Literal["plain", "normalised", "none"] = "plain"
    alpha: float = 1.5
    temporal: Temporal = "window"
    product: Product = "broadcast"
    fires: Literal["ge", "gt"] = "ge"
    attention_threshold: float = 1.0
    alignment: float = 1.0
    temperature: float = 0.1
    label_smoothing: float = 0.1
    detach: bool = True

    @property
    def shapes(self) -> dict[str, Shape3]:
        """The shape of each input that is used."""
        known = {"image": self.image_shape, "audio": self.audio_shape}
        return known if self.modality == "both" else {self.modality: known[self.modality]}

    @property
    def grid(self) -> tuple[int, int]:
        """Tokens along height and width: those of the pictures, 1 x 1 where there are vectors only."""
        return next((_grid(shape) for shape in self.shapes.values() if not is_vector(shape)), (1, 1))

    def conflicts(self) -> list[str]:
        grids = {_grid(shape) for shape in self.shapes.values() if not is_vector(shape)}
        rules = [
            (self.channels % HEADS == 0, f"channels is {self.channels}, must be a multiple of 16"),
            (self.attention_threshold % 0.5 == 0, "attention_threshold must be a multiple of 0.5"),
            (len(grids) < 2, f"image and audio give grids of {grids} tokens; bring them to one size"),
            (self.aligns or not self.alignment, "alignment needs two residuals to align: set it to 0"),
        ]
        return [problem for good, problem in rules if not good]

    @property
    def aligns(self) -> bool:
        """Whether there are two residuals, which a loss can align."""
        return self.modality == "both" and self.fusion in ALIGNED


def config_for(
    shapes: Mapping[str, Shape],
    classes: int,
    steps: int,
    modality: Modality,
    form: Form,
    settings: Mapping[str, str],
) -> SCMRLConfig:
    """The configuration for data of these `shapes` by modality; `settings`, as text, have the last word.

    Raises `UserError` for a setting that is unknown or out of range.
    """
    aligned = modality == "both" and settings.get("fusion", "residual") in ALIGNED
    deep = any(_is_deep(shape) for shape in shapes.values())
    given = {
        **{f"{name}_shape": tuple(shape) for name, shape in shapes.items()},
        "modality": modality,
        "classes": classes,
        "steps": steps,
        "channels": DEEP_CHANNELS[form] if deep else SHALLOW_CHANNELS,
        "product": FORMS[form],
        "alignment": 1.0 if aligned else 0.0,
    }
    return SCMRLConfig.from_settings(given, settings)


def training_defaults(config: SCMRLConfig) -> dict[str, Any]:
    """How the authors' code trains: AdamW, five epochs of warm-up, then a cosine down to 1e-5."""
    return {
        "epochs": 100,
        "batch_size": 128,
        "learning_rate": 6.25e-4,
        "weight_decay": 1e-4,
        "warmup_epochs": 5,
        "final_learning_rate": 1e-5,
    }


def is_vector(shape: Shape) -> bool:
    """Whether a sample is a row of numbers, not a picture."""
    return tuple(shape[1:]) == (1, 1)


def stages(shape: Shape) -> int:
    """How often patch splitting halves a picture."""
    return 4 if _is_deep(shape) else 2


def _is_deep(shape: Shape) -> bool:
    return min(shape[1:]) >= DEEP_FROM


def _grid(shape: Shape) -> tuple[int, int]:
    """Each stage halves, rounding up."""
    height, width = (-(-size // 2 ** stages(shape)) for size in shape[1:])
    return height, width
