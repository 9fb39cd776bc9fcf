"""No step does more than twice the work for twice the layers: counted in calls, so it never wavers."""

from __future__ import annotations

import cProfile
import pstats
from dataclasses import replace
from pathlib import Path

from avnir.export import load
from tests.scaling import scmrl
from tests.scaling.steps import perceptron, spikes, steps

SHORT, LONG = 30, 120
THEIRS = ("torch.export",)
"""Steps whose work is PyTorch's own."""
ROOM = 1.1
"""Calls that depend on the hash seed and on what is cached; a quadratic part of a tenth would show."""


def calls(length: int, folder: Path) -> dict[str, int]:
    """Function calls of each step for a chain of that many layers."""
    counted: dict[str, int] = {}
    for name, work in steps(perceptron(*[8] * (length + 1)), spikes(8), folder):
        profile = cProfile.Profile()
        profile.runcall(work)
        counted[name] = pstats.Stats(profile).total_calls
    return counted


def test_the_full_size_case_in_small(tmp_path: Path) -> None:
    """Every step of `python -m tests.scaling scmrl`, of a network that fits one chip."""
    config = replace(scmrl.FULL, image_shape=(3, 64, 64), audio_shape=(1, 64, 64), channels=16)
    ran = []
    for name, work in scmrl.steps(tmp_path, 1 << 30, 2, 1, config):
        work()
        ran.append(name)
    assert ran[-2:] == ["place on 1 chips", "run 2 samples"]
    recorded = load(tmp_path / "model.pt").recorded.spikes
    assert sum(bool(spikes.any()) for spikes in recorded.values()) > len(recorded) / 2


def test_every_step_is_linear_in_the_layers(tmp_path: Path) -> None:
    calls(2, tmp_path / "warm")
    short, long = calls(SHORT, tmp_path / "short"), calls(LONG, tmp_path / "long")
    growth = {name: long[name] / short[name] for name in short if name not in THEIRS}
    assert {name: rate for name, rate in growth.items() if rate > LONG / SHORT * ROOM} == {}
