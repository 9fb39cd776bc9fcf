"""Values moved within a sample, and sums over its axes: exact on every spike, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from avnir.export import trace
from avnir.ir.graph import Graph
from avnir.ir.real_sparse import Sparse
from tests.export.nets import seeded, spikes
from tests.export.test_trace_graph import Written
from tests.export.test_trace_operations import neuron
from tests.export.test_trace_refusals import refusal

STEPS, BATCH, SHAPE = 12, 3, (2, 3, 4)

MOVES: dict[str, Any] = {
    "permute": lambda x: x.permute(0, 3, 1, 2),
    "transpose": lambda x: x.transpose(-1, 2),
    "mT": lambda x: x.mT,
    "swapaxes": lambda x: x.swapaxes(1, 3),
    "movedim": lambda x: x.movedim(3, 1),
    "flip": lambda x: x.flip(1, -1),
    "roll": lambda x: x.roll(1, 2),
    "unsqueeze and expand": lambda x: x.unsqueeze(2).expand(-1, -1, 5, -1, -1),
    "expand_as": lambda x: x[:, :1].expand_as(x),
    "repeat": lambda x: x.repeat(1, 2, 1, 3),
    "tile": lambda x: x.tile(2, 1),
    "repeat_interleave": lambda x: x.repeat_interleave(2, 1),
    "broadcast_to": lambda x: torch.broadcast_to(x[:, :, :1], x.shape),
    "a constant index": lambda x: x[:, :, [2, 0, 0]],
    "a constant index of zeros": lambda x: x[..., [0, 0]],
    "index_select": lambda x: x.index_select(1, torch.tensor([1, 0])),
    "diagonal": lambda x: x.diagonal(0, 1, 2),
    "part of five axes": lambda x: x.unflatten(3, (2, 2))[:, :, 1:, 0],
    "cat of five axes": lambda x: torch.cat([x.unflatten(3, (2, 2)), x.unflatten(3, (2, 2)).flip(1)], 3),
    "view across moved axes": lambda x: x.transpose(1, 2).reshape(len(x), 2, 12),
    "one value": lambda x: x.flatten(1)[:, 5].unsqueeze(1),
    "pixel_shuffle": lambda x: torch.nn.functional.pixel_shuffle(
        x.unflatten(1, (1, 2)).flatten(1, 2).repeat(1, 2, 1, 1), 2
    ),
}
SUMS: dict[str, Any] = {
    "sum of channels": lambda x: x.sum(1),
    "sum of channels and columns": lambda x: x.sum((1, 3), keepdim=True),
    "mean of all": lambda x: x.mean((1, 2, 3)).unsqueeze(1),
    "mean of channels": lambda x: x.mean(1, keepdim=True),
    "sum of five axes": lambda x: x.unflatten(3, (2, 2)).sum((2, 4)),
    "broadcast sum": lambda x: x + x[:, :1] - x.sum(2, keepdim=True),
}


def drawn(name: str, cases: dict[str, Any]) -> Graph:
    """The traced graph of a layer of spikes, moved, before another; replayed on every spike."""
    move = cases[name]
    model = seeded(Written(lambda m, x: m.lif(0.7 * move(m.first(x))), first=neuron(0.5), lif=neuron(0.6)))
    return trace(model, spikes(STEPS, BATCH, *SHAPE))


@pytest.mark.parametrize("name", MOVES)
def test_moves_are_exact(name: str) -> None:
    graph = drawn(name, MOVES)
    for node in graph.select(lambda op: op.kind == "Sparse"):
        assert isinstance(node.op, Sparse)
        assert set(node.op.weight) == {1.0}


@pytest.mark.parametrize("name", SUMS)
def test_sums_over_axes_are_exact(name: str) -> None:
    assert graph_has(drawn(name, SUMS), "Sparse")


def graph_has(graph: Graph, kind: str) -> bool:
    return any(node.op.kind == kind for node in graph)


@pytest.mark.parametrize("time", ["step", "window"])
def test_a_transposed_matrix_is_a_map_of_its_places(time: Any) -> None:
    def forward(model: Any, x: Tensor) -> Tensor:
        return x.transpose(-1, -2)

    graph = trace(Written(forward), spikes(4, 2, 2, 3), time=time)
    assert graph["moved"].op == Sparse.moved(6, np.arange(6).reshape(2, 3).T)
    assert graph["output"].op.output_shape((3, 2)) == (3, 2)


def test_a_moved_and_moved_back_tensor_and_a_plain_one_need_no_map() -> None:
    graph = trace(Written(lambda m, x: x.unsqueeze(1).flip(1).squeeze(1)), spikes(4, 2, 6))
    assert not graph_has(graph, "Sparse")


@pytest.mark.parametrize(
    ("forward", "problem"),
    [
        (lambda m, x: m.lif(x.transpose(0, 1)), "moves or drops the batch"),
        (lambda m, x: m.lif(x.flip(0)), "the batch or the steps"),
        (lambda m, x: m.lif(x.roll(1)), "the batch or the steps"),
        (lambda m, x: m.lif(x[:, x[0].long()]), "takes one sample"),
        (lambda m, x: m.lif(x.mean(0, keepdim=True).expand_as(x)), "the operation mean"),
    ],
)
def test_the_batch_stays_where_it_is(forward: Any, problem: str) -> None:
    error = refusal(Written(forward, lif=neuron()))
    assert any(problem in finding.problem for finding in error.findings), str(error)


@pytest.mark.parametrize("move", [lambda x: x.flip(0), lambda x: x.roll(1, 0), lambda x: x.movedim(0, -1)])
def test_the_steps_stay_where_they_are(move: Any) -> None:
    finding, *_ = refusal(Written(lambda m, x: move(x)), spikes(5, 2, 6), time="window").findings
    assert "the batch" in finding.problem


def test_a_mean_is_what_pytorch_divides() -> None:
    """The mean of 49 numbers is their sum over 49 to the last bit, so that it may be an output."""
    model = seeded(
        Written(
            lambda m, x: m.fc(x).unflatten(1, (2, 49)).sum(1).mean(1, keepdim=True).repeat(1, 2),
            fc=nn.Linear(6, 98),
        )
    )
    model.fc.weight.data = torch.randint(-40, 40, (98, 6)) / 8
    model.fc.bias.data.zero_()
    assert graph_has(trace(model, spikes(9, 4, 6)), "Sparse")
