"""What a trained network's file holds beside the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avnir.decision import Decision
from avnir.export import load
from avnir.models.data.pairs import Split
from avnir.models.job import Examples, save
from tests.models.test_taaf import SHAPES, STEPS, network, settled


@pytest.mark.parametrize(
    ("attention", "decision"), [("host", Decision("classes", "score")), ("static", Decision())]
)
def test_a_network_says_how_its_class_is_read(attention: str, decision: Decision, tmp_path: Path) -> None:
    model = settled(network(attention=attention))
    rng = np.random.default_rng(0)
    inputs = {n: (rng.random((8, STEPS, *s)) < 0.4).astype(np.uint8) for n, s in SHAPES.items()}
    examples = Examples(model, Split(inputs, np.arange(8) % 4), 6)
    save(model, examples, tmp_path / "model.pt", None, {})
    saved = load(tmp_path / "model.pt")
    assert saved.decision == decision
    tensors, _ = examples.tensors()
    with torch.no_grad():
        scores = model.scores(*tensors.values())
    assert saved.decision.classes(saved.recorded).tolist() == scores.argmax(1).tolist()
