"""An Alpha neuron without reset is two integrators and a threshold, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from avnir.ir import real
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.interpret_real import interpret_real
from avnir.passes.lower_alpha import LowerAlpha
from tests.random_graphs import inputs_for


def alpha(reset: str) -> Graph:
    slow, fast = np.array(0.9, np.float32), np.linspace(0.3, 0.8, 6)
    tau = np.log(slow) / (np.log(fast) - np.log(slow)) + 1
    neuron = real.Alpha(slow, fast, tau, np.array(0.8), reset)
    nodes = (
        Node("x", real.Input((5,))),
        Node("fc", real.Linear(np.random.default_rng(2).normal(0, 1.5, (6, 5))), ("x",)),
        Node("spiking", neuron, ("fc", "spiking_sum"), "net.py:4"),
        Node("out", real.Output((6,)), ("spiking",)),
    )
    taken = Node("spiking_sum", real.Linear(np.eye(6, 5)), ("x",))
    return verified(Graph("real", (*nodes[:2], taken, *nodes[2:])))


def test_spikes_are_the_same() -> None:
    graph = alpha("none")
    lowered, notes = LowerAlpha()(graph)
    assert [node.op.kind for node in lowered if node.source] == ["Li", "Scale", "Li", "Scale", "Threshold"]
    assert lowered["spiking"].inputs == ("spiking_sum_",)
    inputs = inputs_for(graph, steps=200, batch=8)
    ours, theirs = (interpret_real(g, inputs).spikes["spiking"] for g in (graph, lowered))
    assert 0 < ours.mean() < 1
    np.testing.assert_array_equal(theirs, ours)
    assert [str(note) for note in notes] == [
        "lower_alpha: spiking: two leaky integrators, summed, then a threshold"
    ]


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_a_reset_is_left_alone_with_the_reason(reset: str) -> None:
    lowered, notes = LowerAlpha()(alpha(reset))
    assert lowered == alpha(reset)
    assert [note.declined for note in notes] == [True]
    assert f"its reset {reset!r} changes one of its two currents" in notes[0].text
