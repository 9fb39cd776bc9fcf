"""What PyTorch prints while a step is exported does not reach the user; what the user's code prints does."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor, nn

from avnir.errors import UnsupportedError
from avnir.export import trace
from tests.export.nets import spikes

BRANCHES = """
import sys
import snntorch as snn
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 5)
        self.lif = snn.Leaky(0.9, init_hidden=True)

    def forward(self, x):
        print("a word of the model's own", file=sys.stderr)
        return self.lif(self.fc(x) if x.sum() > 0 else self.fc(-x))
"""


def test_a_branch_on_values_ends_in_our_error_alone(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(BRANCHES)
    np.savez(tmp_path / "x.npz", x=np.ones((4, 2, 6), np.float32))
    command = [sys.executable, "-m", "avnir", "export", "net:Net", "--target", "loihi2", "--inputs", "x.npz"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    words, ours = done.stderr.rstrip().split("avnir: ")
    assert set(words.splitlines()) == {"a word of the model's own"}
    assert ours.startswith("the model cannot be taken exactly:") and "does not export" in ours
    assert len(ours.splitlines()) == 2


class Doubtful(nn.Module):
    """Logs an error of symbols, prints with another error in its hands, then branches on values."""

    def forward(self, x: Tensor) -> Tensor:
        logging.getLogger("torch.fx.experimental.symbolic_shapes").error("an error of symbols")
        try:
            raise ValueError("no number")
        except ValueError as error:
            print(error, file=sys.stderr)
        return x if x.sum() > 0 else -x


def test_nothing_else_is_kept_back_and_all_is_restored(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    symbols = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    model, stream, filters = Doubtful(), sys.stderr, list(symbols.filters)
    with pytest.raises(UnsupportedError, match="does not export"):
        trace(model, spikes(4, 2, 6))
    symbols.warning("after it")
    assert "no number\n" in capsys.readouterr().err
    told = [record.getMessage() for record in caplog.records if record.name == symbols.name]
    assert set(told[:-1]) == {"an error of symbols"} and told[-1] == "after it"
    assert sys.stderr is stream and symbols.filters == filters
