"""Real digits and real voices: train on MNIST x FSDD, deploy, and compare every spike of 300 test pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.end_to_end.conftest import Avnir, as_json

PAIRS = 300
MAX_LOSS = 0.005
"""Half a point of accuracy may go to quantisation."""


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.lava
@pytest.mark.usefixtures("require_lava")
def test_mnist_fsdd_from_training_to_lava(avnir: Avnir, data_dir: Path, tmp_path: Path) -> None:
    model, inputs = tmp_path / "model.pt", tmp_path / "pairs.npz"
    trained = as_json(
        avnir(
            *("train", "av-digits", "--data", "mnist-fsdd", "--data-dir", data_dir, "--subset", 6000),
            *("--examples", 20, "--out", model, "--json"),
        )
    )
    assert trained["test_accuracy"] >= 0.97
    _write_pairs(data_dir, model, inputs)

    out = tmp_path / "exported"
    avnir("export", model, "--target", "loihi2", "--out", out)
    record = as_json(
        avnir("verify", model, "--inputs", inputs, "--backend", "cpu", "--backend", "lava", "--json")
    )
    assert record["samples"] == PAIRS
    for comparison in record["exact"]:
        assert comparison["identical"], comparison["divergence"]
    assert len(record["rounding_ties"]) < PAIRS / 100
    accuracy = record["accuracy"]
    assert accuracy["cpu"] == accuracy["lava"] == accuracy["integer"]
    assert accuracy["snntorch"] - accuracy["lava"] <= MAX_LOSS
    again = as_json(avnir("run", out, "--inputs", inputs, "--json"))
    assert again["accuracy"] == accuracy["cpu"]


def _write_pairs(data_dir: Path, model: Path, inputs: Path) -> None:
    """The first pairs of the official test split, encoded as the network was trained to see them."""
    import torch

    from avnir.export import load
    from avnir.models.data.encoding import rate_encode
    from avnir.models.data.mnist_fsdd import load_mnist_fsdd

    test = load_mnist_fsdd(data_dir).test.take(PAIRS)
    steps = len(next(iter(load(model).inputs.values())))
    encoded = {
        name: rate_encode(torch.from_numpy(values), steps).numpy().astype(np.uint8)
        for name, values in test.inputs.items()
    }
    np.savez(inputs, **encoded, labels=test.labels)
