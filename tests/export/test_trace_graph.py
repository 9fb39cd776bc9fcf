"""What a traced graph looks like: sums, names, places, inputs and outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avnir.errors import DataError
from avnir.export import reference, trace
from avnir.ir import real
from avnir.models.av_digits import AVDigitsConfig, av_digits
from tests.export.nets import RESETS, AudioVisual, av_inputs, seeded, spikes


def leaky() -> Any:
    return snn.Leaky(0.8, init_hidden=True)


class Written(nn.Module):
    """A model whose forward is the function that a test wrote."""

    def __init__(self, forward: Any, **modules: nn.Module) -> None:
        super().__init__()
        self.written = forward
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Any:
        return self.written(self, x)


@pytest.mark.parametrize("reset", RESETS)
def test_an_audio_visual_network_keeps_its_residual_and_both_inputs(reset: str) -> None:
    inputs = av_inputs()
    graph = trace(seeded(AudioVisual(**RESETS[reset])), inputs)
    assert [n.name for n in graph.inputs] == ["image", "audio"]
    assert graph["mean"].inputs == ("pool", "block_2")
    assert graph["lif2"].inputs == ("see", "listen")
    assert graph["conv1"].op.padding == (1, 1) and graph["block_0"].op.groups == 2
    assert graph["lif1"].op.beta.shape == (4, 1, 1)
    recorded = reference(graph, {name: tensor.numpy() for name, tensor in inputs.items()})
    assert all(layer.any() and not layer.all() for layer in recorded.spikes.values())


@pytest.mark.parametrize("modality", ["both", "image", "audio"])
def test_the_projects_own_network_by_step_and_by_window(modality: Any) -> None:
    network = seeded(av_digits(AVDigitsConfig(modality=modality)), gain=2.0)
    inputs = {name: spikes(8, 3, 1, 16, 16, seed=i) for i, name in enumerate(network.inputs)}
    graph = trace(network, inputs)
    joined = sum(len(node.inputs) > 1 for node in graph)
    assert joined == {"both": 2, "image": 1, "audio": 0}[modality]
    network.forward = network.window
    windowed = trace(network, inputs, time="window")
    assert [(n.name, n.op, n.inputs) for n in windowed] == [(n.name, n.op, n.inputs) for n in graph]


def test_public_names_are_not_hidden_by_modules() -> None:
    import avnir.export as package

    modules = {path.stem for path in Path(package.__file__).parent.glob("*.py")}
    assert not modules & set(package.__all__)
    assert all(callable(getattr(package, name)) for name in package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing


def test_inputs_go_by_position_or_by_name() -> None:
    inputs = av_inputs()
    model = seeded(AudioVisual())
    by_name = trace(model, dict(reversed(inputs.items())))
    assert by_name == trace(model, tuple(inputs.values()))


def test_parameters_are_the_models_own_bits() -> None:
    model = seeded(AudioVisual())
    graph = trace(model, av_inputs())
    np.testing.assert_array_equal(graph["see"].op.weight, model.see.weight.detach().numpy())
    assert graph["see"].op.weight.dtype == np.float32
    np.testing.assert_array_equal(graph["norm1"].op.variance, model.norm1.running_var.numpy())


def test_nodes_say_where_they_come_from_without_a_path_of_this_machine() -> None:
    graph = trace(seeded(AudioVisual()), av_inputs())
    assert graph["block_1"].source.startswith("block.1 (nets.py:")
    assert graph["flatten"].source.startswith("forward (nets.py:")
    assert not any("/" in node.source for node in graph)


def test_functional_and_module_forms_are_one() -> None:
    def functional(model: Any, x: Tensor) -> Tensor:
        y = F.conv2d(x, model.conv.weight, model.conv.bias, padding="valid", dilation=(1, 2))
        y = F.max_pool2d(F.dropout(y, 0.5, model.training), (2, 1))
        return model.lif(torch.flatten(y, 1))

    def modules(model: Any, x: Tensor) -> Tensor:
        return model.lif(model.flat(model.pool(model.conv(x))))

    def parts() -> dict[str, nn.Module]:
        return {
            "conv": nn.Conv2d(2, 3, 3, dilation=(1, 2)),
            "pool": nn.MaxPool2d((2, 1)),
            "flat": nn.Flatten(),
            "lif": leaky(),
        }

    x = spikes(8, 2, 2, 6, 7)
    first = trace(seeded(Written(functional, **parts())), x)
    second = trace(seeded(Written(modules, **parts())), x)
    assert [n.op for n in first] == [n.op for n in second]
    assert [n.name for n in first] == ["x", "conv2d", "maxpool2d", "flatten", "lif", "output"]


def test_every_way_to_flatten_is_one_reshape() -> None:
    ways = (
        lambda m, x: m.lif(x.view(x.size(0), -1)),
        lambda m, x: m.lif(x.reshape(len(x), 24)),
        lambda m, x: m.lif(x.flatten(1).unflatten(1, (4, 6)).flatten(1)),
        lambda m, x: m.lif(x.unsqueeze(1).flatten(1)),
    )
    for way in ways:
        graph = trace(Written(way, lif=leaky()), 2 * spikes(5, 3, 2, 3, 4))
        assert graph.shapes["lif"] == (24,)


def test_a_sum_that_feeds_two_layers_repeats_the_edges() -> None:
    def forward(model: Any, x: Tensor) -> Tensor:
        s = model.a(x) + model.b(x) + x
        return model.lif1(s) + model.lif2(s) + s

    parts = {
        "a": nn.Linear(6, 6),
        "b": nn.Linear(6, 6),
        "lif1": leaky(),
        "lif2": snn.Leaky(0.5, init_hidden=True),
    }
    graph = trace(seeded(Written(forward, **parts)), spikes(20, 2, 6))
    assert graph["lif1"].inputs == graph["lif2"].inputs == ("a", "b", "x")
    assert graph["output"].inputs == ("a", "b", "x", "lif1", "lif2")


def test_a_tensor_added_to_itself_is_scaled_by_two() -> None:
    graph = trace(Written(lambda m, x: m.lif(x + x), lif=leaky()), 0.3 * spikes(20, 2, 6))
    assert graph["lif"].inputs == ("scale",)
    assert graph["scale"].op == real.Scale(np.array(2, np.float32))
    thrice = trace(Written(lambda m, x: m.lif(x + (x + x)), lif=leaky()), 0.3 * spikes(20, 2, 6))
    assert sorted(thrice["lif"].inputs) == ["scale", "x"]


def test_addition_in_place_is_taken_where_nothing_else_sees_it() -> None:
    def forward(model: Any, x: Tensor) -> Tensor:
        y = model.lif1(model.a(x))
        y += x
        return model.lif2(y)

    graph = trace(seeded(Written(forward, a=nn.Linear(6, 6), lif1=leaky(), lif2=leaky())), spikes(20, 2, 6))
    assert set(graph["lif2"].inputs) == {"lif1", "x"}


def test_a_shared_layer_stands_once_for_each_use() -> None:
    def forward(model: Any, x: Tensor) -> Tensor:
        return model.lif2(model.fc(model.lif1(model.fc(x))))

    graph = trace(seeded(Written(forward, fc=nn.Linear(6, 6), lif1=leaky(), lif2=leaky())), spikes(20, 2, 6))
    assert [n.name for n in graph] == ["x", "fc", "lif1", "fc_2", "lif2", "output"]
    assert graph["fc"].op == graph["fc_2"].op


def test_outputs_by_position_and_by_key() -> None:
    parts = {"lif1": leaky(), "lif2": snn.Leaky(0.2, init_hidden=True)}
    x = 0.4 * spikes(20, 2, 6)
    both = trace(Written(lambda m, x: (m.lif1(x), m.lif2(x)), **parts), x)
    assert {n.name: n.inputs for n in both.outputs} == {"output_0": ("lif1",), "output_1": ("lif2",)}
    named = trace(Written(lambda m, x: {"who": m.lif1(x), "lif2": m.lif2(x)}, **parts), x)
    assert {n.name: n.inputs for n in named.outputs} == {"who": ("lif1",), "lif2": ("lif2_2",)}


def test_an_output_may_be_real_valued() -> None:
    model = seeded(Written(lambda m, x: m.fc(m.lif(x)), lif=leaky(), fc=nn.Linear(6, 3)))
    x = 0.4 * spikes(20, 2, 6)
    graph = trace(model, x)
    model.eval()
    model.lif.mem = torch.zeros(0)
    with torch.no_grad():
        wanted = torch.stack([model(step) for step in x]).numpy()
    np.testing.assert_array_equal(reference(graph, {"x": x.numpy()}).outputs["output"], wanted)


def test_branches_that_reach_no_output_are_dropped() -> None:
    def forward(model: Any, x: Tensor) -> Tensor:
        model.lif2(x)
        return model.lif1(x)

    graph = trace(Written(forward, lif1=leaky(), lif2=leaky()), spikes(5, 2, 6))
    assert [n.name for n in graph] == ["x", "lif1", "output"]


@pytest.mark.parametrize(
    ("values", "bits"),
    [
        ((0, 1), 0),
        ((0, 2), 3),
        ((-1, 1), 2),
        ((-2, 1), 2),
        ((-3, 0), 3),
        ((0, 255), 9),
        ((0, 2**23), None),
        ((0, 0.5), None),
    ],
)
def test_message_bits_are_read_from_the_examples(values: tuple[float, float], bits: int | None) -> None:
    x = torch.zeros(4, 2, 3)
    x[0, 0, 0], x[1, 1, 1] = values
    graph = trace(Written(lambda m, x: m.lif(x), lif=leaky()), x)
    assert graph["x"].op == real.Input((3,), bits)


def test_integer_examples_are_converted_where_forward_does_it() -> None:
    x = spikes(6, 2, 3).to(torch.uint8)
    graph = trace(Written(lambda m, x: m.lif(m.fc(x.float())), fc=nn.Linear(3, 3), lif=leaky()), x)
    assert graph["x"].op.message_bits == 0


def test_a_window_may_be_folded_into_the_batch_by_layers_without_state() -> None:
    def forward(model: Any, x: Tensor) -> Tensor:
        current = model.fc(x.flatten(0, 1)).unflatten(0, (x.size(0), x.size(1)))
        return torch.stack([model.lif(step) for step in current])

    graph = trace(seeded(Written(forward, fc=nn.Linear(6, 6), lif=leaky())), spikes(20, 2, 6), time="window")
    assert [n.name for n in graph] == ["x", "fc", "lif", "output"]


def test_a_neuron_that_takes_the_folded_window_is_noticed() -> None:
    model = Written(lambda m, x: m.lif(x.flatten(0, 1)).unflatten(0, (x.size(0), -1)), lif=leaky())
    with pytest.raises(Exception, match="called this neuron 1 times"):
        trace(model, spikes(20, 2, 6), time="window")


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (spikes(3, 2), {}, r"x has shape \(3, 2\), but must be \[T, B, ...\]"),
        (spikes(3, 2, 4).double(), {}, r"x.float\(\)"),
        (spikes(1, 2, 4), {}, "one time step"),
        (torch.full((3, 2, 4), torch.nan), {}, "not finite"),
        ((spikes(3, 2, 4), spikes(3, 2, 4)), {}, "2 example inputs are given, but forward takes x"),
        ({"y": spikes(3, 2, 4)}, {}, "forward has no parameter y; it takes x"),
        (spikes(3, 2, 4), {"time": "steps"}, "must be one of step, window"),
        (spikes(3, 2, 4), {"states": [torch.ones(2, 4)]}, "does not start at zero"),
        (spikes(3, 2, 4), {"states": [torch.zeros(3, 4)]}, r"must be \[2, ...\]"),
        (spikes(3, 2, 4), {"time": "window", "states": [torch.zeros(2, 4)]}, "leave them out"),
    ],
)
def test_examples_that_do_not_fit_are_refused(inputs: Any, options: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        trace(Written(lambda m, x: m.lif(x), lif=leaky()), inputs, **options)
