"""norse and nirtorch read the NIR file, in the real command line."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import nn

import avnir as package
from tests.end_to_end.conftest import Avnir, as_json

pytestmark = pytest.mark.skipif(
    find_spec("norse") is None or find_spec("nirtorch") is None,
    reason="norse or nirtorch is not installed; make test does it",
)
HARD = {"reset_mechanism": "zero", "reset_delay": False}


def saved(path: Path, **last: object) -> Path:
    """A small convolutional network; `last` are the options of its last neurons."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            snn.Leaky(0.9, threshold=0.4, init_hidden=True, **HARD),
            nn.Flatten(),
            nn.Linear(144, 10, bias=False),
            snn.Synaptic(0.7, 0.8, threshold=0.3, init_hidden=True, **last),
        )
        spikes = (torch.rand(50, 8, 2, 6, 6) < 0.3).float()
    package.save(model, spikes, path, time="step", labels=np.arange(8) % 10)
    return path


def test_norse_and_nirtorch_are_two_more_references(avnir: Avnir, tmp_path: Path) -> None:
    model = saved(tmp_path / "model.pt", **HARD)
    found = as_json(avnir("verify", model, "--backend", "norse", "--backend", "nirtorch", "--json"))
    pairs = {(c["first"], c["second"]): c["identical"] for c in found["exact"]}
    assert pairs == {(name, "graph"): True for name in ("model", "snntorch", "norse", "nirtorch")}
    assert found["rounding_ties"] == []
    (norse,) = (c for c in found["exact"] if c["first"] == "norse")
    layers = [layer["spikes"] for layer in norse["layers"]]
    assert len(layers) == 2
    assert all(spikes["norse"] == spikes["graph"] > 0 for spikes in layers)
    assert set(found["accuracy"]) == {"model", "snntorch", "norse", "nirtorch", "graph", "integer"}


def test_a_reset_that_norse_lacks_is_refused_and_nirtorch_takes_it(avnir: Avnir, tmp_path: Path) -> None:
    model = saved(tmp_path / "model.pt", reset_mechanism="subtract")
    refused = avnir("verify", model, "--backend", "norse", status=2)
    assert "norse would not compute this network as its NIR file says:" in refused.stderr
    assert "its reset is 'subtract_delayed'" in refused.stderr
    assert "--backend nirtorch" in refused.stderr
    assert "Traceback" not in refused.stderr
    found = as_json(avnir("verify", model, "--backend", "nirtorch", "--json"))
    assert all(c["identical"] for c in found["exact"])
    assert "nirtorch" in {c["first"] for c in found["exact"]}


def test_the_demo_has_two_inputs_and_is_refused(avnir: Avnir, model: Path) -> None:
    for name in ("norse", "nirtorch"):
        refused = avnir("verify", model, "--samples", 1, "--backend", name, status=2)
        assert f"the network has 2 inputs, of which {name} takes one" in refused.stderr
