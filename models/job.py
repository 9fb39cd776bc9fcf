"""From a name and options to a trained network, or its integers, in a `model.pt`: what `avnir train` does.

Each network's module offers `config_for`, its configuration for data of given shapes, and
`training_defaults`, fields of `TrainingConfig`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from avnir.errors import DataError, UserError
from avnir.models import module_of
from avnir.models.batches import accuracy, example_inputs, subset
from avnir.models.classifier import Classifier
from avnir.models.data import registry
from avnir.models.data.pairs import PairedData, Split
from avnir.models.machine import Machine
from avnir.models.training import Files, Progress, TrainingConfig, picked_epoch, train

if TYPE_CHECKING:
    from avnir.ir.graph import Graph
    from avnir.models.integer_training import FineTuned


@dataclass(frozen=True)
class Job:
    """What to train on what.

    `settings` are options of the network's configuration as text, `training` fields of `TrainingConfig` that
    replace the network's defaults, `options` those of the data set. A job with `start` begins with the
    network in that file in place of a new one.
    """

    model: str
    data: str
    folder: Path | None
    options: registry.Options
    modality: str
    form: str
    settings: Mapping[str, str]
    training: Mapping[str, Any]
    subset: int | None
    examples: int
    out: Path
    machine: Machine = field(default_factory=Machine)
    files: Files = field(default_factory=Files)
    start: Path | None = None


def load_data(job: Job) -> tuple[PairedData, list[str]]:
    """The job's data, and the warnings that came with it: what leaks from training into the test.

    Raises `DataError` for what is missing, and where there are fewer pairs than the job needs.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", registry.DataLeakWarning)
        data = registry.load(job.data, job.folder or Path(), job.options)
    if job.subset:
        data = subset(data, job.subset)
    data.test.take(job.examples)
    return data, [str(one.message) for one in caught]


def train_floats(job: Job, data: PairedData, progress: Progress) -> dict[str, Any]:
    """Train and save the network itself; what is told of it."""
    network, result = trained(job, data, progress)
    result["test_accuracy"] = accuracy(network, data.test)
    network.cpu()
    architecture = (job.model, network.identity())
    save(
        network,
        Examples(network, data.test, job.examples),
        job.out,
        architecture,
        {**data.provenance, **result},
    )
    return result


def trained(job: Job, data: PairedData, progress: Progress) -> tuple[Classifier, dict[str, Any]]:
    """A new network, trained, and what is told of it but for the test."""
    network, defaults = fresh_network(job, data)
    config = training_config(job, defaults)
    history = train(network, data, config, files=job.files, machine=job.machine, progress=progress)
    last = history[picked_epoch(history, config) - 1]
    result = {
        "data": data.name,
        "modality": job.modality,
        "epochs": len(history),
        "train_pairs": len(data.train),
        "test_pairs": len(data.test),
        "train_accuracy": last.accuracy,
        "training_seconds": round(sum(epoch.seconds for epoch in history), 1),
    }
    if last.validation_accuracy is not None:
        result |= {"validation_accuracy": last.validation_accuracy, "picked_epoch": last.epoch}
    return network, result


def fresh_network(job: Job, data: PairedData) -> tuple[Classifier, dict[str, Any]]:
    """The untrained network for the data's shapes, its weights drawn from the seed; its training defaults."""
    module = module_of(job.model)
    wanted = ("image", "audio") if job.modality == "both" else (job.modality,)
    if missing := [name for name in wanted if name not in data.train.inputs]:
        raise DataError(f"{data.name} has no {' and no '.join(missing)}; choose --modality")
    shapes = {name: data.train.inputs[name].shape[-3:] for name in wanted}
    config = module.config_for(
        shapes, len(data.class_names), job.options.steps, job.modality, job.form, job.settings
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.options.seed)
        network = cast(Classifier, module.build(config.to_json()))
    return network, module.training_defaults(config)


def training_config(job: Job, defaults: Mapping[str, Any]) -> TrainingConfig:
    """The defaults with the job's own values; a warm-up is as long a share of other epochs as of theirs."""
    values = {**defaults, **job.training, "seed": job.options.seed}
    if "epochs" in job.training and "warmup_epochs" in defaults and "warmup_epochs" not in job.training:
        values["warmup_epochs"] = defaults["warmup_epochs"] * values["epochs"] // defaults["epochs"]
    return TrainingConfig(**values)


def train_integers(
    job: Job, data: PairedData, progress: Progress, target_name: str, weight_bits: int, epochs: int
) -> dict[str, Any]:
    """Train and save the network's integers; what is told of them."""
    from avnir import target
    from avnir.models.integer_training import fine_tune, fine_tuning, prove

    graph, steps, before = _started(job.start) if job.start else _begun(job, data, progress)
    config = fine_tuning(weight_bits, epochs, job.options.seed)
    files = Files(metrics=job.files.metrics, tensorboard=job.files.tensorboard)
    made = fine_tune(
        graph, target.load(target_name), data, steps, weight_bits, config, files=files, progress=progress
    )
    examples = Examples(made.network, data.test, job.examples)
    inputs = {name: x.numpy() for name, x in examples.tensors()[0].items()}
    result = {
        **_integer_result(made, data, weight_bits),
        **before,
        "equal_slots": prove(made.network, inputs),
    }
    save(made.model, examples, job.out, None, {**data.provenance, **result})
    return result


def _begun(job: Job, data: PairedData, progress: Progress) -> tuple[Graph, int, dict[str, Any]]:
    """A network trained in floating point: its graph, the steps of its window, what is told of it."""
    from avnir.export import trace

    fresh, _ = fresh_network(job, data)
    if fresh.coding != "rate":
        raise UserError(
            f"{job.model} takes {fresh.coding} inputs, integers are trained on binary ones: --set coding=rate"
        )
    network, _ = trained(job, data, progress)
    before = {"float_accuracy": accuracy(network, data.test)}
    network.cpu()
    silence = tuple(torch.zeros(2, 1, *shape) for shape in network.shapes.values())
    return trace(network, silence, network.time), network.steps, before


def _started(path: Path) -> tuple[Graph, int, dict[str, Any]]:
    """The same of a saved one; its accuracy is not known."""
    from avnir.export import load

    saved = load(path)
    return saved.graph, len(next(iter(saved.inputs.values()))), {}


def _integer_result(made: FineTuned, data: PairedData, weight_bits: int) -> dict[str, Any]:
    from avnir.models.integer_network import IntegerNetwork

    untrained = IntegerNetwork(made.start, weight_bits, made.network.steps)
    return {
        "data": data.name,
        "modality": " and ".join(made.network.inputs),
        "epochs": len(made.history),
        "train_pairs": len(data.train),
        "test_pairs": len(data.test),
        "train_accuracy": made.history[-1].accuracy,
        "test_accuracy": accuracy(made.network, data.test),
        "untrained_accuracy": accuracy(untrained, data.test),
        "training_seconds": round(sum(epoch.seconds for epoch in made.history), 1),
        "target": made.network.program.target,
        "weight_bits": weight_bits,
        "program": made.network.program.digest,
        "requantised_weights": made.moved,
    }


@dataclass(frozen=True)
class Examples:
    """The first `count` samples of a split, as `network` sees them."""

    network: Classifier
    split: Split
    count: int

    def without(self, samples: Sequence[int]) -> Examples:
        """Others in the place of some of them."""
        return replace(self, split=self.split.without(samples))

    def tensors(self) -> tuple[dict[str, Tensor], Tensor]:
        """Inputs [T, count, c, h, w] by name, and labels [count]."""
        inputs, labels = example_inputs(self.network, self.split, self.count)
        return dict(zip(self.network.inputs, inputs, strict=True)), labels


def save(
    model: nn.Module,
    examples: Examples,
    out: Path,
    architecture: tuple[str, Mapping[str, Any]] | None,
    notes: Mapping[str, Any],
) -> None:
    """Save the model with the first test samples in which float32's rounding decides no spike."""
    import avnir
    from avnir.export import TieError

    time = model.time if isinstance(model, Classifier) else "step"
    decision = model.decision if isinstance(model, Classifier) else None
    while True:
        inputs, labels = examples.tensors()
        try:
            avnir.save(
                model,
                inputs,
                out,
                time=time,
                labels=labels,
                architecture=architecture,
                notes=notes,
                decision=decision,
            )
            return
        except TieError as ties:
            examples = examples.without(ties.samples)
