"""The neuron over a window at once: the spikes and gradients of snnTorch's loop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import snntorch as snn
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from snntorch import surrogate
from torch import Tensor, nn

from avnir.export import trace
from avnir.ir.interpret_real import interpret_real
from avnir.models.neuron import Fire, Sigmoid, fused, leaky, looped

SHAPE = (6, 4, 4, 4, 2)
"""128 neurons a step: the exponentials of a vector's remainder are rounded otherwise than the vector's."""


def currents(seed: int, shape: tuple[int, ...] = SHAPE, size: float = 1.0) -> Tensor:
    return size * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def both(neuron: snn.Leaky, current: Tensor, **options: bool) -> list[tuple[Tensor, Tensor]]:
    """Spikes and the gradient of the current, of the loop and of one operation."""
    weighting = currents(99, tuple(current.shape))
    found = []
    for fire in (looped, fused):
        arriving = current.clone().requires_grad_()
        spikes = fire(neuron, arriving, **options)
        (gradient,) = torch.autograd.grad((spikes * weighting).sum(), arriving)
        found.append((spikes.detach(), gradient))
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**16),
    st.sampled_from([0.0, 0.5, 0.9, 1.0, 1.5]),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.booleans(),
)
def test_spikes_and_gradients_are_those_of_the_loop(
    seed: int, beta: float, threshold: float, detach: bool
) -> None:
    neuron = leaky(beta, threshold)
    (spikes, gradient), (spikes2, gradient2) = both(neuron, currents(seed), detach=detach)
    assert torch.equal(spikes, spikes2)
    assert 0 < spikes.mean() < 1
    assert torch.equal(gradient, gradient2)


@pytest.mark.parametrize("fire", [surrogate.atan(), surrogate.fast_sigmoid(), Sigmoid(4.0)])
def test_the_neurons_own_surrogate_is_used(fire: Callable[[Tensor], Tensor]) -> None:
    (spikes, gradient), (spikes2, gradient2) = both(leaky(surrogate=fire), currents(1))
    assert torch.equal(spikes, spikes2)
    torch.testing.assert_close(gradient, gradient2, rtol=1e-5, atol=1e-6)


def test_any_shape_gives_the_gradient_but_for_rounding() -> None:
    (spikes, gradient), (spikes2, gradient2) = both(leaky(), currents(2, (5, 3, 7)))
    assert torch.equal(spikes, spikes2)
    torch.testing.assert_close(gradient, gradient2, rtol=1e-6, atol=1e-7)


def test_vectors_of_decays_and_thresholds() -> None:
    neuron = snn.Leaky(
        beta=torch.tensor([0.1, 0.5, 0.99]),
        threshold=torch.tensor([0.2, 1.0, 0.7]),
        init_hidden=True,
        reset_mechanism="zero",
        reset_delay=False,
    )
    (spikes, gradient), (spikes2, gradient2) = both(neuron, currents(4, (9, 5, 3)))
    assert torch.equal(spikes, spikes2)
    torch.testing.assert_close(gradient, gradient2, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"reset_mechanism": "zero"},
        {"reset_mechanism": "subtract", "reset_delay": False},
        {"reset_mechanism": "none"},
        {"reset_mechanism": "zero", "reset_delay": False, "threshold": -0.5},
        {"reset_mechanism": "zero", "reset_delay": False, "graded_spikes_factor": 2.0},
        {"reset_mechanism": "zero", "reset_delay": False, "learn_beta": True},
    ],
)
def test_other_neurons_are_looped(options: dict[str, object]) -> None:
    neuron = snn.Leaky(**{"beta": 0.8, "init_hidden": True, **options})
    for (spikes, gradient), (spikes2, gradient2) in [both(neuron, currents(5))]:
        assert torch.equal(spikes, spikes2) and torch.equal(gradient, gradient2)
        assert spikes.any()


def test_a_threshold_that_turned_negative_is_seen() -> None:
    neuron = leaky()
    both(neuron, currents(6))
    neuron.threshold.fill_(-0.25)
    (spikes, _), (spikes2, _) = both(neuron, currents(6))
    assert torch.equal(spikes, spikes2)


def test_a_learned_decay_gets_its_gradient() -> None:
    neuron = snn.Leaky(beta=0.8, learn_beta=True, init_hidden=True, reset_mechanism="zero", reset_delay=False)
    fused(neuron, currents(7)).sum().backward()
    assert neuron.beta.grad != 0


def test_every_window_starts_afresh() -> None:
    neuron = leaky(0.99)
    for fire in (looped, fused):
        assert torch.equal(fire(neuron, currents(8)), fire(neuron, currents(8)))


def test_the_surrogate_is_finite_far_from_the_threshold() -> None:
    x = torch.tensor([-1e4, -22.5, 0.0, 22.5, 1e4], requires_grad=True)
    Sigmoid(4.0)(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]


def test_autocast_does_not_reach_the_neuron() -> None:
    current = currents(9).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        spikes = fused(leaky(), current)
    assert spikes.dtype == torch.float32
    assert torch.equal(spikes, looped(leaky(), current.float()))


class Net(nn.Module):
    def __init__(self, fire: Fire) -> None:
        super().__init__()
        self.fc, self.lif, self.fire = nn.Linear(6, 5), leaky(), fire

    def forward(self, x: Tensor) -> Tensor:
        return self.fire(self.lif, self.fc(x))


def test_the_loop_can_be_traced() -> None:
    torch.manual_seed(0)
    network = Net(looped).eval()
    network.fc.weight.data = (16 * network.fc.weight.data).round() / 4
    network.fc.bias.data = (16 * network.fc.bias.data).round() / 16
    spikes = (torch.rand(7, 3, 6) < 0.5).float()
    graph = trace(network, spikes, "window")
    made = interpret_real(graph, {graph.inputs[0].name: spikes.numpy()})
    (out,) = made.outputs.values()
    with torch.no_grad():
        assert np.array_equal(out, fused(network.lif, network.fc(spikes)).numpy())
    assert 0 < out.mean() < 1
