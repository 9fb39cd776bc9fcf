"""What a network gives besides spikes: real values, potentials that nothing resets; and what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from avnir.errors import DataError, UnsupportedError
from avnir.export import load, reference, save, trace
from avnir.export.onnx_run import onnx_trace
from avnir.export.tracing import Traced, traced
from avnir.ir.interpret_real import interpret_real
from tests.export.nets import seeded, spikes
from tests.export.test_trace_graph import Written, leaky

STEPS, BATCH = 200, 8
READERS: Mapping[str, Any] = {
    "Leaky": lambda **o: snn.Leaky(torch.linspace(0.5, 1.0, 4), **o),
    "Synaptic": lambda **o: snn.Synaptic(0.6, 0.8, **o),
    "Lapicque": lambda **o: snn.Lapicque(R=5.1, C=0.37, time_step=0.3, **o),
}


class Read(nn.Module):
    """A hidden layer of Leaky, then the reader, of which spikes, potential or both are returned."""

    def __init__(self, reader: str, *returned: int, reset: str = "none") -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(6, 9), leaky()
        self.fc2 = nn.Linear(9, 4)
        self.lif2 = READERS[reader](init_hidden=True, output=True, reset_mechanism=reset)
        self.returned = returned

    def forward(self, x: Tensor) -> Any:
        results = self.lif2(self.fc2(self.lif1(self.fc1(x))))
        given = tuple(results[index] for index in self.returned)
        return given if len(given) > 1 else given[0]


class ReadWindow(Read):
    """The tutorials' form: spikes and potentials recorded in lists, then stacked."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        spk_rec, mem_rec = [], []
        for step in x:
            spk, *_, mem = self.lif2(self.fc2(self.lif1(self.fc1(step))))
            spk_rec.append(spk)
            mem_rec.append(mem)
        return torch.stack(spk_rec), torch.stack(mem_rec, dim=0)


def exact(made: Traced) -> None:
    """Spikes and real outputs of the reference are the model's, bit for bit; ONNX Runtime's spikes too."""
    inputs = made.examples.arrays()
    referred, theirs = reference(made.graph, inputs), onnx_trace(made.graph, inputs)
    for name, layer in made.recorded.spikes.items():
        assert 0 < layer.mean() < 1
        np.testing.assert_array_equal(referred.spikes[name], layer)
        np.testing.assert_array_equal(theirs.spikes[name], layer)
    for name, given in made.recorded.outputs.items():
        assert given.any()
        np.testing.assert_array_equal(referred.outputs[name], given)
        np.testing.assert_allclose(interpret_real(made.graph, inputs).outputs[name], given, atol=1e-3)


@pytest.mark.parametrize("reader", READERS)
def test_the_potential_of_a_neuron_without_reset(reader: str) -> None:
    x = spikes(STEPS, BATCH, 6)
    mem = 2 if reader == "Synaptic" else 1
    alone = traced(seeded(Read(reader, mem)), x)
    assert alone.graph["lif2_mem"].op.kind == "Li" and "lif2" not in alone.graph.by_name
    exact(alone)
    both = traced(seeded(Read(reader, 0, mem)), x)
    assert both.graph["lif2_mem"].inputs == both.graph["lif2"].inputs
    exact(both)
    window = traced(seeded(ReadWindow(reader)), x, time="window")
    assert window.graph == both.graph
    exact(window)


def test_explicit_potentials_are_states_and_outputs() -> None:
    class Explicit(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(6, 4), snn.Leaky(0.9, reset_mechanism="none")

        def forward(self, x: Tensor, mem: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            spk, mem = self.lif(self.fc(x), mem)
            return spk, mem, mem

    exact(traced(seeded(Explicit()), spikes(STEPS, BATCH, 6), states=(torch.zeros(BATCH, 4),)))


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.fc(m.lif(m.wide(x))),
        lambda m, x: m.conv(m.lif(m.wide(x)).view(-1, 1, 2, 3)),
        lambda m, x: m.fc(m.lif(m.wide(x))) + m.fc(x),
        lambda m, x: (m.lif(m.wide(x)), 0.5 * m.fc(x)),
    ],
)
def test_real_values_of_layers(forward: Any) -> None:
    parts = {"wide": nn.Linear(6, 6), "lif": leaky(), "fc": nn.Linear(6, 3), "conv": nn.Conv2d(1, 2, 2)}
    exact(traced(seeded(Written(forward, **parts)), spikes(STEPS, BATCH, 6)))


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_a_potential_that_spikes_reset_is_refused_with_the_call_that_leaves_it_out(reset: str) -> None:
    x = spikes(STEPS, BATCH, 6)
    model = seeded(ReadWindow("Leaky", reset=reset))
    with pytest.raises(UnsupportedError) as caught:
        trace(model, x, time="window")
    (finding,) = caught.value.findings
    assert "'output_1' is the membrane potential of lif2" in finding.problem
    call = "avnir.save(model, example_inputs, path, outputs=['output_0'])"
    assert 'reset_mechanism="none"' in finding.remedy and call in finding.remedy
    made = traced(model, x, time="window", outputs=["output_0"])
    assert [node.name for node in made.graph.outputs] == list(made.recorded.outputs) == ["output_0"]
    exact(made)
    assert made.graph == trace(model, x, time="window", outputs=[0]) == trace(model, x, "window", outputs=0)


def test_a_current_and_a_lone_potential_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="'output' is the synaptic current of lif2") as caught:
        trace(Read("Synaptic", 1), spikes(5, 2, 6))
    assert "outputs=" not in str(caught.value)
    recurrent = snn.RLeaky(0.9, linear_features=6, init_hidden=True, output=True, reset_mechanism="none")
    with pytest.raises(UnsupportedError, match="'output_1' is the membrane potential of 0"):
        trace(nn.Sequential(recurrent), spikes(5, 2, 6))


def test_outputs_are_named_by_name_or_position() -> None:
    x = spikes(10, 2, 6)
    model = Written(lambda m, x: {"out": m.a(x), "aux": m.b(x)}, a=leaky(), b=leaky())
    assert [n.name for n in trace(model, x).outputs] == ["out", "aux"]
    assert [n.name for n in trace(model, x, outputs=[1, "out"]).outputs] == ["out", "aux"]
    assert [n.name for n in trace(model, x, outputs="aux").outputs] == ["aux"]
    with pytest.raises(
        DataError, match=r"the model has no output 2, loss; choose among 0 \(out\), 1 \(aux\)"
    ):
        trace(model, x, outputs=[2, "loss"])
    with pytest.raises(DataError, match="outputs is empty"):
        trace(model, x, outputs=[])


def test_a_checkpoint_holds_the_outputs_that_were_kept(tmp_path: Path) -> None:
    x, model = spikes(30, 3, 6), seeded(ReadWindow("Leaky", reset="subtract"))
    save(model, x, tmp_path / "model.pt", "window", outputs=["output_0"])
    found = load(tmp_path / "model.pt")
    assert list(found.recorded.outputs) == ["output_0"]
    save(seeded(ReadWindow("Leaky")), x, tmp_path / "both.pt", "window")
    both = load(tmp_path / "both.pt")
    assert both.graph["lif2_mem"].op.kind == "Li" and set(both.recorded.outputs) == {"output_0", "output_1"}
