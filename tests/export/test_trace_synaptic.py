"""Every form of snnTorch's Synaptic and Lapicque that is taken, and their equations against steps by hand."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from avnir import backend, target
from avnir.compile import compile_graph
from avnir.errors import UnsupportedError
from avnir.export import load, reference, save, trace
from avnir.export.tracing import Traced, traced
from avnir.ir import integer, real
from avnir.ir.interpret_integer import interpret_integer
from avnir.program import Program
from tests.export.nets import seeded, spikes

RESETS: Mapping[str, dict[str, Any]] = {
    "zero": {"reset_mechanism": "zero", "reset_delay": False},
    "subtract": {"reset_mechanism": "subtract", "reset_delay": False},
    "none": {"reset_mechanism": "none"},
    "zero_next": {"reset_mechanism": "zero"},
    "subtract_delayed": {"reset_mechanism": "subtract"},
}
"""The real level's name of each reset, and Synaptic's options for it."""
DELAYED: Mapping[str, dict[str, Any]] = {n: RESETS[n] for n in ("none", "zero_next", "subtract_delayed")}
"""The same for Lapicque, which knows no other."""
STEPS, BATCH = 200, 8


class Hidden(nn.Module):
    """Two layers whose neurons keep their own state; one step a call."""

    def __init__(self, bias: bool = True, alpha: Any = 0.6, beta: Any = 0.8, **options: Any) -> None:
        super().__init__()
        self.fc1 = nn.Linear(6, 9, bias)
        self.lif1 = snn.Synaptic(alpha, beta, init_hidden=True, **options)
        self.fc2 = nn.Linear(9, 4, bias)
        self.lif2 = snn.Synaptic(torch.linspace(0.1, 0.9, 4), 0.75, 1.5, init_hidden=True, **options)

    def forward(self, x: Tensor) -> Tensor:
        return self.lif2(self.fc2(self.lif1(self.fc1(x))))


class HiddenWindow(Hidden):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([super(HiddenWindow, self).forward(step) for step in x])


class Shown(Hidden):
    """Hidden states that are returned all the same, and dropped."""

    def __init__(self, **options: Any) -> None:
        super().__init__(output=True, **options)

    def forward(self, x: Tensor) -> Tensor:
        return self.lif2(self.fc2(self.lif1(self.fc1(x))[0]))[0]


class Explicit(nn.Module):
    """The same, with states handed in and back."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.fc1 = nn.Linear(6, 9)
        self.lif1 = snn.Synaptic(0.6, 0.8, **options)
        self.fc2 = nn.Linear(9, 4)
        self.lif2 = snn.Synaptic(torch.linspace(0.1, 0.9, 4), 0.75, 1.5, **options)

    def forward(self, x: Tensor, syn1: Tensor, mem1: Tensor, syn2: Tensor, mem2: Tensor) -> tuple[Any, ...]:
        spk, syn1, mem1 = self.lif1(self.fc1(x), syn1, mem1)
        spk, syn2, mem2 = self.lif2(self.fc2(spk), syn=syn2, mem=mem2)
        return spk, syn1, mem1, syn2, mem2


class ExplicitWindow(Explicit):
    """The time loop inside, states from both methods that give them."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        syn1, mem1 = self.lif1.init_synaptic()
        syn2, mem2 = self.lif2.reset_mem()
        out = []
        for step in x:
            spk, syn1, mem1 = self.lif1(self.fc1(step), syn1, mem1)
            spk, syn2, mem2 = self.lif2(self.fc2(spk), syn2, mem2)
            out.append(spk)
        return torch.stack(out)


class Lapicque(nn.Module):
    """The two forms of Lapicque: by beta, and by R, C and a time step that is no power of two."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.fc1 = nn.Linear(6, 9)
        self.lif1 = snn.Lapicque(beta=0.7, threshold=0.6, init_hidden=True, **options)
        self.fc2 = nn.Linear(9, 4)
        self.lif2 = snn.Lapicque(R=5.1, C=0.37, time_step=0.3, init_hidden=True, **options)

    def forward(self, x: Tensor) -> Tensor:
        return self.lif2(self.fc2(self.lif1(self.fc1(x))))


class LapicqueWindow(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.lif = snn.Lapicque(beta=torch.tensor(0.7), R=2.0, **options)

    def forward(self, x: Tensor) -> Tensor:
        mem, out = self.lif.init_lapicque(), []
        for step in x:
            spk, mem = self.lif(step, mem)
            out.append(spk)
        return torch.stack(out)


ZEROS = tuple(torch.zeros(BATCH, size) for size in (9, 9, 4, 4))
FORMS: Mapping[str, tuple[Any, dict[str, Any]]] = {
    "hidden, step": (Hidden, {}),
    "hidden and shown, step": (Shown, {}),
    "hidden, window": (HiddenWindow, {"time": "window"}),
    "explicit, step": (Explicit, {"states": ZEROS}),
    "explicit, window": (ExplicitWindow, {"time": "window"}),
}


def alike(made: Traced) -> None:
    """The reference gives every spike of the model, and there are some; `traced` has compared them too."""
    referred = reference(made.graph, made.examples.arrays())
    for name, layer in made.recorded.spikes.items():
        assert 0 < layer.mean() < 1
        np.testing.assert_array_equal(referred.spikes[name], layer)


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("form", FORMS)
def test_every_reset_in_every_form_of_state(form: str, reset: str) -> None:
    kind, options = FORMS[form]
    x = spikes(STEPS, BATCH, 6)
    made = traced(seeded(kind(**RESETS[reset])), x, **options)
    assert [node.name for node in made.graph] == ["x", "fc1", "lif1", "fc2", "lif2", "output"]
    assert made.graph["lif1"].op.reset == made.graph["lif2"].op.reset == reset
    assert made.graph == trace(seeded(Hidden(**RESETS[reset])), x)
    alike(made)


@pytest.mark.parametrize("reset", DELAYED)
def test_lapicque(reset: str) -> None:
    made = traced(seeded(Lapicque(**DELAYED[reset]), gain=4.0), spikes(STEPS, BATCH, 6))
    names = ["x", "fc1", "lif1", "fc2", "lif2_scale", "lif2_scale_2", "lif2", "output"]
    assert [node.name for node in made.graph] == names
    assert made.graph["lif1"].op.reset == made.graph["lif2"].op.reset == reset
    alike(made)
    window = traced(LapicqueWindow(**DELAYED[reset]), 2 * spikes(STEPS, BATCH, 6), time="window")
    assert [node.name for node in window.graph] == ["x", "lif_scale", "lif", "output"]
    alike(window)


@pytest.mark.parametrize("reset", RESETS)
def test_installed_synaptic_computes_the_documented_equations(reset: str) -> None:
    neuron = snn.Synaptic(0.7, 0.85, 0.6, init_hidden=True, output=True, **RESETS[reset])
    currents = torch.randn(300, 50, generator=torch.Generator().manual_seed(3)) * 0.4
    alpha, beta, threshold = np.float32(0.7), np.float32(0.85), np.float32(0.6)
    i, v, above = np.zeros((3, 50), np.float32)
    for current in currents:
        spk, syn, mem = neuron(current)
        i = alpha * i + current.numpy()
        v = beta * v + i
        if reset == "zero_next":
            v = (1 - above) * v
        if reset.startswith("subtract"):
            v = v - above * threshold
        s = (v > threshold).astype(np.float32)
        if reset == "zero":
            v = (1 - s) * v
        if reset == "subtract":
            v = v - (s - above) * threshold
        above = (v > threshold).astype(np.float32)
        np.testing.assert_array_equal(spk.numpy(), s)
        np.testing.assert_array_equal(syn.numpy(), i)
        np.testing.assert_array_equal(mem.numpy(), v)
    assert neuron.mem.abs().max() > 0


@pytest.mark.parametrize("reset", DELAYED)
def test_installed_lapicque_computes_the_documented_equations(reset: str) -> None:
    neuron = snn.Lapicque(R=5.1, C=0.37, time_step=0.3, init_hidden=True, output=True, **DELAYED[reset])
    currents = torch.randn(300, 50, generator=torch.Generator().manual_seed(3))
    r, c, step = np.float32(5.1), np.float32(0.37), np.float32(0.3)
    beta, rate = 1 - step / (r * c), 1 / (r * c)
    v, above = np.zeros((2, 50), np.float32)
    fired = 0
    for current in currents:
        spk, mem = neuron(current)
        v = current.numpy() * r * rate * step + beta * v
        v = {"none": v, "zero_next": (1 - above) * v, "subtract_delayed": v - above}[reset]
        above = (v > 1).astype(np.float32)
        np.testing.assert_array_equal(spk.numpy(), above)
        np.testing.assert_array_equal(mem.numpy(), v)
        fired += int(above.sum())
    assert 0 < fired < currents.numel()


def test_learned_and_spread_parameters_and_both_clamps() -> None:
    alpha, beta = torch.linspace(-0.5, 1.5, 9), torch.linspace(1.2, -0.2, 9)
    model = seeded(Hidden(alpha=alpha, beta=beta, learn_alpha=True, learn_beta=True), gain=1.0)
    op = trace(model, spikes(30, 3, 6))["lif1"].op
    assert op.alpha.dtype == op.beta.dtype == np.float32
    np.testing.assert_array_equal(op.alpha, alpha.clamp(0, 1).numpy())
    np.testing.assert_array_equal(op.beta, beta.clamp(0, 1).numpy())


def test_lapicques_leak_is_that_of_r_and_c_not_its_beta() -> None:
    graph = trace(seeded(Lapicque()), spikes(10, 2, 6))
    rate = np.float32(1) / (1 / torch.log(1 / torch.tensor(0.7))).numpy()
    assert graph["lif1"].op.gain == rate
    assert graph["lif1"].op.beta == np.float32(1) - rate
    assert graph["lif2"].op.beta == np.float32(1 - np.float32(0.3) / (np.float32(5.1) * np.float32(0.37)))


@pytest.mark.parametrize(
    ("neuron", "problem"),
    [
        (snn.Lapicque(beta=0.3, init_hidden=True), "1 - time_step / (R C)"),
        (snn.Lapicque(R=0.5, C=1.0, init_hidden=True), "what the potential keeps in a step, is -1.0"),
        (snn.Synaptic(0.5, 0.5, threshold=-1.0, init_hidden=True), "a negative threshold"),
        (snn.Synaptic(0.5, 0.5, state_quant=lambda v: v, init_hidden=True), "state_quant"),
        (snn.Synaptic(0.5, 0.5, spike_grad=torch.sigmoid, init_hidden=True), "not the step x > 0"),
    ],
)
def test_settings_that_no_level_has(neuron: nn.Module, problem: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        trace(nn.Sequential(nn.Linear(6, 3), neuron), spikes(4, 2, 6))
    (finding,) = caught.value.findings
    assert problem in finding.problem and finding.place.startswith("1")


def test_inhibition_is_refused() -> None:
    with pytest.warns(UserWarning, match="Inhibition"):
        neuron = snn.Synaptic(0.5, 0.5, inhibition=True, init_hidden=True)
    with pytest.raises(UnsupportedError, match="inhibition=True"):
        trace(nn.Sequential(nn.Linear(6, 3), neuron), spikes(4, 2, 6))


def test_states_stay_in_their_neurons() -> None:
    class Returned(nn.Module):
        def __init__(self, state: int) -> None:
            super().__init__()
            self.lif, self.state = snn.Synaptic(0.5, 0.5, init_hidden=True, output=True), state

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            result = self.lif(x)
            return result[0], result[self.state]

    class Anew(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lif = snn.Synaptic(0.5, 0.5)

        def forward(self, x: Tensor) -> Tensor:
            return self.lif(x, *self.lif.reset_mem())[0]

    class Crossed(Explicit):
        def forward(self, x: Tensor, *states: Tensor) -> tuple[Any, ...]:
            spk, syn1, mem1, syn2, mem2 = super().forward(x, *states)
            return spk, mem1, syn1, syn2, mem2

    x = spikes(5, BATCH, 6)
    for state, words in ((1, "synaptic current"), (2, "membrane potential")):
        with pytest.raises(UnsupportedError, match=f"'output_1' is the {words} of lif"):
            trace(Returned(state), x)
    with pytest.raises(UnsupportedError, match="synaptic current starts anew each step"):
        trace(Anew(), x)
    with pytest.raises(UnsupportedError, match="state 0 is not handed back by the neuron that took it"):
        trace(Crossed(), x, states=ZEROS)


def test_the_model_stays_as_it_was() -> None:
    model = seeded(Hidden())
    model(spikes(2, 6))
    attributes, syn, mem = model.lif1.__dict__.keys() - set(), model.lif1.syn, model.lif1.mem
    trace(model, spikes(5, 2, 6))
    assert model.lif1.__dict__.keys() == attributes
    assert model.lif1.syn is syn and model.lif1.mem is mem


def test_a_checkpoint_brings_the_current_back(tmp_path: Path) -> None:
    made = save(seeded(Hidden()), spikes(30, 3, 6), tmp_path / "model.pt")
    found = load(tmp_path / "model.pt")
    assert found.graph == made.graph and found.graph["lif1"].op.alpha is not None


@pytest.mark.parametrize("reset", [name for name in RESETS if name in real.RESETS])
@pytest.mark.parametrize("name", ["cpu", pytest.param("lava", marks=pytest.mark.lava)])
def test_the_integers_are_the_same_on_every_backend(name: str, reset: str) -> None:
    runner = backend.find(name)
    if (missing := runner.missing()) and os.environ.get("AVNIR_REQUIRE_LAVA") != "1":
        pytest.skip(f"{name}: {missing}")
    x = spikes(60, 4, 6)
    graph = trace(seeded(Hidden(bias=False, alpha=torch.linspace(0, 0.97, 9), **RESETS[reset])), x)
    program = compile_graph(graph, target.load("loihi2")).program
    neuron = program.graph["lif1"].op
    assert isinstance(neuron, integer.Lif)
    np.testing.assert_array_equal(neuron.decay_u, 4095 - np.rint(4096 * np.linspace(0, 0.97, 9)))
    same_everywhere(program, x, runner)


def same_everywhere(program: Program, x: Tensor, runner: backend.Backend) -> None:
    wanted = interpret_integer(program.graph, {"x": x.numpy()})
    with runner.session(program) as session:
        found = session.run({"x": x.numpy()})
    for layer, fired in wanted.spikes.items():
        assert fired.any()
        np.testing.assert_array_equal(found.spikes[layer], fired)


def test_lapicque_becomes_integers() -> None:
    x = spikes(60, 4, 6)
    graph = trace(seeded(Lapicque(), gain=4.0), x)
    same_everywhere(compile_graph(graph, target.load("loihi2")).program, x, backend.find("cpu"))
    held = trace(seeded(Lapicque(**DELAYED["zero_next"]), gain=4.0), x)
    same_everywhere(compile_graph(held, target.load("loihi2")).program, x, backend.find("cpu"))
