"""Everything that cannot be taken exactly is refused, with its place and what to use instead."""

from __future__ import annotations

from typing import Any

import pytest
import snntorch as snn
import torch
import torch.nn.functional as F
from snntorch import surrogate
from torch import Tensor, nn

from avnir.errors import UnsupportedError
from avnir.export import trace
from avnir.export.neurons import STATES
from tests.export.nets import Explicit, Hidden, spikes
from tests.export.test_trace_graph import Written, leaky


def refusal(model: nn.Module, x: Tensor | None = None, **options: Any) -> UnsupportedError:
    with pytest.raises(UnsupportedError) as caught:
        trace(model, spikes(4, 2, 6) if x is None else x, **options)
    return caught.value


@pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature")
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"graded_spikes_factor": 2.0}, "graded_spikes_factor is not 1"),
        ({"inhibition": True}, "inhibition=True"),
        ({"state_quant": lambda v: v}, "state_quant"),
        ({"threshold": -0.5}, "a negative threshold"),
        ({"threshold": torch.full((9,), -1.0)}, "a negative threshold"),
        ({"spike_grad": lambda x: (x > 0.5 * torch.rand_like(x)).float()}, "not the step x > 0"),
        ({"spike_grad": lambda x: (x >= 0).float()}, "not the step x > 0"),
        ({"spike_grad": torch.sigmoid}, "not the step x > 0"),
    ],
)
def test_neuron_options_that_the_chip_has_not(options: dict[str, Any], problem: str) -> None:
    model = Hidden()
    model.lif1 = snn.Leaky(**{"beta": 0.9, "init_hidden": True, **options})
    (finding,) = refusal(model).findings
    assert problem in finding.problem
    assert finding.place.startswith("lif1 (nets.py:")


@pytest.mark.parametrize(
    "make", [surrogate.atan, surrogate.fast_sigmoid, surrogate.straight_through_estimator, surrogate.SSO]
)
def test_deterministic_surrogates_are_taken(make: Any) -> None:
    assert len(trace(Hidden(spike_grad=make()), spikes(4, 2, 6))) == 6
    assert len(trace(Hidden(surrogate_disable=True), spikes(4, 2, 6))) == 6


OTHERS: dict[str, tuple[nn.Module, tuple[int, ...], str]] = {
    "SLSTM": (snn.SLSTM(6, 9, init_hidden=True), (6,), "step"),
    "SConv2dLSTM": (snn.SConv2dLSTM(2, 3, 3, init_hidden=True), (2, 6, 6), "step"),
    "DeltaLeaky": (snn.DeltaLeaky(1.0, 0.9, init_hidden=True), (6,), "step"),
    "LeakyParallel": (snn.LeakyParallel(6, 9), (6,), "window"),
    "StateLeaky": (snn.StateLeaky(0.9, 6), (6,), "window"),
    "LinearLeaky": (snn.LinearLeaky(0.9, 6, 9), (6,), "window"),
    "AssociativeLeaky": (snn.AssociativeLeaky(6, 3, 3, 9), (6,), "window"),
}
"""snnTorch's other neurons, the shape of their samples, and how they are called."""


def test_every_neuron_of_snntorch_is_taken_or_known_to_be_refused() -> None:
    neurons = {name for name, kind in vars(snn).items() if isinstance(kind, type) and is_neuron_class(kind)}
    abstract = {"SpikingNeuron", "LIF"}
    assert neurons == {kind.__name__ for kind in STATES} | OTHERS.keys() | abstract


def is_neuron_class(kind: type) -> bool:
    return kind.__module__.startswith("snntorch._neurons")


@pytest.mark.parametrize("name", OTHERS)
def test_other_neurons(name: str) -> None:
    neuron, shape, time = OTHERS[name]

    def forward(model: Any, x: Tensor) -> Tensor:
        result = model.neuron(x)
        return result[0] if isinstance(result, tuple) else result

    findings = refusal(Written(forward, neuron=neuron), spikes(4, 2, *shape), time=time).findings
    (named,) = (finding for finding in findings if name in finding.problem)
    assert named.place == "neuron" and "snntorch.Leaky" in named.remedy


def test_a_leaky_with_another_step() -> None:
    class Mine(snn.Leaky):  # type: ignore[misc]
        def fire(self, mem: Tensor) -> Tensor:
            return (mem >= self.threshold).float()

    model = Hidden()
    model.lif1 = Mine(0.9, init_hidden=True)
    assert "the neuron Mine" in str(refusal(model))


def test_a_neuron_whose_state_says_another_reset_than_it_was_built_with() -> None:
    model = Hidden()
    model.load_state_dict(Hidden(reset_mechanism="zero").state_dict())
    assert len(refusal(model).findings) == 2
    assert "built with the reset 'subtract', but its state says 'zero'" in str(refusal(model))


def test_a_neuron_called_twice_in_a_step() -> None:
    error = refusal(Written(lambda m, x: m.lif(m.lif(x)), lif=leaky()))
    assert "called 2 times in one step" in str(error)


def test_a_neuron_whose_state_is_cleared_in_each_step() -> None:
    def forward(model: Any, x: Tensor) -> Tensor:
        model.lif.reset_mem()
        return model.lif(x)

    assert "its state is cleared in each step" in str(refusal(Written(forward, lif=leaky())))


def linear() -> nn.Module:
    return nn.Linear(6, 6)


@pytest.mark.parametrize(
    ("forward", "problem", "remedy"),
    [
        (lambda m, x: m.lif(x / m.fc(x)), "divides by values of the network", "fixed factors"),
        (lambda m, x: m.lif(torch.relu(m.fc(x))), "the operation relu", "snntorch.Leaky"),
        (lambda m, x: m.lif(m.fc(x) + 1.0), "adds a constant", "bias"),
        (lambda m, x: m.lif(m.fc(x) + m.fc.bias), "adds a constant or a parameter", "bias"),
        (lambda m, x: m.lif(torch.add(m.fc(x), x, alpha=2)), "alpha=2", "Fold"),
        (lambda m, x: m.lif(F.dropout(x, 0.5)), "dropout that is active in eval mode", "self.training"),
        (lambda m, x: m.lif(x.expand(2, -1, -1)), "moves or drops the batch", "Keep the batch first"),
        (lambda m, x: m.lif(x.double()), "converts to torch.float64", "float32"),
        (lambda m, x: m.lif(x).mean(0), "the operation mean", "Return the spikes"),
        (lambda m, x: m.lif(x).sum(), "the operation sum", "Return the spikes"),
        (lambda m, x: (m.lif(x), torch.zeros(len(x))), "'output_1' is not a tensor", "every step"),
    ],
)
def test_operations(forward: Any, problem: str, remedy: str) -> None:
    model = Written(forward, fc=linear(), lif=leaky())
    error = refusal(model)
    assert any(problem in f.problem and remedy in f.remedy for f in error.findings), str(error)
    assert all("test_trace_graph.py:" in f.place or f.place == "forward" for f in error.findings)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize(
    ("layer", "problem"),
    [
        (nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), "the operation pad"),
        (nn.Conv2d(2, 3, 2, padding="same"), "even kernel"),
        (nn.BatchNorm2d(2, track_running_stats=False), "statistics of each batch"),
        (nn.AvgPool2d(2, ceil_mode=True), "ceil_mode=True"),
        (nn.AvgPool2d(3, padding=1, count_include_pad=False), "count_include_pad=False"),
        (nn.AvgPool2d(2, divisor_override=1), "divisor_override"),
        (nn.MaxPool2d(3, ceil_mode=True), "ceil_mode=True"),
        (nn.MaxPool2d(2, dilation=2), "dilation"),
        (nn.AdaptiveAvgPool2d(2), "windows of different sizes"),
        (nn.Linear(7, 3), "Linear on the last axis of samples (2, 7, 7)"),
        (nn.LayerNorm(7), "layer_norm"),
    ],
)
def test_layers(layer: nn.Module, problem: str) -> None:
    model = Written(lambda m, x: m.lif(m.layer(x)), layer=layer, lif=leaky())
    (finding,) = refusal(model, spikes(4, 2, 2, 7, 7)).findings
    assert problem in finding.problem
    assert finding.place.startswith("layer (test_trace_graph.py:")


def test_membrane_potentials_stay_in_their_neurons() -> None:
    def returned(model: Any, x: Tensor) -> Any:
        return model.lif(x)

    def used(model: Any, x: Tensor) -> Any:
        spk, mem = model.lif(x)
        return model.lif2(model.fc(mem) + spk)

    neuron = snn.Leaky(0.9, init_hidden=True, output=True)
    assert "'output_1' is the membrane potential of lif" in str(refusal(Written(returned, lif=neuron)))
    error = refusal(Written(used, lif=neuron, lif2=leaky(), fc=linear()))
    assert "uses a membrane potential" in str(error)


def test_states_that_are_swapped_or_kept_back() -> None:
    class Swapped(Explicit):
        def forward(self, x: Tensor, mem1: Tensor, mem2: Tensor) -> Any:
            spk, mem1, mem2 = super().forward(x, mem1, mem2)
            return spk, mem2, mem1

    class Kept(Explicit):
        def forward(self, x: Tensor, mem1: Tensor, mem2: Tensor) -> Any:
            spk, _, mem2 = super().forward(x, mem1, mem2)
            return spk, torch.zeros_like(mem1), mem2

    class Anew(Explicit):
        def forward(self, x: Tensor) -> Any:  # type: ignore[override]
            return super().forward(x, torch.zeros(len(x), 9), torch.zeros(len(x), 4))[0]

    states = (torch.zeros(2, 9), torch.zeros(2, 4))
    alike = Swapped()
    alike.fc2, alike.fc1 = nn.Linear(9, 9), nn.Linear(6, 9)
    assert "state 0 is not handed back" in str(refusal(alike, states=(states[0], states[0])))
    assert "state 0 is not handed back" in str(refusal(Kept(), states=states))
    assert "starts anew each step" in str(refusal(Anew()))


def test_control_flow_on_values_and_fixed_batches() -> None:
    def branches(model: Any, x: Tensor) -> Tensor:
        return model.lif(x) if x.sum() > 2 else model.lif(model.fc(x))

    def fixed(model: Any, x: Tensor) -> Tensor:
        return model.lif(x.view(2, 6))

    for forward in (branches, fixed):
        (finding,) = refusal(Written(forward, fc=linear(), lif=leaky())).findings
        assert "does not export" in finding.problem
        assert finding.place.startswith("forward (test_trace_refusals.py:")


def test_a_tensor_used_after_an_addition_in_place() -> None:
    def later(model: Any, x: Tensor) -> Tensor:
        y = model.fc(x)
        z = y.view(x.size(0), 6)
        y += x
        return model.lif(z)

    def given(model: Any, x: Tensor) -> Tensor:
        x += model.fc(x)
        return model.lif(x)

    assert "uses a tensor that `+=` has changed" in str(refusal(Written(later, fc=linear(), lif=leaky())))
    assert "`+=` changes an input or a buffer" in str(refusal(Written(given, fc=linear(), lif=leaky())))


def test_state_outside_the_neurons() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lif = leaky()
            self.register_buffer("last", torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            self.last.add_(1)
            return self.lif(x)

    model = Counting()
    assert "`+=` changes an input or a buffer" in str(refusal(model))
    assert model.last.item() == 0


def test_an_axis_of_the_sample_is_not_taken_for_the_batch() -> None:
    model = Written(lambda m, x: m.lif(x.reshape(7, -1)), lif=leaky())
    assert "moves or drops the batch" in str(refusal(model, spikes(4, 2, 7, 4)))


def test_an_input_that_reaches_no_output() -> None:
    class Deaf(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lif = leaky()

        def forward(self, image: Tensor, audio: Tensor) -> Tensor:
            return self.lif(image)

    with pytest.raises(UnsupportedError, match=r"forward\(audio\): this input reaches no output"):
        trace(Deaf(), (spikes(3, 2, 4), spikes(3, 2, 4)))


@pytest.mark.parametrize("change", [lambda m: m.double(), lambda m: m.fc1.weight.data.fill_(torch.nan)])
def test_parameters_that_are_no_finite_float32(change: Any) -> None:
    model = Hidden()
    change(model)
    assert "fc1.weight" in str(refusal(model))


def test_all_findings_come_at_once() -> None:
    def forward(model: Any, x: Tensor) -> Any:
        a = model.graded(torch.tanh(model.fc(x)))
        b = model.delta(model.fc(x))[0]
        both = torch.relu(model.wide(torch.hstack([a, b])))
        spk, mem = model.last(both)
        return spk, mem

    parts = {
        "fc": linear(),
        "graded": snn.Leaky(0.9, init_hidden=True, graded_spikes_factor=3.0),
        "delta": snn.DeltaLeaky(1.0, 0.9, init_hidden=True),
        "wide": nn.Linear(12, 3),
        "last": snn.Leaky(0.9, init_hidden=True, output=True, inhibition=False, threshold=-1.0),
    }
    error = refusal(Written(forward, **parts))
    for text in (
        "tanh",
        "graded_spikes_factor",
        "DeltaLeaky",
        "hstack",
        "relu",
        "negative threshold",
        "'output_1'",
    ):
        assert text in str(error)
    assert len(error.findings) == 7
