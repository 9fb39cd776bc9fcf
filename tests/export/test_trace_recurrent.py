"""Spikes that come back a step later: RLeaky, RSynaptic, and recurrences that a model writes itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from avnir.errors import UnsupportedError
from avnir.export import reference, trace
from avnir.export.onnx_run import onnx_trace
from avnir.export.tracing import Traced, traced
from avnir.ir.interpret_real import interpret_real
from avnir.verify.ties import tie_samples
from tests.export.nets import seeded, spikes

STEPS, BATCH = 200, 8
RLEAKY: Mapping[str, dict[str, Any]] = {
    "zero": {"reset_mechanism": "zero", "reset_delay": False},
    "subtract": {"reset_mechanism": "subtract", "reset_delay": False},
    "none": {"reset_mechanism": "none"},
    "zero_next": {"reset_mechanism": "zero"},
    "subtract_delayed": {"reset_mechanism": "subtract"},
}
"""The real level's name of each reset, and RLeaky's options for it."""
RSYNAPTIC = {name: RLEAKY[name] for name in ("none", "zero_next", "subtract_delayed")}
"""The same for RSynaptic, whose reset_delay=False does not work."""
RECURRENCES: Mapping[str, dict[str, Any]] = {
    "Linear": {"linear_features": 9},
    "Scale": {"all_to_all": False, "V": torch.linspace(-0.6, 0.6, 9)},
}
CASES = [
    *((snn.RLeaky, (0.8,), reset, RLEAKY[reset]) for reset in RLEAKY),
    *((snn.RSynaptic, (0.5, 0.8), reset, RSYNAPTIC[reset]) for reset in RSYNAPTIC),
]


class Hidden(nn.Module):
    """Linear, the recurrent neuron, Linear, Leaky; the neurons keep their states."""

    def __init__(self, neuron: nn.Module) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(6, 9), neuron
        self.fc2, self.lif2 = nn.Linear(9, 4), snn.Leaky(0.75, init_hidden=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.lif2(self.fc2(self.lif1(self.fc1(x))))


class Shown(Hidden):
    """The states are returned all the same, and dropped."""

    def forward(self, x: Tensor) -> Tensor:
        return self.lif2(self.fc2(self.lif1(self.fc1(x))[0]))


class Explicit(Hidden):
    """The recurrent neuron's states are handed in and back."""

    def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        spk, *states = self.lif1(self.fc1(x), *states)
        return self.lif2(self.fc2(spk)), spk, *states


class Window(Hidden):
    """The time loop inside, states from `reset_mem`."""

    def forward(self, x: Tensor) -> Tensor:
        states, out = self.lif1.reset_mem(), []
        for step in x:
            states = self.lif1(self.fc1(step), *states)
            out.append(self.lif2(self.fc2(states[0])))
        return torch.stack(out)


def exact(made: Traced) -> None:
    """The reference gives every spike of the model, and there are some; `traced` has compared them too."""
    referred = reference(made.graph, made.examples.arrays())
    for name, layer in made.recorded.spikes.items():
        assert 0 < layer.mean() < 1
        np.testing.assert_array_equal(referred.spikes[name], layer)


def same_in_onnx(made: Traced) -> None:
    inputs = made.examples.arrays()
    ours, theirs = interpret_real(made.graph, inputs), onnx_trace(made.graph, inputs)
    assert tie_samples(made.graph, inputs, theirs, ours) == ()
    for name, layer in ours.spikes.items():
        np.testing.assert_array_equal(theirs.spikes[name], layer)


@pytest.mark.parametrize("recurrence", RECURRENCES)
@pytest.mark.parametrize(("kind", "decays", "reset", "options"), CASES)
def test_every_reset_and_recurrence_in_every_form_of_state(
    kind: Any, decays: tuple[float, ...], reset: str, options: dict[str, Any], recurrence: str
) -> None:
    def neuron(**more: Any) -> nn.Module:
        torch.manual_seed(0)
        return kind(*decays, **RECURRENCES[recurrence], **options, **more)

    x = spikes(STEPS, BATCH, 6)
    made = traced(seeded(Hidden(neuron(init_hidden=True)), gain=2.0), x)
    names = ["x", "fc1", "lif1_back", "lif1_recurrent", "lif1", "fc2", "lif2", "output"]
    assert [node.name for node in made.graph] == names
    assert made.graph["lif1"].inputs == ("lif1_recurrent", "fc1")
    assert made.graph["lif1_recurrent"].op.kind == recurrence
    assert made.graph["lif1"].op.reset == reset
    exact(made)
    same_in_onnx(made)
    shown = trace(seeded(Shown(neuron(init_hidden=True, output=True)), gain=2.0), x)
    states = (torch.zeros(BATCH, 9),) * (1 + len(decays))
    explicit = trace(seeded(Explicit(neuron()), gain=2.0), x, states=states)
    window = trace(seeded(Window(neuron()), gain=2.0), x, time="window")
    assert shown == window == made.graph
    assert [node.op for node in explicit] == [node.op for node in made.graph]


@pytest.mark.parametrize(
    "neuron",
    [
        snn.RLeaky(0.8, conv2d_channels=3, kernel_size=3, init_hidden=True),
        snn.RSynaptic(0.5, 0.8, conv2d_channels=3, kernel_size=(3, 1), init_hidden=True),
    ],
)
def test_a_convolution_brings_the_spikes_back(neuron: nn.Module) -> None:
    layers = nn.Sequential(nn.Conv2d(2, 3, 3), neuron, nn.Flatten(), nn.Linear(48, 5), snn.Leaky(0.9))
    layers[-1].init_hidden = True
    made = traced(seeded(layers, gain=2.0), spikes(STEPS, BATCH, 2, 6, 6))
    assert made.graph["_1_recurrent"].op.kind == "Conv2d"
    exact(made)
    same_in_onnx(made)


@pytest.mark.parametrize(("kind", "decays", "reset", "options"), CASES)
def test_the_installed_neurons_compute_the_documented_equations(
    kind: Any, decays: tuple[float, ...], reset: str, options: dict[str, Any]
) -> None:
    """((beta v + I) + V s), s the spikes of the step before, then the resets of `avnir.ir.real`."""
    neuron = kind(*decays, V=0.3, all_to_all=False, threshold=0.6, init_hidden=True, output=True, **options)
    currents = torch.randn(300, 50, generator=torch.Generator().manual_seed(3)) * 0.5
    *rest, beta = map(np.float32, decays)
    threshold, weight = np.float32(0.6), np.float32(0.3)
    i, v, s, above = np.zeros((4, 50), np.float32)
    for current in currents:
        spk, *_, mem = neuron(current)
        if rest:
            i = rest[0] * i + current.numpy() + s * weight
            v = beta * v + i
        else:
            v = beta * v + current.numpy() + s * weight
        if reset == "zero_next":
            v = v - above * v
        if reset.startswith("subtract"):
            v = v - above * threshold
        s = (v > threshold).astype(np.float32)
        if reset == "zero":
            v = v - s * v
        if reset == "subtract":
            v = v - (s - above) * threshold
        above = (v > threshold).astype(np.float32)
        np.testing.assert_array_equal(spk.detach().numpy(), s)
        np.testing.assert_array_equal(mem.detach().numpy(), v)
    assert neuron.mem.abs().max() > 0


class Own(nn.Module):
    """A recurrence that the model writes itself: `mix` makes the current of inputs and earlier spikes."""

    def __init__(self, mix: Any, neuron: nn.Module | None = None, **layers: nn.Module) -> None:
        super().__init__()
        self.mix = mix
        self.fc, self.rec = nn.Linear(6, 9), nn.Linear(9, 9)
        self.lif = neuron or snn.Leaky(0.8, init_hidden=True)
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor, spk: Tensor) -> tuple[Tensor, Tensor]:
        spk = self.lif(self.mix(self, x, spk))
        return spk, spk


MIXES: Mapping[str, Any] = {
    "forward first": lambda m, x, spk: m.fc(x) + m.rec(spk),
    "back first": lambda m, x, spk: m.rec(spk) + m.fc(x),
    "back between": lambda m, x, spk: (m.fc(x) + m.rec(spk)) + m.fc2(x),
    "back first of three": lambda m, x, spk: (m.rec(spk) + m.fc(x)) + m.fc2(x),
    "twice back, then forward": lambda m, x, spk: (m.rec(spk) + m.rec2(spk)) + m.fc(x),
    "with a factor": lambda m, x, spk: 0.3 * spk + m.fc(x),
    "joined": lambda m, x, spk: m.both(torch.cat([x, spk], 1)),
}


@pytest.mark.parametrize("mix", MIXES)
def test_a_recurrence_of_the_models_own(mix: str) -> None:
    layers = {"fc2": nn.Linear(6, 9), "rec2": nn.Linear(9, 9), "both": nn.Linear(15, 9)}
    model = seeded(Own(MIXES[mix], **layers), gain=2.0)
    made = traced(model, spikes(STEPS, BATCH, 6), states=(torch.zeros(BATCH, 9),))
    assert made.graph["spk"].op.delayed and made.graph["spk"].inputs == ("lif",)
    exact(made)
    same_in_onnx(made)


def test_own_recurrence_with_explicit_potentials_over_two_layers() -> None:
    class Ring(nn.Module):
        """The second layer's spikes reach the first a step later, beside an RLeaky's own."""

        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2, self.back = nn.Linear(6, 9), nn.Linear(9, 4), nn.Linear(4, 9)
            self.lif1 = snn.RLeaky(0.8, linear_features=9, reset_mechanism="zero")
            self.lif2 = snn.Synaptic(0.4, 0.7)

        def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
            spk1, mem1, spk2, syn2, mem2 = states
            spk1, mem1 = self.lif1(self.back(spk2) + self.fc1(x), spk1.detach(), mem1.detach())
            spk2, syn2, mem2 = self.lif2(self.fc2(spk1), syn2, mem2)
            return spk2, spk1, mem1, spk2, syn2, mem2

    torch.manual_seed(0)
    states = tuple(torch.zeros(BATCH, size) for size in (9, 9, 4, 4, 4))
    made = traced(seeded(Ring(), gain=2.0), spikes(STEPS, BATCH, 6), states=states)
    assert made.graph["lif1"].inputs == ("lif1_recurrent", "fc1", "back")
    exact(made)
    same_in_onnx(made)


def refused(model: nn.Module, problem: str, **options: Any) -> None:
    with pytest.raises(UnsupportedError) as caught:
        trace(seeded(model), spikes(5, BATCH, 6), **options)
    assert any(problem in str(finding) for finding in caught.value.findings), caught.value


def test_a_state_that_is_computed_with_comes_back_as_spikes() -> None:
    class Potential(Own):
        def forward(self, x: Tensor, spk: Tensor) -> tuple[Tensor, Tensor]:
            spk, mem = self.lif(self.fc(x) + self.rec(spk))
            return spk, mem

    class Current(Own):
        def forward(self, x: Tensor, spk: Tensor) -> tuple[Tensor, Tensor]:
            current = self.fc(x) + self.rec(spk)
            return self.lif(current), current

    class Twofold(Own):
        def forward(self, x: Tensor, mem: Tensor) -> tuple[Tensor, Tensor]:
            spk, _ = self.lif(self.fc(x) + self.rec(mem), mem)
            return spk, spk

    zeros = torch.zeros(BATCH, 9)
    twice = Twofold(None, snn.Leaky(0.9))
    refused(twice, "state 0 is not handed back by the neuron that took it", states=(zeros,))
    words = "state 0 is computed with, but what is returned for it is no spikes of one layer"
    refused(Potential(None, snn.Leaky(0.9, init_hidden=True, output=True)), words, states=(zeros,))
    refused(Current(None), words, states=(zeros,))


def test_a_recurrence_in_a_windows_own_loop_is_told_the_way_out() -> None:
    class Loop(Own):
        def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
            spk, out = torch.zeros(x.shape[1], 9), []
            for step in x:
                spk = self.lif(self.mix(self, step, spk))
                out.append(spk)
            return torch.stack(out)

    for mix in ("forward first", "back first", "with a factor", "joined"):
        refused(
            Loop(MIXES[mix], both=nn.Linear(15, 9)),
            "as a state after the inputs and returns it",
            time="window",
        )


def test_neurons_that_snntorch_or_a_user_has_changed() -> None:
    at_once = snn.RSynaptic(0.5, 0.8, linear_features=9, init_hidden=True, reset_delay=False)
    refused(Hidden(at_once), "reset_delay=False of RSynaptic does not work in snnTorch 1.0.0")
    for other in (nn.Sequential(nn.Linear(9, 9)), nn.Conv2d(9, 9, 1, padding_mode="circular", padding=0)):
        neuron = snn.RLeaky(0.8, linear_features=9, init_hidden=True)
        neuron.recurrent = other
        model = nn.Sequential(nn.Conv2d(2, 9, 1), neuron) if isinstance(other, nn.Conv2d) else Hidden(neuron)
        with pytest.raises(UnsupportedError, match="which snnTorch did not make"):
            trace(model, spikes(5, 2, 2, 4, 4) if isinstance(other, nn.Conv2d) else spikes(5, 2, 6))


def test_states_come_from_their_own_neuron() -> None:
    class Crossed(Explicit):
        def forward(self, x: Tensor, spk: Tensor, mem: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
            out, spk, mem = super().forward(x, spk, mem)
            return out, mem, spk

    class Foreign(Explicit):
        def forward(self, x: Tensor, mem: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
            spk, mem = self.lif1(self.fc1(x), self.other(self.fc1(x)), mem)
            return spk, mem

    zeros = torch.zeros(BATCH, 9)
    refused(Crossed(snn.RLeaky(0.8, linear_features=9)), "state 0 is not handed back", states=(zeros, zeros))
    foreign = Foreign(snn.RLeaky(0.8, linear_features=9))
    foreign.other = snn.Leaky(0.9, init_hidden=True)
    refused(foreign, "the neuron's spikes starts anew each step, or comes from elsewhere", states=(zeros,))
