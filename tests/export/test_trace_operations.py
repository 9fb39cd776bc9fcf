"""Factors, parts, one-dimensional layers, pooling and products: each exact on every spike, and deployable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avnir import backend, target
from avnir.compile import compile_graph
from avnir.export import load, read_nir, reference, save, trace, write_nir
from avnir.ir import real
from avnir.ir.interpret_integer import interpret_integer
from tests.export.nets import RESETS, Gate, seeded, spikes
from tests.export.test_trace_graph import Written
from tests.export.test_trace_refusals import refusal

STEPS, BATCH = 200, 8
FLAT, SEQUENCE, PICTURE = (6,), (2, 12), (2, 6, 6)


def neuron(threshold: float = 1.0) -> nn.Module:
    return snn.Leaky(0.8, threshold, init_hidden=True, **RESETS["zero"])


def replayed(model: nn.Module, x: Tensor) -> Any:
    """The traced graph, after the count of spikes in which it and the model differ was found to be 0."""
    model = seeded(model)
    graph = trace(model, x)
    for module in model.eval().modules():
        if isinstance(module, snn.Leaky):
            module.mem = torch.zeros(0)
    with torch.no_grad():
        wanted = np.stack([model(step).numpy() for step in x])
    given = reference(graph, {"x": x.numpy()})
    assert np.count_nonzero(given.outputs["output"] != wanted) == 0
    assert all(0 < layer.mean() < 1 for layer in given.spikes.values())
    return graph


def deployed(graph: Any, x: Tensor) -> Any:
    """What the graph compiles to, after the engine gave what the integers' definition gives."""
    compiled = compile_graph(graph, target.load("loihi2"))
    inputs = {"x": x.numpy().astype(np.int32)}
    wanted = interpret_integer(compiled.program.graph, inputs)
    with backend.find("cpu").session(compiled.program) as session:
        found = session.run(inputs)
    for name, fired in wanted.spikes.items():
        assert fired.any()
        np.testing.assert_array_equal(found.spikes[name], fired)
    return compiled


def conv(*arguments: Any, **options: Any) -> nn.Module:
    return nn.Conv2d(*arguments, **options)


Case = tuple[Any, tuple[int, ...], Mapping[str, nn.Module]]

CASES: Mapping[str, Case] = {
    "times a number": (lambda m, x: m.lif(m.fc(x) * 0.7), FLAT, {"fc": nn.Linear(6, 9)}),
    "a number times": (lambda m, x: m.lif(0.7 * m.fc(x)), FLAT, {"fc": nn.Linear(6, 9)}),
    "torch.mul": (lambda m, x: m.lif(torch.mul(m.fc(x), torch.tensor(0.7))), FLAT, {"fc": nn.Linear(6, 9)}),
    "divided by a power of two": (lambda m, x: m.lif(m.fc(x) / 2), FLAT, {"fc": nn.Linear(6, 9)}),
    "spikes divided by three": (lambda m, x: m.lif(m.fc(x / 3)), FLAT, {"fc": nn.Linear(6, 9)}),
    "negated": (lambda m, x: m.lif(-m.fc(-x)), FLAT, {"fc": nn.Linear(6, 9)}),
    "subtracted": (
        lambda m, x: m.lif(m.a(x) - (m.b(x) + x)),
        FLAT,
        {"a": nn.Linear(6, 6), "b": nn.Linear(6, 6, bias=False)},
    ),
    "torch.rsub": (
        lambda m, x: m.lif(torch.rsub(x, m.a(x))),
        FLAT,
        {"a": nn.Linear(6, 6)},
    ),
    "a learned scalar gate": (
        lambda m, x: m.lif(m.gate(m.fc(x))),
        FLAT,
        {"gate": Gate(), "fc": nn.Linear(6, 9)},
    ),
    "a gate for each channel": (
        lambda m, x: m.lif2(m.fc(m.gate(m.lif(m.c(x))).flatten(1))),
        PICTURE,
        {"c": conv(2, 3, 3, padding=1), "gate": Gate(1, 3, 1, 1), "fc": nn.Linear(108, 5), "lif2": neuron()},
    ),
    "cat of channels into a convolution": (
        lambda m, x: m.lif2(m.d(torch.cat([m.lif(m.c(x)), x], 1))),
        PICTURE,
        {"c": conv(2, 3, 3, padding=1), "d": conv(5, 4, 3, padding=1), "lif2": neuron()},
    ),
    "cat of features into a Linear": (
        lambda m, x: m.lif2(m.fc(torch.concat([m.lif(m.c(x)).flatten(1), x.flatten(1)], -1))),
        PICTURE,
        {"c": conv(2, 3, 3, padding=1), "fc": nn.Linear(180, 7), "lif2": neuron(2.5)},
    ),
    "cat into a neuron": (
        lambda m, x: m.lif2(torch.cat([m.lif(m.fc(x)), x, x], 1)),
        FLAT,
        {"fc": nn.Linear(6, 4), "lif2": neuron(1.3)},
    ),
    "cat, then a slice of it": (
        lambda m, x: m.lif2(torch.cat([m.lif(m.fc(x)), x], 1)[:, 2:7]),
        FLAT,
        {"fc": nn.Linear(6, 4), "lif2": neuron(1.3)},
    ),
    "cat of rows and of columns": (
        lambda m, x: m.lif2(m.d(torch.cat([torch.cat([m.lif(m.c(x)), x], 2)[..., :4], m.wide(x)], 3))),
        PICTURE,
        {
            "c": conv(2, 2, 3, padding=1),
            "wide": conv(2, 2, (1, 3), padding=(3, 0)),
            "d": conv(2, 3, 3),
            "lif2": neuron(),
        },
    ),
    "chunk": (
        lambda m, x: m.lif(m.a(x.chunk(2, 1)[0]) + m.b(torch.tensor_split(x, 2, 1)[1])),
        FLAT,
        {"a": nn.Linear(3, 9), "b": nn.Linear(3, 9)},
    ),
    "split of channels": (
        lambda m, x: m.lif(m.a(x.split([1, 1], 1)[0]) + m.b(x.split(1, 1)[1])),
        PICTURE,
        {"a": conv(1, 4, 3), "b": conv(1, 4, 3)},
    ),
    "slices of rows and columns": (
        lambda m, x: m.lif(m.c(x[:, :, 1:5, ::2])),
        PICTURE,
        {"c": conv(2, 4, 3, padding=1)},
    ),
    "narrow": (lambda m, x: m.lif(m.fc(x.narrow(1, -5, 4))), FLAT, {"fc": nn.Linear(4, 9)}),
    "one channel": (lambda m, x: m.lif(m.fc(x[:, 1].flatten(1))), PICTURE, {"fc": nn.Linear(36, 9)}),
    "the last row": (lambda m, x: m.lif(m.fc(x[:, :, -1].flatten(1))), PICTURE, {"fc": nn.Linear(12, 9)}),
    "channels of a sequence, one by one": (
        lambda m, x: m.lif(m.a(x.unbind(1)[0]) + m.a(x.select(1, 1)) + m.b(x[..., 3])),
        SEQUENCE,
        {"a": nn.Linear(12, 9), "b": nn.Linear(2, 9)},
    ),
    "global average pooling": (
        lambda m, x: m.lif2(m.fc(m.pool(m.lif(m.c(x))).flatten(1))),
        PICTURE,
        {"c": conv(2, 4, 3), "pool": nn.AdaptiveAvgPool2d(1), "fc": nn.Linear(4, 5), "lif2": neuron(0.6)},
    ),
    "adaptive average pooling": (
        lambda m, x: m.lif2(m.fc(F.adaptive_avg_pool2d(m.lif(m.c(x)), (2, 3)).flatten(1))),
        PICTURE,
        {"c": conv(2, 4, 3, padding=1), "fc": nn.Linear(24, 5), "lif2": neuron()},
    ),
    "the mean of the picture": (
        lambda m, x: m.lif2(m.fc(m.lif(m.c(x)).mean((2, 3)))),
        PICTURE,
        {"c": conv(2, 4, 3), "fc": nn.Linear(4, 5), "lif2": neuron(0.6)},
    ),
    "the sum of the picture": (
        lambda m, x: m.lif2(m.fc(m.lif(m.c(x)).sum((-1, -2), keepdim=True).flatten(1)) * 0.125),
        PICTURE,
        {"c": conv(2, 4, 3), "fc": nn.Linear(4, 5), "lif2": neuron()},
    ),
    "the mean of each row": (
        lambda m, x: m.lif2(m.fc(m.lif(m.c(x)).mean(-1).flatten(1))),
        PICTURE,
        {"c": conv(2, 4, 3), "fc": nn.Linear(16, 5), "lif2": neuron()},
    ),
    "product of two layers' spikes": (
        lambda m, x: m.lif2(m.fc2(m.lif(m.fc(x)) * x)),
        FLAT,
        {"fc": nn.Linear(6, 6), "fc2": nn.Linear(6, 9), "lif2": neuron(0.5)},
    ),
    "product of the halves of one layer": (
        lambda m, x: m.lif2(m.fc(torch.mul(*m.lif(m.c(x)).chunk(2, 1)).flatten(1))),
        PICTURE,
        {"c": conv(2, 4, 3, padding=1), "fc": nn.Linear(72, 5), "lif2": neuron()},
    ),
    "a spike train times itself": (lambda m, x: m.lif(m.fc(x * x)), FLAT, {"fc": nn.Linear(6, 9)}),
    "a shared layer on two inputs": (
        lambda m, x: m.lif2(m.fc(m.lif(m.fc(x))) + m.fc(x)),
        FLAT,
        {"fc": nn.Linear(6, 6), "lif2": neuron()},
    ),
    "what passes through": (
        lambda m, x: m.lif(
            m.same(F.dropout(m.fc(x.float().contiguous().clone().to("cpu")), 0.5, m.training)).type_as(x)
        ),
        FLAT,
        {"fc": nn.Linear(6, 6), "same": nn.Identity()},
    ),
}

SEQUENCES: Mapping[str, Case] = {
    "Conv1d, BatchNorm1d, MaxPool1d": (
        lambda m, x: m.lif2(m.fc(m.pool(m.lif(m.norm(m.c(x)))).flatten(1))),
        SEQUENCE,
        {
            "c": nn.Conv1d(2, 4, 3, padding=1),
            "norm": nn.BatchNorm1d(4),
            "pool": nn.MaxPool1d(2),
            "fc": nn.Linear(24, 5),
            "lif2": neuron(),
        },
    ),
    "Conv1d with every option, AvgPool1d": (
        lambda m, x: m.lif2(m.d(m.pool(m.lif(m.c(x))))),
        SEQUENCE,
        {
            "c": nn.Conv1d(2, 4, 5, padding="same", groups=2, dilation=2),
            "pool": nn.AvgPool1d(3, 2, 1),
            "d": nn.Conv1d(4, 3, 3, stride=2),
            "lif2": neuron(),
        },
    ),
    "functional forms": (
        lambda m, x: m.lif2(F.conv1d(F.avg_pool1d(F.max_pool1d(m.lif(x), 2), 2), m.d.weight, m.d.bias)),
        SEQUENCE,
        {"d": nn.Conv1d(2, 3, 2), "lif2": neuron()},
    ),
    "adaptive pooling and the mean of a sequence": (
        lambda m, x: m.lif2(m.fc(m.pool(m.lif(m.c(x))).flatten(1)) + m.b(x.mean(-1))),
        SEQUENCE,
        {
            "c": nn.Conv1d(2, 4, 3, padding=1),
            "pool": nn.AdaptiveAvgPool1d(4),
            "fc": nn.Linear(16, 5),
            "b": nn.Linear(2, 5),
            "lif2": neuron(),
        },
    ),
    "cat and slices of sequences": (
        lambda m, x: m.lif2(m.c(torch.cat([m.lif(x), x], 1)[:, 1:, 3::2])),
        SEQUENCE,
        {"c": nn.Conv1d(3, 3, 3), "lif2": neuron()},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operation_is_exact_and_goes_to_the_chip_and_into_nir(name: str, tmp_path: Path) -> None:
    forward, shape, modules = CASES[name]
    x = spikes(STEPS, BATCH, *shape)
    compiled = deployed(replayed(Written(forward, lif=neuron(), **modules), x), x)
    write_nir(compiled.nir_graph, tmp_path / "graph.nir")
    assert read_nir(tmp_path / "graph.nir") == compiled.nir_graph


@pytest.mark.parametrize("name", SEQUENCES)
def test_one_dimensional_layers_are_exact_and_go_to_the_chip(name: str) -> None:
    forward, shape, modules = SEQUENCES[name]
    x = spikes(STEPS, BATCH, *shape)
    deployed(replayed(Written(forward, lif=neuron(), **modules), x), x)


def test_reshapes_between_one_dimensional_layers_cancel() -> None:
    forward, shape, modules = SEQUENCES["Conv1d, BatchNorm1d, MaxPool1d"]
    graph = trace(seeded(Written(forward, lif=neuron(), **modules)), spikes(9, 2, *shape))
    assert graph["norm"].inputs == ("c",)
    assert graph.shapes["c"] == (4, 1, 12) and graph.shapes["lif"] == (4, 12)


def test_operations_in_a_window() -> None:
    def forward(model: Any, x: Tensor) -> Tensor:
        parts = x.chunk(2, -1)
        out = []
        for a, b in zip(*parts, strict=True):
            out.append(model.lif(model.fc(torch.cat([0.5 * a, a * b], 1)) - b))
        return torch.stack(out)

    x = spikes(STEPS, BATCH, 6)
    model = seeded(Written(forward, fc=nn.Linear(6, 3), lif=neuron()))
    graph = trace(model, x, time="window")
    assert [n.op.kind for n in graph if n.op.spiking] == ["Threshold", "Lif"]
    deployed(graph, x)


def test_selections_are_zeros_and_ones() -> None:
    def forward(model: Any, x: Tensor) -> Any:
        return x[:, 1:3], torch.cat([x, x], 1), x[:, :, ::2]

    graph = trace(Written(forward), spikes(4, 2, 3, 5, 5))
    first, second = graph["output_1"].inputs
    np.testing.assert_array_equal(graph["part"].op.weight[:, :, 0, 0], [[0, 1, 0], [0, 0, 1]])
    both = np.hstack([graph[name].op.weight[:, :, 0, 0] for name in (first, second)])
    np.testing.assert_array_equal(both, np.eye(6))
    rows = graph["part_2"].op
    assert (rows.groups, rows.stride, rows.weight.shape) == (3, (2, 1), (3, 1, 1, 1))


def test_the_product_of_spikes_is_a_threshold_on_their_sum() -> None:
    graph = trace(Written(lambda m, x: m.lif(x) * x, lif=neuron(0.5)), spikes(9, 2, 6))
    assert graph["product"].op == real.Threshold(np.array(1.5, np.float32))
    assert graph["product"].inputs == ("lif", "x")


def test_a_checkpoint_keeps_the_products_of_spikes(tmp_path: Path) -> None:
    model = seeded(Written(lambda m, x: m.lif(m.fc(x)) * x, fc=nn.Linear(6, 6), lif=neuron()))
    x = spikes(50, 3, 6)
    save(model, x, tmp_path / "model.pt")
    recorded = load(tmp_path / "model.pt").recorded
    assert set(recorded.spikes) == {"lif", "product"}
    np.testing.assert_array_equal(recorded.spikes["product"], recorded.spikes["lif"] * x.numpy())
    np.testing.assert_array_equal(recorded.spikes["product"], recorded.outputs["output"])


@pytest.mark.parametrize("kind", [tuple, list, dict])
def test_outputs_in_every_container(kind: Any) -> None:
    def forward(model: Any, x: Tensor) -> Any:
        first = model.lif(model.fc(x))
        pair = {"early": first, "late": model.lif2(first)}
        return pair if kind is dict else kind(pair.values())

    x = spikes(STEPS, BATCH, 6)
    graph = trace(seeded(Written(forward, fc=nn.Linear(6, 6), lif=neuron(), lif2=neuron(0.9))), x)
    names = ("early", "late") if kind is dict else ("output_0", "output_1")
    assert tuple(n.name for n in graph.outputs) == names
    deployed(graph, x)


def test_a_shared_layer_has_the_same_weights_in_both_places() -> None:
    forward, shape, modules = CASES["a shared layer on two inputs"]
    graph = trace(seeded(Written(forward, lif=neuron(), **modules)), spikes(9, 2, *shape))
    shared = [node for node in graph if node.op.kind == "Linear"]
    assert len(shared) == 3 and len({node.op for node in shared}) == 1


REFUSED: Mapping[str, tuple[Any, tuple[int, ...], str, str]] = {
    "a constant less": (lambda m, x: m.lif(x - 1.0), FLAT, "subtracts a constant", "bias"),
    "less than a constant": (lambda m, x: m.lif(1.0 - x), FLAT, "subtracts a constant", "bias"),
    "subtracted twice": (lambda m, x: m.lif(torch.sub(-x, x, alpha=2)), FLAT, "alpha=2", "a - alpha * b"),
    "real values divided by three": (lambda m, x: m.lif(-x / 3), FLAT, "no power of two", "x * (1 / c)"),
    "divided by zero": (lambda m, x: m.lif(x / 0), FLAT, "divides by 0", "not 0"),
    "divided by the network": (lambda m, x: m.lif(x / (x + x)), FLAT, "divides by values", "fixed factors"),
    "an endless factor": (lambda m, x: m.lif(x * float("inf")), FLAT, "factor inf", "finite"),
    "a factor that is computed": (
        lambda m, x: m.lif(x * torch.sigmoid(m.lif.beta)),
        FLAT,
        "sigmoid",
        "snntorch.Leaky",
    ),
    "in place": (lambda m, x: m.lif((x + x).mul_(2.0)), FLAT, "mul_", "in place"),
    "the power": (lambda m, x: m.lif(x**3), FLAT, "the power 3", "0.5 and -0.5"),
    "a part of the batch": (lambda m, x: m.lif(x[:3]), FLAT, "part of the batch", "features only"),
    "one sample": (lambda m, x: m.lif(x[0]), FLAT, "one sample of the batch", "features only"),
    "nothing": (lambda m, x: m.lif(x[:, 3:3]), FLAT, "an empty part", "one entry"),
    "samples joined": (lambda m, x: m.lif(torch.cat([x, x])), FLAT, "along the batch", "features only"),
    "samples split": (lambda m, x: m.lif(x.split(1)[0]), FLAT, "splits the batch", "features"),
    "constants joined": (
        lambda m, x: m.lif(torch.cat([x, torch.zeros_like(x)], 1)),
        FLAT,
        "joins membrane potentials or constants",
        "spikes only",
    ),
    "a long selection": (
        lambda m, x: m.lif(torch.cat([x, x], 1)),
        (3000,),
        "6000 out of 3000",
        "W_a a + W_b b",
    ),
    "stacked": (lambda m, x: m.lif(torch.stack([x, x], 1)), FLAT, "stacks several tensors", "W_a a + W_b b"),
    "a mean over the batch": (lambda m, x: m.lif(x.mean((0, 1))), PICTURE, "operation mean", "the sample"),
    "a sum over the batch": (lambda m, x: m.lif(x.sum(0)), PICTURE, "the operation sum", "count them"),
    "windows of different sizes": (
        lambda m, x: m.lif(F.adaptive_avg_pool1d(x, 5)),
        SEQUENCE,
        "adaptive pooling of 12 to 5",
        "AvgPool2d (or 1d)",
    ),
    "a sequence without channels": (
        lambda m, x: m.lif(F.avg_pool1d(x, 2)),
        FLAT,
        "works on samples (C, L)",
        "channel axis",
    ),
    "pooling with cut windows": (
        lambda m, x: m.lif(F.max_pool1d(x, 5, ceil_mode=True)),
        SEQUENCE,
        "ceil_mode",
        "crop",
    ),
    "softmax": (lambda m, x: m.lif(torch.softmax(x, 1)), FLAT, "softmax", "the largest count is the same"),
    "the largest": (lambda m, x: m.lif(x.max(1, keepdim=True)[0]), FLAT, "max", "outside the model"),
    "a boolean mask": (lambda m, x: m.lif(x * (x > 0)), FLAT, "the operation gt", "spiking neuron decide"),
    "where": (lambda m, x: m.lif(torch.where(x > 0, x, -x)), FLAT, "where", "spiking neuron decide"),
    "masked_fill": (lambda m, x: m.lif(x.masked_fill(x > 0, 0.0)), FLAT, "masked_fill", "decide"),
    "integers": (lambda m, x: m.lif((x.int() + 1).float()), FLAT, "converts to torch.int32", "float32"),
    "whole division": (lambda m, x: m.lif(x // 2), FLAT, "floor_divide", "Stay in float32"),
    "another order": (lambda m, x: m.lif(x.flip(0)), FLAT, "moves or mixes the batch", "behind them only"),
    "sorted": (lambda m, x: m.lif(x.sort(1)[0]), FLAT, "the operation sort", "avnir takes"),
    "nearest upsampling": (
        lambda m, x: m.lif(F.interpolate(x, scale_factor=2)),
        PICTURE,
        "upsample",
        "before the model",
    ),
    "softmax in attention": (
        lambda m, x: m.lif(F.scaled_dot_product_attention(x, x, x)),
        SEQUENCE,
        "scaled_dot_product_attention",
        "k.transpose(-1, -2)",
    ),
    "a branch on values": (
        lambda m, x: m.lif(x if x.sum() > 1 else -x),
        FLAT,
        "does not export",
        "no `if` on values",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_exact_is_refused(name: str) -> None:
    forward, shape, problem, remedy = REFUSED[name]
    error = refusal(Written(forward, lif=neuron()), spikes(4, 2, *shape))
    assert any(problem in f.problem and remedy in f.remedy for f in error.findings), str(error)


@pytest.mark.parametrize(
    ("module", "shape", "problem", "remedy"),
    [
        (nn.ConvTranspose2d(2, 2, 2), PICTURE, "conv_transpose2d", "Upsample the input"),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), PICTURE, "pad", "padding_mode='zeros'"),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), PICTURE, "pad", "padding_mode='zeros'"),
        (nn.Conv1d(2, 2, 3, padding=1, padding_mode="replicate"), SEQUENCE, "pad", "padding_mode='zeros'"),
        (nn.Conv1d(2, 2, 2, padding="same"), SEQUENCE, "even kernel", "odd kernel"),
        (nn.Conv3d(1, 2, 2), (1, 3, 3, 3), "conv3d", "nn.Conv2d"),
        (nn.MaxPool1d(2, dilation=2), SEQUENCE, "dilation", "dilation=1"),
        (nn.AvgPool1d(3, padding=1, count_include_pad=False), SEQUENCE, "count_include_pad", "no padding"),
        (nn.AdaptiveMaxPool2d(2), PICTURE, "adaptive_max_pool2d", "nn.MaxPool2d"),
        (nn.Softmax(1), FLAT, "softmax", "the largest count is the same"),
        (nn.Upsample(scale_factor=2, mode="bilinear"), PICTURE, "upsample_bilinear2d", "before the model"),
    ],
)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_layers_that_are_refused(
    module: nn.Module, shape: tuple[int, ...], problem: str, remedy: str
) -> None:
    model = Written(lambda m, x: m.lif(m.layer(x)), layer=module, lif=neuron())
    error = refusal(model, spikes(4, 2, *shape))
    assert any(problem in f.problem and remedy in f.remedy for f in error.findings), str(error)


def test_a_factor_for_each_step_is_refused() -> None:
    def forward(model: Any, x: Tensor) -> Tensor:
        return torch.stack([model.lif(step) for step in model.gate(x)])

    error = refusal(Written(forward, gate=Gate(4, 1, 6), lif=neuron()), time="window")
    assert "differs from sample to sample or step to step" in str(error)


def test_integers_are_not_multiplied() -> None:
    x = 100 * spikes(4, 2, 6).to(torch.uint8)
    error = refusal(Written(lambda m, x: m.lif((x * 3).float()), lif=neuron()), x)
    assert "multiplies integers or booleans" in str(error)
