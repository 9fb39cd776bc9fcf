"""snnTorch's Alpha in every form of state, and its equations against steps by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from avnir.errors import UnsupportedError
from avnir.export import load, reference, save, trace
from avnir.export.onnx_run import onnx_trace
from avnir.export.tracing import traced
from avnir.ir.real import ALPHA_RESETS
from tests.export.nets import seeded, spikes

STEPS, BATCH = 200, 8


class Hidden(nn.Module):
    """Two layers whose neurons keep their own state; one step a call."""

    def __init__(self, alpha: Any = 0.9, beta: Any = 0.8, **options: Any) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(6, 9), snn.Alpha(alpha, beta, init_hidden=True, **options)
        self.fc2 = nn.Linear(9, 4)
        self.lif2 = snn.Alpha(torch.linspace(0.7, 0.95, 4), 0.6, 0.4, init_hidden=True, **options)

    def forward(self, x: Tensor) -> Tensor:
        return self.lif2(self.fc2(self.lif1(self.fc1(x))))


class Shown(Hidden):
    """The states are returned all the same, and dropped."""

    def __init__(self, **options: Any) -> None:
        super().__init__(output=True, **options)

    def forward(self, x: Tensor) -> Tensor:
        return self.lif2(self.fc2(self.lif1(self.fc1(x))[0]))[0]


class Explicit(Hidden):
    """States handed in and back."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.lif1.init_hidden = self.lif2.init_hidden = False

    def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        spk, *first = self.lif1(self.fc1(x), *states[:3])
        spk, *second = self.lif2(self.fc2(spk), *states[3:])
        return spk, *first, *second


class Window(Explicit):
    """The time loop inside, states from both methods that give them."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        states, out = (*self.lif1.init_alpha(), *self.lif2.reset_mem()), []
        for step in x:
            spk, *states = super().forward(step, *states)
            out.append(spk)
        return torch.stack(out)


@pytest.mark.parametrize("reset", ALPHA_RESETS)
def test_every_reset_in_every_form_of_state(reset: str) -> None:
    x, options = spikes(STEPS, BATCH, 6), {"reset_mechanism": reset}
    made = traced(seeded(Hidden(**options)), x)
    assert [node.op.kind for node in made.graph] == ["Input", "Linear", "Alpha", "Linear", "Alpha", "Output"]
    assert made.graph["lif1"].op.reset == reset
    referred = reference(made.graph, {"x": x.numpy()})
    in_onnx = onnx_trace(made.graph, {"x": x.numpy()})
    for name, layer in made.recorded.spikes.items():
        assert 0 < layer.mean() < 1
        np.testing.assert_array_equal(referred.spikes[name], layer)
        np.testing.assert_array_equal(in_onnx.spikes[name], layer)
    states = tuple(torch.zeros(BATCH, size) for size in (9, 9, 9, 4, 4, 4))
    explicit = trace(seeded(Explicit(**options)), x, states=states)
    assert [node.op for node in explicit] == [node.op for node in made.graph]
    assert trace(seeded(Shown(**options)), x) == made.graph
    assert trace(seeded(Window(**options)), x, time="window") == made.graph


@pytest.mark.parametrize("reset", ALPHA_RESETS)
def test_the_installed_alpha_computes_the_documented_equations(reset: str) -> None:
    neuron = snn.Alpha(0.9, 0.8, 0.6, init_hidden=True, output=True, reset_mechanism=reset)
    currents = torch.randn(300, 50, generator=torch.Generator().manual_seed(3))
    alpha, beta, threshold = np.float32(0.9), np.float32(0.8), np.float32(0.6)
    logs = torch.log(torch.tensor([0.9, 0.8]))
    tau = (logs[0] / (logs[1] - logs[0]) + 1).numpy()
    e, h, v, above = np.zeros((4, 50), np.float32)
    fired = 0
    for current in currents:
        spk, syn_exc, syn_inh, mem = neuron(current)
        old = h
        e, h = alpha * e + current.numpy(), beta * h - current.numpy()
        v = tau * (e + h)
        if reset == "zero":
            e, h, v = e - e * above, h - h * above, v - v * above
        elif reset == "subtract":
            e, h, v = e - threshold * above, h - h * above, v + old * above
        above = (v > threshold).astype(np.float32)
        for found, wanted in ((spk, above), (syn_exc, e), (syn_inh, h), (mem, v)):
            np.testing.assert_array_equal(found.numpy(), wanted)
        fired += int(above.sum())
    assert 0 < fired < currents.numel()


def test_tau_is_what_float32_makes_of_it() -> None:
    alpha = torch.linspace(0.81, 0.99, 9)
    op = trace(seeded(Hidden(alpha)), spikes(30, 3, 6))["lif1"].op
    logs = torch.log(alpha), torch.log(torch.tensor(0.8))
    np.testing.assert_array_equal(op.tau, (logs[0] / (logs[1] - logs[0]) + 1).numpy())
    assert op.tau.dtype == op.alpha.dtype == op.beta.dtype == np.float32


def test_decays_that_training_brought_together_and_states_as_outputs() -> None:
    together = Hidden(learn_beta=True)
    together.lif1.beta.data.fill_(0.9)
    with pytest.raises(UnsupportedError, match=r"its tau, .* is not finite"):
        trace(together, spikes(5, 2, 6))
    with pytest.raises(UnsupportedError, match=r"beta torch\.float64"):
        trace(Hidden(beta=torch.tensor(0.8, dtype=torch.float64)), spikes(5, 2, 6))
    returned = nn.Sequential(snn.Alpha(0.9, 0.8, init_hidden=True, output=True))
    for index, words in enumerate(("excitatory current", "inhibitory current", "membrane potential")):
        with pytest.raises(UnsupportedError, match=f"the output 'output_{index + 1}' is the {words} of 0"):
            trace(returned, spikes(5, 2, 6), outputs=[index + 1])


def test_a_checkpoint_brings_it_back(tmp_path: Path) -> None:
    made = save(seeded(Hidden()), spikes(30, 3, 6), tmp_path / "model.pt")
    assert load(tmp_path / "model.pt").graph == made.graph
