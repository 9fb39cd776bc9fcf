"""Training of a classifier: a plain loop, the same numbers every time, resumable after any epoch.

The loss is the network's own (`Classifier.loss`). AdamW; the learning rate rises in a line over the epochs of
warm-up and then falls along half a cosine (I. Loshchilov, F. Hutter, SGDR, 2017; Decoupled Weight Decay
Regularization, 2019). Nothing is ever decided by the test split.

An epoch is a function of (weights, optimiser state, seed, epoch number) and nothing else: its order
and its random draws come from a generator seeded with the last two. So a resumed run needs no random
state and, on the CPU, ends with the weights of an uninterrupted one.

Several processes (`Machine`) share each batch; every one then has the mean of their gradients, and after
each epoch the mean of their normalisations' statistics.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor

from avnir.errors import UserError
from avnir.models.batches import accuracy as accuracy
from avnir.models.batches import divided, encoded, tensors, training_batch
from avnir.models.batches import example_inputs as example_inputs
from avnir.models.batches import shifted as shifted
from avnir.models.batches import subset as subset
from avnir.models.classifier import Classifier
from avnir.models.data.pairs import PairedData, Split
from avnir.models.machine import Machine, launch, mean_buffers, mean_gradients, shard
from avnir.models.training_files import EpochMetrics as EpochMetrics
from avnir.models.training_files import Files as Files
from avnir.models.training_files import Weights, read_checkpoint, write_checkpoint

if TYPE_CHECKING:
    from lightning_fabric import Fabric

SEED_STRIDE = 100_003
"""Between the seeds of two runs, so that no epoch of one draws what an epoch of another does."""
RANK_STRIDE = 1_000_003
"""The same between processes."""
Pick = Literal["last", "best"]


@dataclass(frozen=True)
class TrainingConfig:
    """How to train; raises `UserError` for what does not go together.

    Each training image is moved by up to `image_shift` pixels, along both axes, and normal noise of standard
    deviation `input_noise` is added to every value in [0, 1], cut to that range. `validation` is the share of
    the training pairs that is held back, drawn from `seed`; `pick` says whose weights stay: those of the last
    epoch, or of the first with the best validation accuracy.
    """

    epochs: int = 6
    batch_size: int = 100
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    image_shift: int = 1
    input_noise: float = 0.0
    seed: int = 0
    warmup_epochs: int = 0
    final_learning_rate: float = 0.0
    validation: float = 0.0
    pick: Pick = "last"

    def __post_init__(self) -> None:
        problems = [
            (self.warmup_epochs >= self.epochs, f"{self.warmup_epochs} epochs of warm-up of {self.epochs}"),
            (not 0 <= self.input_noise <= 1, f"input_noise is {self.input_noise}, must be in [0, 1]"),
            (not 0 <= self.validation < 1, f"validation is {self.validation}, must be in [0, 1)"),
            (
                self.pick == "best" and not self.validation,
                "the best epoch is known with validation pairs only",
            ),
        ]
        if found := [text for bad, text in problems if bad]:
            raise UserError("; ".join(found))


Progress = Callable[[int, int], None]
"""Called after each batch with the number of batches done and of all batches of the run."""


@dataclass
class _Run:
    """What an epoch works on: the network and all that goes with it."""

    network: Classifier
    optimiser: torch.optim.Optimizer
    config: TrainingConfig
    fabric: Fabric
    inputs: list[Tensor]
    labels: Tensor
    progress: Progress


def train(
    network: Classifier,
    data: PairedData,
    config: TrainingConfig,
    *,
    files: Files | None = None,
    machine: Machine | None = None,
    progress: Progress = lambda done, total: None,
) -> list[EpochMetrics]:
    """Train `network` in place on `data.train`; the metrics of every epoch, resumed ones included.

    Leaves the network on the machine's device (by default the CPU), in evaluation mode, its state reset.
    Of several processes the first writes `files`.

    Raises `CheckpointError` for a checkpoint that is unreadable or of another run, `DataError` where the data
    do not fit the network, and `UserError` where the loss is not finite.
    """
    files, fabric = files or Files(), launch(machine or Machine())
    learning, validation = divided(data.train, config.validation, config.seed)
    inputs, labels = tensors(network, learning)
    network.to(fabric.device)
    trainable = [values for values in network.parameters() if values.requires_grad]
    optimiser = torch.optim.AdamW(trainable, config.learning_rate, weight_decay=config.weight_decay)
    run = _Run(network, optimiser, config, fabric, inputs, labels, progress)
    identity = _identity(network, data, config, fabric)
    history, best = _resumed(run, read_checkpoint(files.resume, identity)) if files.resume else ([], None)
    for epoch in range(len(history), config.epochs):
        history.append(_epoch(run, validation, epoch))
        if config.pick == "best" and picked_epoch(history, config) == epoch + 1:
            best = copy.deepcopy(network.state_dict())
        if fabric.is_global_zero:
            files.add(history[-1])
            if files.checkpoint:
                write_checkpoint(files.checkpoint, {**identity, **_state(run, history, best)})
    if best:
        network.load_state_dict(best)
    network.eval()
    network.reset_state()
    return history


def picked_epoch(history: list[EpochMetrics], config: TrainingConfig) -> int:
    """Whose weights stay, counted from 1."""
    if config.pick == "last":
        return len(history)
    return max(history, key=lambda epoch: (cast(float, epoch.validation_accuracy), -epoch.epoch)).epoch


def _epoch(run: _Run, validation: Split | None, epoch: int) -> EpochMetrics:
    """One pass over all training pairs, and what the network then makes of the others."""
    start = time.perf_counter()
    loss, correct = _pass(run, epoch)
    seconds, pairs = time.perf_counter() - start, len(run.labels)
    if not math.isfinite(loss):
        raise UserError(f"the loss is {loss} in epoch {epoch + 1}; try a lower --learning-rate")
    known = accuracy(run.network, validation) if validation else None
    return EpochMetrics(epoch + 1, loss / pairs, correct / pairs, seconds, _rate(run.optimiser), known)


def _pass(run: _Run, epoch: int) -> tuple[float, int]:
    """The summed loss and the number of right answers over all pairs."""
    run.network.train()
    config, fabric = run.config, run.fabric
    optimiser = cast(torch.optim.Optimizer, fabric.setup_optimizers(run.optimiser))
    totals = torch.zeros(3, dtype=torch.float64, device=fabric.device)
    with torch.random.fork_rng(devices=[fabric.device] if fabric.device.type == "cuda" else []):
        seed = config.seed * SEED_STRIDE + epoch
        torch.manual_seed(seed)
        batches = torch.split(torch.randperm(len(run.labels)), config.batch_size)
        if fabric.global_rank:
            torch.manual_seed(seed + RANK_STRIDE * fabric.global_rank)
        for index, chosen in enumerate(batches):
            _set_rate(run.optimiser, config, epoch + index / len(batches))
            totals += _step(run, optimiser, shard(chosen, fabric))
            run.progress(epoch * len(batches) + index + 1, config.epochs * len(batches))
    mean_buffers(run.network, fabric)
    if fabric.world_size > 1:
        totals = cast(Tensor, fabric.all_reduce(totals, reduce_op="sum"))
    loss, correct, seen = totals.tolist()
    return loss * len(run.labels) / seen, round(correct * len(run.labels) / seen)


def _step(run: _Run, optimiser: torch.optim.Optimizer, chosen: Tensor) -> Tensor:
    """One batch: the summed loss, the number of right answers, the number of pairs; float64 [3]."""
    network = run.network
    labels = run.labels[chosen].to(run.fabric.device)
    batch = training_batch(network, run.inputs, chosen, run.config.image_shift, run.config.input_noise)
    with run.fabric.autocast():
        loss, scores = network.loss(encoded(network, batch), labels)
    optimiser.zero_grad()
    run.fabric.backward(loss)
    network.before_step()
    mean_gradients(network, run.fabric)
    optimiser.step()
    right = (scores.detach().argmax(1) == labels).sum()
    return torch.stack(
        [loss.detach().double() * len(chosen), right.double(), torch.full_like(right, len(chosen)).double()]
    )


def _set_rate(optimiser: torch.optim.Optimizer, config: TrainingConfig, epochs: float) -> None:
    """The learning rate after a number of epochs."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(config, epochs)


def learning_rate(config: TrainingConfig, epochs: float) -> float:
    """A line from 0 over the warm-up, then half a cosine from the full rate to the final one."""
    if epochs < config.warmup_epochs:
        return config.learning_rate * epochs / config.warmup_epochs
    done = (epochs - config.warmup_epochs) / (config.epochs - config.warmup_epochs)
    above = config.learning_rate - config.final_learning_rate
    return config.final_learning_rate + above * (1 + math.cos(math.pi * done)) / 2


def _rate(optimiser: torch.optim.Optimizer) -> float:
    return cast(float, optimiser.param_groups[0]["lr"])


def _identity(
    network: Classifier, data: PairedData, config: TrainingConfig, fabric: Fabric
) -> dict[str, dict[str, Any]]:
    """What must agree for a checkpoint to be continued; JSON values only."""
    described = {**data.provenance, "name": data.name, "pairs": len(data.train)}
    training = {
        **asdict(config),
        "precision": fabric.strategy.precision.precision,
        "processes": fabric.world_size,
    }
    return {"model": network.identity(), "data": described, "training": training}


def _state(run: _Run, history: list[EpochMetrics], best: Weights | None) -> dict[str, Any]:
    return {
        "history": [asdict(epoch) for epoch in history],
        "network": run.network.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "scaler": run.fabric.strategy.precision.state_dict(),
        "best": best,
    }


def _resumed(run: _Run, saved: dict[str, Any]) -> tuple[list[EpochMetrics], Weights | None]:
    """Take over the state of a checkpoint: the metrics of the epochs done, and the best weights so far."""
    run.network.load_state_dict(saved["network"])
    run.optimiser.load_state_dict(saved["optimiser"])
    run.fabric.strategy.precision.load_state_dict(saved["scaler"])
    return [EpochMetrics(**epoch) for epoch in saved["history"]], saved["best"]
