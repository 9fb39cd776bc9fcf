"""Every form of snnTorch's Leaky that is taken, and its equations against a step written by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from avnir.export import reference, trace
from tests.export.nets import RESETS, Explicit, ExplicitWindow, Hidden, HiddenWindow, seeded, spikes

STEPS, BATCH = 40, 4
FORMS: dict[str, tuple[Any, dict[str, Any]]] = {
    "hidden, step": (Hidden, {}),
    "hidden, window": (HiddenWindow, {"time": "window"}),
    "explicit, step": (Explicit, {"states": (torch.zeros(BATCH, 9), torch.zeros(BATCH, 4))}),
    "explicit, window": (ExplicitWindow, {"time": "window"}),
}


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("form", FORMS)
def test_every_reset_in_every_form_of_state_gives_the_same_graph(form: str, reset: str) -> None:
    kind, options = FORMS[form]
    x = spikes(STEPS, BATCH, 6)
    graph = trace(seeded(kind(**RESETS[reset])), x, **options)
    assert [node.name for node in graph] == ["x", "fc1", "lif1", "fc2", "lif2", "output"]
    assert graph["lif1"].op.reset == graph["lif2"].op.reset == reset
    assert graph == trace(seeded(Hidden(**RESETS[reset])), x)
    recorded = reference(graph, {"x": x.numpy()})
    assert recorded.spikes["lif1"].any() and recorded.spikes["lif2"].any()


@pytest.mark.parametrize("reset", RESETS)
def test_installed_snntorch_computes_the_documented_equations(reset: str) -> None:
    """v' = clamp(beta) v (reset) + I, s = v' > threshold, as `avnir.ir.real` documents the five resets."""
    neuron = snn.Leaky(0.85, 0.6, init_hidden=True, output=True, **RESETS[reset])
    currents = torch.randn(300, 50, generator=torch.Generator().manual_seed(3)) * 0.8
    beta, threshold = np.float32(0.85), np.float32(0.6)
    v, above = np.zeros(50, np.float32), np.zeros(50, np.float32)
    fired = 0
    for current in currents:
        spk, mem = neuron(current)
        if reset == "zero_delayed":
            v = (1 - above) * v
        v = beta * v + current.numpy()
        if reset.startswith("subtract"):
            v = v - above * threshold
        s = (v > threshold).astype(np.float32)
        if reset == "zero":
            v = np.where(s == 1, np.float32(0), v)
        if reset == "subtract":
            v = v - (s - above) * threshold
        above = (v > threshold).astype(np.float32)
        np.testing.assert_array_equal(spk.numpy(), s)
        np.testing.assert_array_equal(mem.detach().numpy(), v)
        fired += int(s.sum())
    assert 0 < fired < currents.numel()


@pytest.mark.parametrize(
    ("beta", "shape"),
    [
        (0.9, ()),
        (torch.tensor([0.9]), ()),
        (np.float64(0.9), ()),
        (1, ()),
        (torch.linspace(0.1, 1.0, 9), (9,)),
        (torch.linspace(0.1, 1.0, 9).reshape(1, 9), (9,)),
    ],
)
def test_beta_is_kept_exactly_in_float32(beta: Any, shape: tuple[int, ...]) -> None:
    graph = trace(seeded(Hidden(beta=beta)), spikes(10, 2, 6))
    found = graph["lif1"].op.beta
    assert found.dtype == np.float32 and found.shape == shape
    np.testing.assert_array_equal(found.ravel(), np.asarray(beta, np.float32).ravel())


def test_learned_parameters_and_the_clamp_of_beta() -> None:
    beta, threshold = torch.linspace(-0.5, 1.5, 9), torch.linspace(0.2, 2, 9)
    graph = trace(seeded(Hidden(beta, threshold, learn_beta=True, learn_threshold=True)), spikes(30, 3, 6))
    np.testing.assert_array_equal(graph["lif1"].op.beta, beta.clamp(0, 1).numpy())
    np.testing.assert_array_equal(graph["lif1"].op.threshold, threshold.numpy())
    assert graph["lif1"].op.gain == 1 and graph["lif1"].op.bias is None


def test_a_parameter_that_varies_over_the_batch_is_refused() -> None:
    with pytest.raises(Exception, match=r"lif1 \(nets.py:\d+\): .*beta of shape \(2, 9\) does not fit"):
        trace(Hidden(beta=torch.full((2, 9), 0.5)), spikes(5, 2, 6))


def test_a_neuron_that_is_called_without_its_state_keeps_it_itself() -> None:
    class Forgetful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lif = snn.Leaky(0.9)

        def forward(self, x: Tensor) -> Tensor:
            spk, _ = self.lif(x)
            return spk

    x = 0.3 * spikes(30, 2, 6)
    assert reference(trace(Forgetful(), x), {"x": x.numpy()}).spikes["lif"].any()


def test_zeros_are_an_initial_state_only_where_the_loop_is_inside() -> None:
    class Zeros(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lif = snn.Leaky(0.9)

        def forward(self, x: Tensor) -> Tensor:
            mem = torch.zeros(x.shape[1], 6)
            out = []
            for step in x:
                spk, mem = self.lif(step, mem)
                out.append(spk)
            return torch.stack(out)

    x = 0.3 * spikes(30, 2, 6)
    assert len(trace(Zeros(), x, time="window")) == 3
