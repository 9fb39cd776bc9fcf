"""Inputs that a command takes from a file: one `.npz`, an array `[T, B, ...]` per input, and labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from avnir.errors import DataError
from avnir.files import read_npz
from avnir.ir.operation import Array


def read_inputs(path: Path) -> tuple[dict[str, Array], Array | None]:
    """The arrays of an `.npz` (no pickle), and `labels`, int `[B]`, apart; DataError where it is damaged."""
    arrays = read_npz(path)
    return arrays, arrays.pop("labels", None)


def checked_labels(labels: Array | None, samples: int) -> Array | None:
    """The labels, if there is one whole number for each sample."""
    if labels is None:
        return None
    if labels.shape != (samples,) or labels.dtype.kind not in "iu":
        found = f"labels are {labels.dtype}{list(labels.shape)}"
        raise DataError(f"{found}, but must be integers, one for each of {samples} samples")
    return labels


def first_samples(
    inputs: Mapping[str, Array], labels: Array | None, count: int | None
) -> tuple[dict[str, Array], Array | None]:
    """The first `count` samples of the batch; all for None."""
    return {n: a[:, :count] for n, a in inputs.items()}, None if labels is None else labels[:count]
