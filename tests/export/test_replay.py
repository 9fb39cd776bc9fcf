"""The replay: nothing leaves that did not give the model's own spikes, and the model stays as it was."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from avnir.errors import ReplayError, UnsupportedError, UserError
from avnir.export import TieError, reference, trace
from avnir.export.replay import check
from avnir.export.tracing import traced
from avnir.ir.graph import Graph
from avnir.trace import Trace
from tests.export.nets import RESETS, AudioVisual, Hidden, HiddenWindow, av_inputs, random_net, seeded, spikes
from tests.export.test_trace_graph import Written, leaky


@pytest.mark.parametrize("seed", range(6))
def test_random_networks_over_two_hundred_steps(seed: int) -> None:
    """The model's own loop, the reference and the definition: not one spike differs."""
    model, shape = random_net(seed)
    x = spikes(200, 8, *shape, rate=0.3, seed=seed)
    made = traced(model, x)
    layers = made.recorded.spikes
    assert any(layer.any() for layer in layers.values())
    other = spikes(50, 5, *shape, rate=0.5, seed=seed + 100)
    again = traced(model, other)
    rerun = reference(made.graph, {"input": other.numpy()})
    assert again.recorded.spikes.keys() == rerun.spikes.keys()
    for name, layer in again.recorded.spikes.items():
        np.testing.assert_array_equal(rerun.spikes[name], layer)
    np.testing.assert_array_equal(rerun.outputs["output"], again.recorded.outputs["output"])


@pytest.mark.parametrize("reset", RESETS)
def test_the_audio_visual_network(reset: str) -> None:
    steps, batch = (200, 8) if reset == "subtract_delayed" else (40, 4)
    made = traced(seeded(AudioVisual(**RESETS[reset]), seed=3), av_inputs(steps, batch, seed=5))
    referred = reference(made.graph, made.examples.arrays())
    for name, layer in made.recorded.spikes.items():
        np.testing.assert_array_equal(referred.spikes[name], layer)


def broken(graph: Graph, name: str, **changes: Any) -> Graph:
    nodes = [
        copy.copy(n) if n.name != name else type(n)(n.name, n.op.replace(**changes), n.inputs, n.source)
        for n in graph
    ]
    return graph.with_nodes(nodes)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("lif2", {"reset": "zero"}),
        ("lif2", {"beta": np.float32(0.5)}),
        ("lif1", {"threshold": np.float32(1.05)}),
        ("fc1", {"bias": None}),
    ],
)
def test_a_broken_trace_is_caught_at_its_first_layer(name: str, changes: dict[str, Any]) -> None:
    made = traced(seeded(Hidden()), spikes(60, 4, 6))
    layer = {"fc1": "lif1"}.get(name, name)
    changes = {k: np.asarray(v) if isinstance(v, np.floating) else v for k, v in changes.items()}
    with pytest.raises(ReplayError, match=rf"layer {layer}, neuron \(\d+\), step \d+, sample \d") as caught:
        check(broken(made.graph, name, **changes), made.recorded, made.examples.arrays())
    assert not isinstance(caught.value, TieError)


def test_the_first_difference_is_the_earliest_step_and_names_both_sides() -> None:
    made = traced(seeded(Hidden()), spikes(60, 4, 6))
    made.recorded.spikes["lif1"][7, 2, 5] ^= 1
    made.recorded.spikes["lif2"][9, 0, 0] ^= 1
    given = made.recorded.spikes["lif1"][7, 2, 5]
    text = rf"layer lif1, neuron \(5\), step 7, sample 2: the model gives {given}, the graph {1 - given}"
    with pytest.raises(ReplayError, match=text):
        check(made.graph, made.recorded, made.examples.arrays())


def test_a_model_that_counts_its_steps_is_caught() -> None:
    class Moody(Hidden):
        steps = 0

        def forward(self, x: Tensor) -> Tensor:
            self.steps += 1
            return super().forward(x if self.steps < 10 else x + x)

    with pytest.raises(ReplayError, match="the traced graph is not the model"):
        trace(seeded(Moody()), spikes(30, 2, 6))


def test_a_window_whose_loop_forgets_its_state_is_caught() -> None:
    class Forgets(HiddenWindow):
        def forward(self, x: Tensor) -> Tensor:
            out = []
            for t, step in enumerate(x):
                if t == 5:
                    self.lif1.reset_mem()
                out.append(Hidden.forward(self, step))
            return torch.stack(out)

    with pytest.raises(ReplayError, match="layer lif1"):
        trace(seeded(Forgets()), spikes(30, 2, 6), time="window")


def test_a_tie_is_told_apart_and_names_the_samples() -> None:
    """a + b is not a float32 number: rounded it is the threshold itself (no spike), exactly it lies above."""
    a, b = np.float32(0.040973525), np.float32(0.016527636)
    assert float(a) + float(b) > float(a + b)
    model = Written(
        lambda m, x: m.lif(x), lif=snn.Leaky(1.0, threshold=torch.tensor(a + b), init_hidden=True)
    )
    x = torch.zeros(4, 3, 1)
    x[0, 1], x[1, 1] = float(a), float(b)
    x[:, 2] = 0.02
    with pytest.raises(TieError, match=r"layer lif, neuron \(0\), step 1, sample 1") as caught:
        trace(model, x)
    assert caught.value.samples == (1,)
    assert "Leave these samples out" in str(caught.value) and "the silent side's potential is 0.0575" in str(
        caught.value
    )
    assert pickle.loads(pickle.dumps(caught.value)).samples == (1,)
    assert len(trace(model, x[:, [0, 2]])) == 3


def state_of(model: nn.Module) -> dict[str, Any]:
    return {
        f"{path}.{name}": value
        for path, module in model.named_modules()
        for name, value in module.__dict__.items()
        if not name.startswith("_") or name in ("_buffers", "_parameters")
    }


def same_state(a: dict[str, Any], b: dict[str, Any]) -> bool:
    if a.keys() != b.keys():
        return False
    return all(
        all(a[k][n] is b[k][n] for n in a[k]) if isinstance(a[k], dict) else a[k] is b[k] or a[k] == b[k]
        for k in a
    )


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was(fails: bool) -> None:
    model = seeded(AudioVisual()).train()
    model.pool.eval()
    inputs = av_inputs()
    model(inputs["image"][0], inputs["audio"][0])
    if fails:
        model.lif3 = snn.Leaky(0.9, init_hidden=True, inhibition=False, graded_spikes_factor=2.0)
    before = {k: dict(v) if isinstance(v, dict) else v for k, v in state_of(model).items()}
    values = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
    neurons = list(snn.SpikingNeuron.instances)
    if fails:
        with pytest.raises(UnsupportedError):
            trace(model, inputs)
    else:
        trace(model, inputs)
    assert same_state(before, state_of(model))
    assert model.training and not model.pool.training
    assert all(torch.equal(buffer, values[name]) for name, buffer in model.named_buffers())
    assert model.lif1.mem.requires_grad
    assert len(snn.SpikingNeuron.instances) == len(neurons)
    assert not any(module._forward_hooks for module in model.modules())


def test_other_models_are_not_reset() -> None:
    class Resets(HiddenWindow):
        def forward(self, x: Tensor) -> Tensor:
            snn.Leaky.reset_hidden()
            return super().forward(x)

    other = snn.Leaky(0.9, init_hidden=True)
    other(torch.full((2, 3), 0.5))
    trace(seeded(Resets()), spikes(12, 2, 6), time="window")
    assert torch.equal(other.mem, torch.full((2, 3), 0.5))


def test_a_model_may_be_used_in_another_thread_meanwhile() -> None:
    other, x = seeded(Hidden(), 1), spikes(30, 2, 6)
    expected = reference(trace(other, x), {"x": x.numpy()}).outputs["output"]
    found: list[Any] = []

    def run() -> None:
        for _ in range(5):
            other.lif1.reset_mem(), other.lif2.reset_mem()
            with torch.no_grad():
                found.append(torch.stack([other(step) for step in x]).numpy())

    thread = threading.Thread(target=run)
    thread.start()
    trace(seeded(Hidden()), x)
    thread.join()
    assert len(found) == 5
    for outputs in found:
        np.testing.assert_array_equal(outputs, expected)


def test_a_model_that_fails_on_its_examples_is_the_users_error() -> None:
    with pytest.raises(UserError, match=r"fails on the example inputs .* called with x \(2, 7\)"):
        trace(Hidden(), spikes(3, 2, 7))


def test_the_replay_asks_for_one_call_a_step() -> None:
    def twice(model: Any, x: Tensor) -> Tensor:
        out = [model.lif(step) for step in x]
        if len(out) > 1:
            model.lif(x[0])
        return torch.stack(out)

    with pytest.raises(ReplayError, match="called this neuron 6 times"):
        trace(Written(twice, lif=leaky()), spikes(5, 2, 6), time="window")


class ReadOut(nn.Module):
    """A layer of spikes and sums of it, which are real numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lif, self.head = nn.Linear(12, 40), leaky(), nn.Linear(40, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.lif(self.fc(x)))
        return out


def test_outputs_of_another_order_of_summation_are_the_models() -> None:
    """The last bits of a real number are the order's; anything more is another network's."""
    made = traced(seeded(ReadOut(), seed=1), spikes(10, 4, 12, seed=2))
    inputs, given = made.examples.arrays(), made.recorded
    moved = given.outputs["output"].copy()
    moved[3, 1, 2] = np.nextafter(moved[3, 1, 2], np.inf)
    kept = check(made.graph, Trace(given.spikes, {"output": moved}), inputs)
    np.testing.assert_array_equal(kept.outputs["output"], moved)
    moved[3, 1, 2] += 1e-3
    with pytest.raises(ReplayError, match=r"layer output, neuron \(2\), step 3, sample 1"):
        check(made.graph, Trace(given.spikes, {"output": moved}), inputs)
