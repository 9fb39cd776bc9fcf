"""Which rounding costs a layer how many of its spikes."""

from __future__ import annotations

import numpy as np
import pytest

from avnir.ir.graph import Graph, Node, verified
from avnir.ir.operation import Array
from avnir.ir.real import Input, Lif, Linear, Output
from avnir.ir.real_graded import Product
from avnir.passes.merge_synapses import MergeSynapses
from avnir.passes.quantise import Quantise
from avnir.rounding.costs import RoundingCost, rounding_costs

LATTICE = np.random.default_rng(0).integers(-127, 128, (12, 30)) / 128
LATTICE[:, 0] = 127 / 128
BETWEEN = np.random.default_rng(1).uniform(-1, 1, (12, 30))


def cost(weight: Array, bits: int = 8, **neuron: object) -> RoundingCost:
    parameters = {"beta": np.array(0.5), "threshold": np.array(1.0), "gain": np.array(1.0), **neuron}
    nodes = (
        Node("x", Input((30,))),
        Node("fc", Linear(weight), ("x",)),
        Node("lif", Lif(**parameters), ("fc",)),  # type: ignore[arg-type]
        Node("out", Output((12,)), ("lif",)),
    )
    merged, _ = MergeSynapses()(verified(Graph("real", nodes)))
    integers, _ = Quantise(bits, "layer")(merged)
    spikes = np.random.default_rng(2).random((60, 40, 30)) < 0.3
    (row,) = rounding_costs(merged, integers, {"x": spikes})
    return row


def test_on_a_lattice_nothing_costs_anything() -> None:
    row = cost(LATTICE, beta=np.array(0.0))
    assert row == RoundingCost("lif", 60 * 40 * 12, 0, 0, 0, 0, 0)


def test_weights_between_the_steps_cost_more_with_fewer_bits() -> None:
    fine, coarse = cost(BETWEEN), cost(BETWEEN, 3)
    assert 0 < fine.weights < coarse.weights
    assert coarse.threshold == coarse.decay == coarse.bias == 0
    assert 0.8 * coarse.weights < coarse.together < 1.2 * coarse.weights


@pytest.mark.parametrize(
    ("kind", "neuron"),
    [
        ("decay", {"beta": np.array(0.99988)}),
        ("decay", {"alpha": np.array(0.50011)}),
        ("bias", {"bias": np.array(0.1 / 64 / 128)}),
        ("threshold", {"threshold": np.linspace(1, 1.003, 12)[::-1].copy()}),
    ],
)
def test_each_rounding_is_told_apart(kind: str, neuron: dict[str, object]) -> None:
    row = cost(LATTICE, **neuron)
    found = {name for name in ("weights", "threshold", "decay", "bias") if getattr(row, name)}
    assert found == {kind}
    assert row.together > 0


def test_layers_that_numbers_feed_have_no_row() -> None:
    neuron = {"beta": np.array(0.5), "threshold": np.array(1.0), "gain": np.array(1.0)}
    nodes = (
        Node("x", Input((30,))),
        Node("fc", Linear(BETWEEN), ("x",)),
        Node("lif", Lif(**neuron), ("fc",)),
        Node("first", Linear(np.ones((3, 12))), ("lif",)),
        Node("second", Linear(np.ones((3, 12))), ("lif",)),
        Node("product", Product(), ("first", "second")),
        Node("last", Linear(np.full((2, 3), 0.125)), ("product",)),
        Node("lif_out", Lif(**neuron), ("last",)),
        Node("out", Output((2,)), ("lif_out",)),
    )
    merged, _ = MergeSynapses()(verified(Graph("real", nodes)))
    integers, _ = Quantise(8, "layer")(merged)
    spikes = np.random.default_rng(2).random((20, 4, 30)) < 0.3
    assert [row.layer for row in rounding_costs(merged, integers, {"x": spikes})] == ["lif"]
