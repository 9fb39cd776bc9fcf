"""Training of a digit network: a plain loop, the same numbers every time, resumable after any epoch.

Loss: cross-entropy with the number of output spikes over the window as logits, so that exactly what
decides is trained. AdamW, learning rate a cosine from its start to zero (I. Loshchilov, F. Hutter,
SGDR, 2017; Decoupled Weight Decay Regularization, 2019).

An epoch is a function of (weights, optimiser state, seed, epoch number) and nothing else: its order
and its random draws come from a generator seeded with the last two. So a resumed run needs no random
state and ends with the weights of an uninterrupted one.
"""

from __future__ import annotations

import csv
import math
import pickle
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from avnir.errors import CheckpointError, DataError
from avnir.files import atomic_path
from avnir.models.classifier import Classifier
from avnir.models.data.encoding import rate_encode
from avnir.models.data.pairs import PairedData, Split

FORMAT = "avnir-training-1"
SECTIONS = {"model", "data", "training", "history", "network", "optimiser"}
EVALUATION_BATCH = 500
SEED_STRIDE = 100_003
"""Between the seeds of two runs, so that no epoch of one draws what an epoch of another does."""


@dataclass(frozen=True)
class TrainingConfig:
    """How to train. Each training image is moved by up to `image_shift` pixels, along both axes."""

    epochs: int = 6
    batch_size: int = 100
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    image_shift: int = 1
    seed: int = 0


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch: mean loss and accuracy over the training pairs while the weights moved."""

    epoch: int
    loss: float
    accuracy: float
    seconds: float


Progress = Callable[[int, int], None]
"""Called after each batch with the number of batches done and of all batches of the run."""


def train(
    network: Classifier,
    data: PairedData,
    config: TrainingConfig,
    *,
    checkpoint: Path | None = None,
    resume: Path | None = None,
    metrics: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> list[EpochMetrics]:
    """Train `network` in place on `data.train`; the metrics of every epoch, resumed ones included.

    `checkpoint` is rewritten after each epoch, `resume` is one to continue from, and each epoch adds
    a row to the CSV file `metrics`. Leaves the network in evaluation mode, its state reset.

    Raises `CheckpointError` for a checkpoint that is unreadable or of another run.
    """
    run = _identity(network, data, config)
    trainable = [values for values in network.parameters() if values.requires_grad]
    optimiser = torch.optim.AdamW(trainable, config.learning_rate, weight_decay=config.weight_decay)
    history = _resume(resume, run, network, optimiser) if resume else []
    inputs, labels = _tensors(network, data.train)
    for epoch in range(len(history), config.epochs):
        start = time.perf_counter()
        loss, correct = _epoch(network, optimiser, inputs, labels, config, epoch, progress)
        seconds = time.perf_counter() - start
        history.append(EpochMetrics(epoch + 1, loss / len(labels), correct / len(labels), seconds))
        if checkpoint:
            _write_checkpoint(checkpoint, run, network, optimiser, history)
        if metrics:
            _append_row(metrics, history[-1])
    network.eval()
    network.reset_state()
    return history


def accuracy(network: Classifier, split: Split) -> float:
    """The fraction of pairs whose label has the most output spikes (of equals, the lowest class)."""
    network.eval()
    inputs, labels = _tensors(network, split)
    correct = 0
    with torch.no_grad():
        for chosen in torch.split(torch.arange(len(labels)), EVALUATION_BATCH):
            counts = spike_counts(network, [values[chosen] for values in inputs])
            correct += int((counts.argmax(1) == labels[chosen]).sum())
    network.reset_state()
    return correct / len(labels)


def spike_counts(network: Classifier, values: list[Tensor]) -> Tensor:
    """Values in [0, 1], one [B, c, h, w] per input of the network -> output spikes per class [B, classes]."""
    spikes = (rate_encode(value, network.steps) for value in values)
    return network.window(*spikes).sum(0)


def example_inputs(network: Classifier, split: Split, count: int) -> tuple[tuple[Tensor, ...], Tensor]:
    """Encoded inputs [T, count, c, h, w], one per input of the network, and labels [count] int64."""
    inputs, labels = _tensors(network, split.take(count))
    return tuple(rate_encode(values, network.steps) for values in inputs), labels


def _tensors(network: Classifier, split: Split) -> tuple[list[Tensor], Tensor]:
    arrays = {"image": split.images, "audio": split.audio}
    if unknown := sorted(set(network.inputs) - set(arrays)):
        raise DataError(f"the network takes {', '.join(unknown)}, the data are {' and '.join(arrays)}")
    for name in network.inputs:
        if arrays[name].shape[1:] != network.shapes[name]:
            raise DataError(
                f"{name} data is {arrays[name].shape[1:]}, the network takes {network.shapes[name]}"
            )
    return [torch.from_numpy(arrays[name]) for name in network.inputs], torch.from_numpy(split.labels)


def _epoch(
    network: Classifier,
    optimiser: torch.optim.Optimizer,
    inputs: list[Tensor],
    labels: Tensor,
    config: TrainingConfig,
    epoch: int,
    progress: Progress,
) -> tuple[float, int]:
    """One pass over all pairs: the summed loss and the number of right answers."""
    network.train()
    total_loss, correct = 0.0, 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed * SEED_STRIDE + epoch)
        batches = torch.split(torch.randperm(len(labels)), config.batch_size)
        for index, chosen in enumerate(batches):
            _set_rate(optimiser, config, (epoch + index / len(batches)) / config.epochs)
            counts = spike_counts(network, _batch(network, inputs, chosen, config))
            loss = cross_entropy(counts, labels[chosen])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            total_loss += loss.item() * len(chosen)
            correct += int((counts.argmax(1) == labels[chosen]).sum())
            progress(epoch * len(batches) + index + 1, config.epochs * len(batches))
    return total_loss, correct


def _set_rate(optimiser: torch.optim.Optimizer, config: TrainingConfig, done: float) -> None:
    """Half a cosine: the full learning rate at `done` = 0, none at 1."""
    for group in optimiser.param_groups:
        group["lr"] = config.learning_rate * (1 + math.cos(math.pi * done)) / 2


def _batch(network: Classifier, inputs: list[Tensor], chosen: Tensor, config: TrainingConfig) -> list[Tensor]:
    """The chosen pairs, images moved at random; spectrograms start and end with the clip, and stay."""
    reach = {"image": config.image_shift, "audio": 0}
    return [shifted(values[chosen], reach[name]) for name, values in zip(network.inputs, inputs, strict=True)]


def shifted(values: Tensor, reach: int) -> Tensor:
    """Each picture of [B, c, h, w] moved by its own random offset within `reach`, zeros moving in."""
    if not reach:
        return values
    batch, channels, height, width = values.shape
    padded = torch.nn.functional.pad(values, (reach,) * 4)
    rows = torch.randint(2 * reach + 1, (batch, 1)) + torch.arange(height)
    columns = torch.randint(2 * reach + 1, (batch, 1)) + torch.arange(width)
    picture = torch.arange(batch).view(-1, 1, 1, 1)
    channel = torch.arange(channels).view(1, -1, 1, 1)
    return padded[picture, channel, rows[:, None, :, None], columns[:, None, None, :]]


def _identity(network: Classifier, data: PairedData, config: TrainingConfig) -> dict[str, Any]:
    """What must agree for a checkpoint to be continued; JSON values only."""
    described = {**data.provenance, "name": data.name, "pairs": len(data.train)}
    return {
        "format": FORMAT,
        "model": network.identity(),
        "data": described,
        "training": asdict(config),
    }


def _write_checkpoint(
    path: Path,
    run: dict[str, Any],
    network: Classifier,
    optimiser: torch.optim.Optimizer,
    history: list[EpochMetrics],
) -> None:
    contents = {
        **run,
        "history": [asdict(epoch) for epoch in history],
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    with atomic_path(path) as temporary:
        torch.save(contents, temporary)


def _resume(
    path: Path, run: dict[str, Any], network: Classifier, optimiser: torch.optim.Optimizer
) -> list[EpochMetrics]:
    """Load weights and optimiser state; the metrics of the epochs done so far."""
    saved = _read_checkpoint(path)
    if differing := _differences(saved, run):
        raise CheckpointError(f"{path}: from another run; {'; '.join(differing)}")
    network.load_state_dict(saved["network"])
    optimiser.load_state_dict(saved["optimiser"])
    return [EpochMetrics(**epoch) for epoch in saved["history"]]


def _read_checkpoint(path: Path) -> dict[str, Any]:
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path}: missing, or not a training checkpoint; --checkpoint writes one")
    try:
        saved = torch.load(path, weights_only=True)
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path}: not a readable training checkpoint ({error})") from error
    if not isinstance(saved, dict) or saved.get("format") != FORMAT or not saved.keys() >= SECTIONS:
        raise CheckpointError(f"{path}: not a training checkpoint of format {FORMAT!r}")
    return saved


def _differences(saved: dict[str, Any], run: dict[str, Any]) -> list[str]:
    return [
        f"{section}.{key} was {saved[section].get(key)!r} and is {value!r}"
        for section in ("model", "data", "training")
        for key, value in run[section].items()
        if saved[section].get(key) != value
    ]


def _append_row(path: Path, row: EpochMetrics) -> None:
    values = asdict(row)
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(values))
        if new:
            writer.writeheader()
        writer.writerow(values)


def subset(data: PairedData, pairs: int) -> PairedData:
    """`data` with the first `pairs` training pairs only (they are in random order), all test pairs."""
    return replace(data, train=data.train.take(pairs))
