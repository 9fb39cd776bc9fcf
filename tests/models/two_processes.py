"""Train in one of several processes that torchrun started, and keep what this one has in a folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch

from avnir.models.av_digits import AVDigitsConfig, av_digits
from avnir.models.data.pairs import DIGITS, PairedData, Split
from avnir.models.machine import Machine
from avnir.models.training import Files, TrainingConfig, train

if __name__ == "__main__":
    folder, rng = Path(sys.argv[1]), np.random.default_rng(0)
    labels = rng.integers(0, 10, 93)
    pictures = rng.uniform(0, 0.2, (93, 1, 16, 16)).astype(np.float32)
    pictures[np.arange(93), 0, :, labels] = 0.9
    split = Split({"image": pictures}, labels)
    torch.manual_seed(0)
    network = av_digits(AVDigitsConfig(channels=(2, 4), hidden=32, steps=4, modality="image"))
    history = train(
        network,
        PairedData("rows", split, split, DIGITS, {}),
        TrainingConfig(epochs=3, batch_size=15, learning_rate=0.02),
        files=Files(metrics=folder / "metrics.csv"),
        machine=Machine(devices=2),
    )
    kept = {"network": network.state_dict(), "losses": [epoch.loss for epoch in history]}
    torch.save(kept, folder / f"{os.environ['RANK']}.pt")
