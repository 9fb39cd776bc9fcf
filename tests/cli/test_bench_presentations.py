"""`avnir bench` says how often a window is shown where that is more than once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import avnir
from avnir.cli import main

torch = pytest.importorskip("torch")
snntorch = pytest.importorskip("snntorch")


@pytest.fixture
def model(tmp_path: Path) -> str:
    """Spikes, weighted by how many there were in the window."""
    torch.manual_seed(0)
    settings = {"beta": 0.9, "init_hidden": True, "reset_mechanism": "zero", "reset_delay": False}

    class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = torch.nn.Linear(6, 5), torch.nn.Linear(5, 3)
            self.lif1, self.lif2 = snntorch.Leaky(**settings), snntorch.Leaky(**settings)

        def forward(self, x):  # type: ignore[no-untyped-def]
            self.lif1.reset_mem()
            self.lif2.reset_mem()
            sent = torch.stack([self.lif1(step) for step in self.first(x)])
            return torch.stack([self.lif2(step) for step in self.second(sent * sent.sum(0, keepdim=True))])

    path = tmp_path / "model.pt"
    avnir.save(Net(), (torch.rand(4, 2, 6) < 0.5).float(), path, time="window")
    return str(path)


def test_bench_says_how_often_a_window_is_shown(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["bench", model, "--target", "loihi2"])
    assert "2 samples x 4 steps, each shown 2 times, on the CPU engine" in capsys.readouterr().out
    main(["bench", model, "--target", "loihi2", "--json"])
    record = json.loads(capsys.readouterr().out)
    assert record["presentations"] == 2
    assert record["latency"]["chip_steps"] == 2 * 4 + 4  # through both layers, the sum and the product
