"""What is measured: each system on each data set, with its variants, three seeds each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SEEDS = (0, 1, 2)
FOLDS = 6
"""Of RAVDESS: four actors each."""


@dataclass(frozen=True)
class Budget:
    """How long a data set is trained on and with what, on one thread of a processor.

    `pairs` of training, `tests` of the test split, or all there are with None; `steps` of a window. `vectors`
    and `input_noise` as `avnir train` has them; `rates`: learning rates that differ from LEARNING_RATES.
    """

    data: str
    title: str
    epochs: int
    pairs: int | None
    tests: int | None
    steps: int = 4
    image_size: int = 14
    audio_size: int = 14
    batch_size: int = 50
    vectors: bool = False
    input_noise: float = 0.0
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Of each system, on top of its own."""
    rates: Mapping[str, float] = field(default_factory=dict)


BUDGETS: Mapping[str, Budget] = {
    "digits": Budget("mnist-fsdd", "MNIST x FSDD, 14x14", 5, 2000, 1000),
    "emotion": Budget(
        *("ravdess", "RAVDESS, 35 facial action units x speech 16x16, as vectors", 10, None, None),
        audio_size=16,
        batch_size=25,
        vectors=True,
        input_noise=0.1,
        settings={"scmrl": {"channels": "64"}, "taaf": {"width": "128"}},
        rates={"scmrl": 5e-3, "l2act": 3e-3, "taaf": 3e-3},
    ),
    "events": Budget("nmnist-fsdd", "N-MNIST (1,000 clips) x FSDD, 14x14", 6, None, None),
    "objects": Budget(
        "cifar10-esc10", "CIFAR-10 x ESC-10, 16x16", 4, 1500, 1000, image_size=16, audio_size=16
    ),
}


@dataclass(frozen=True)
class Case:
    """One training and what is measured on its result; `settings` are the configuration's, as text."""

    system: str
    budget: str
    variant: str
    modality: str = "both"
    form: str = "deployable"
    settings: Mapping[str, str] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    measured: bool = False
    """Under noise, and deployed; of the first seed."""
    fold: int | None = None
    """The one that tests, of a set that has folds; the usual one with None."""
    seeds: tuple[int, ...] = SEEDS

    def key(self, seed: int) -> str:
        """Names the row of a seed."""
        return f"{self.budget}/{self.system}/{self.form}/{self.variant}/{seed}"


SYSTEMS: Mapping[str, Mapping[str, str]] = {
    "scmrl": {"project": "normalised", "attention_threshold": "0.5"},
    "l2act": {"width": "8"},
    "taaf": {},
}
"""The settings of each system's own rows. S-CMRL's attention is silent in short trainings as published."""
LEARNING_RATES: Mapping[str, float] = {"scmrl": 5e-3, "l2act": 4e-3, "taaf": 1e-2}
"""For such short trainings; from a few trials on MNIST x FSDD."""
VALIDATION = 0.1
"""Of the training pairs, held back."""
PAPER_FORMS: Mapping[str, Mapping[str, str]] = {
    "scmrl": {},
    "l2act": {"width": "8", "audio_width": "16"},
    "taaf": {},
}
"""L2-ActSpikeNet's at the width of the deployable one: a whole ResNet18 is too much for a processor."""
PLAIN: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "scmrl": {"add": {"fusion": "add"}, "concat": {"fusion": "concat"}},
    "l2act": {"add": {"fusion": "add"}, "concat": {"fusion": "concat"}},
    "taaf": {"concat": {"attention": "static", "warp": "none", "unimodal_weight": "0"}},
}
"""Fusion by plain means. TAAF's classes are linear in both modalities, so that its two are one network."""


def _systems(budget: str) -> Mapping[str, Mapping[str, str]]:
    """Each system's settings on a data set."""
    own = BUDGETS[budget].settings
    return {system: {**settings, **own.get(system, {})} for system, settings in SYSTEMS.items()}


def cases(budgets: tuple[str, ...]) -> Iterator[Case]:
    """All of them, those that the cards need most first."""
    for budget in budgets:
        for system, settings in _systems(budget).items():
            yield Case(system, budget, "fused", settings=settings, measured=True)
    for budget in budgets:
        yield Case("scmrl", budget, "residual", settings={**_systems(budget)["scmrl"], "alignment": "0"})
        for system, settings in _systems(budget).items():
            for variant, changes in PLAIN[system].items():
                yield Case(system, budget, variant, settings={**settings, **changes})
            for modality in ("image", "audio"):
                yield Case(system, budget, modality, modality, settings=settings)
    if "emotion" in budgets:  # actors differ more than seeds do
        for system, settings in _systems("emotion").items():
            for fold in range(FOLDS):
                yield Case(system, "emotion", f"fold {fold}", settings=settings, fold=fold, seeds=(0,))
    if "digits" in budgets:
        yield Case("scmrl", "digits", "published")
        yield Case("l2act", "digits", "without L2", settings={**SYSTEMS["l2act"], "l2": "none"})
        for system in SYSTEMS:
            yield Case(system, "digits", "paper form", form="paper", settings=PAPER_FORMS[system])
