"""What a training leaves while it runs: a checkpoint to resume from, a CSV row and TensorBoard's scalars."""

from __future__ import annotations

import csv
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from avnir.errors import CheckpointError, UserError
from avnir.files import atomic_path

FORMAT = "avnir-training-2"
SECTIONS = {"model", "data", "training", "history", "network", "optimiser", "scaler", "best"}
Weights = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch: mean loss and accuracy over the training pairs while the weights moved.

    `validation_accuracy` is that after the epoch, None without a validation split; `learning_rate` the last.
    """

    epoch: int
    loss: float
    accuracy: float
    seconds: float
    learning_rate: float
    validation_accuracy: float | None = None


@dataclass(frozen=True)
class Files:
    """Where to write, each None for nowhere; `resume` is a checkpoint to continue from.

    `checkpoint` is rewritten after each epoch, each epoch adds a row to the CSV file `metrics` and a point to
    the curves in the folder `tensorboard`.
    """

    checkpoint: Path | None = None
    resume: Path | None = None
    metrics: Path | None = None
    tensorboard: Path | None = None

    def add(self, row: EpochMetrics) -> None:
        """Write the metrics of one more epoch."""
        if self.metrics:
            _append_row(self.metrics, row)
        if self.tensorboard:
            _append_scalars(self.tensorboard, row)


def write_checkpoint(path: Path, contents: Mapping[str, Any]) -> None:
    """Replace the file by `contents`, whose keys are `SECTIONS`, at once."""
    with atomic_path(path) as temporary:
        torch.save({"format": FORMAT, **contents}, temporary)


def read_checkpoint(path: Path, run: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What `write_checkpoint` wrote, its tensors on the CPU.

    Raises `CheckpointError` for a file that is unreadable, or of another run than `run`, whose sections must
    be those of the file.
    """
    saved = _read(path)
    if differing := _differences(saved, run):
        raise CheckpointError(f"{path}: from another run; {'; '.join(differing)}")
    return saved


def _read(path: Path) -> dict[str, Any]:
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path}: missing, or not a training checkpoint; --checkpoint writes one")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path}: not a readable training checkpoint ({error})") from error
    if not isinstance(saved, dict) or saved.get("format") != FORMAT or not saved.keys() >= SECTIONS:
        raise CheckpointError(f"{path}: not a training checkpoint of format {FORMAT!r}")
    return saved


def _differences(saved: Mapping[str, Any], run: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        f"{section}.{key} was {saved[section].get(key)!r} and is {value!r}"
        for section, values in run.items()
        for key, value in values.items()
        if saved[section].get(key) != value
    ]


def _append_row(path: Path, row: EpochMetrics) -> None:
    values = asdict(row)
    header = ",".join(values)
    new = not path.exists()
    if not new and (found := path.read_text().partition("\n")[0].rstrip("\r")) != header:
        raise UserError(
            f"{path}: its columns are {found!r}, rows of {header!r} do not fit; name another file"
        )
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(values))
        if new:
            writer.writeheader()
        writer.writerow(values)


def _append_scalars(folder: Path, row: EpochMetrics) -> None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise UserError("curves need TensorBoard: pip install 'avnir[models]'") from error

    with SummaryWriter(str(folder), filename_suffix=f".{row.epoch}") as writer:
        for name, value in asdict(row).items():
            if name != "epoch" and value is not None:
                writer.add_scalar(name, value, row.epoch)
