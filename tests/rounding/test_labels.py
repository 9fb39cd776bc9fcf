"""Labels: the second thing to choose integers by, and the reason to keep data-free ones."""

from __future__ import annotations

import numpy as np
import pytest

from avnir import target
from avnir.compile import compile_graph
from avnir.decision import Decision
from avnir.errors import DataError
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array
from avnir.ir.real import Input, Lif, Linear, Output
from avnir.program import Program
from avnir.rounding.decision import Counts
from avnir.rounding.neuron_layer import layer_of

LOIHI2 = target.load("loihi2")


def network(seed: int = 0) -> Graph:
    """Two layers with weights of no lattice."""
    rng = np.random.default_rng(seed)
    lif = Lif(np.array(0.9), np.array(1.0), np.array(1.0))
    nodes = (
        Node("x", Input((20,))),
        Node("fc1", Linear(rng.normal(0.02, 0.3, (16, 20))), ("x",)),
        Node("lif1", lif, ("fc1",)),
        Node("fc2", Linear(rng.normal(0.02, 0.4, (5, 16))), ("lif1",)),
        Node("lif2", lif, ("fc2",)),
        Node("out", Output((5,)), ("lif2",)),
    )
    return verified(Graph("real", nodes))


def spikes(seed: int, batch: int = 24) -> dict[str, Array]:
    return {"x": (np.random.default_rng(seed).random((6, batch, 20)) < 0.4).astype(np.uint8)}


def judged_right(program: Program, inputs: dict[str, Array], labels: Array) -> int:
    return int((interpret_integer(program.graph, inputs).decisions() == labels)[1::2].sum())


def sending(*counts: list[int]) -> Array:
    """Spikes `[T, B, 3]` with these counts for each sample."""
    return np.stack([np.array(counts) > step for step in range(max(map(max, counts)))]).astype(np.uint8)


def test_a_group_is_taken_when_more_samples_are_right_with_it() -> None:
    graph = verified(
        Graph(
            "real",
            (
                Node("x", Input((2,))),
                Node("fc", Linear(np.ones((3, 2))), ("x",)),
                Node("lif", Lif(np.array(0.9), np.array(1.0), np.array(1.0)), ("fc",)),
                Node("out", Output((3,)), ("lif",)),
            ),
        )
    )
    decision = Counts(layer_of(graph, graph["lif"], "channel"), np.array([0, 1]))
    decision.start(sending([1, 2, 0], [0, 1, 2]))  # decides 1 and 2
    tried = sending([3, 1, 0], [1, 3, 0])
    assert decision.take_improving(np.array([True, True, True]), tried).tolist() == [True, True, False]
    assert decision.counts[..., 0].tolist() == [[3, 1, 0], [1, 3, 2]]
    decision.take(np.array([False, False, True]), sending([0, 0, 4], [0, 0, 4]))
    assert decision.counts[..., 0].tolist() == [[3, 1, 4], [1, 3, 4]]


def test_of_equal_agreement_the_more_accurate_is_chosen() -> None:
    gained = 0
    for seed in range(6):
        graph, inputs = network(seed), spikes(seed)
        labels = interpret_real(graph, inputs).decisions()
        with_labels = compile_graph(graph, LOIHI2, 3, inputs, labels=labels).program
        without = compile_graph(graph, LOIHI2, 3, inputs).program
        gained += judged_right(with_labels, inputs, labels) - judged_right(without, inputs, labels)
    assert gained > 0


def test_data_free_integers_that_decide_better_are_kept() -> None:
    graph, inputs = network(), spikes(1)
    free = compile_graph(graph, LOIHI2, 2).program
    labels = interpret_integer(free.graph, inputs).decisions()
    assert judged_right(compile_graph(graph, LOIHI2, 2, inputs).program, inputs, labels) < 12
    compiled = compile_graph(graph, LOIHI2, 2, inputs, labels=labels)
    assert compiled.program.graph == free.graph
    assert compiled.program.provenance["calibration"]["declined"]
    notes = [str(note) for note in compiled.notes if note.node == "lif2"]
    assert any("left alone, not calibrated: of 12 judging samples" in note for note in notes)
    assert any("decided right, 12 with data-free integers" in note for note in notes)


def test_how_many_are_decided_right_is_told() -> None:
    graph, inputs = network(), spikes(1)
    labels = interpret_integer(compile_graph(graph, LOIHI2, 8).program.graph, inputs).decisions()
    compiled = compile_graph(graph, LOIHI2, 3, inputs, labels=labels)
    right = judged_right(compiled.program, inputs, labels)
    told = f"quantise: lif2: of 12 judging samples {right} are decided right, "
    assert any(str(note).startswith(told) for note in compiled.notes)


@pytest.mark.parametrize("shape", [(23,), (24, 1), ()])
def test_labels_that_do_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="must be one for each of 24 samples"):
        compile_graph(network(), LOIHI2, 8, spikes(0), labels=np.zeros(shape, np.int64))


def two_outputs(seed: int) -> Graph:
    """The network, and before its output another one, of the first layer."""
    graph = network(seed)
    *before, out = graph
    return verified(Graph("real", (*before, Node("hidden", Output((16,)), ("lif1",)), out)))


def test_labels_are_those_of_the_output_that_decides() -> None:
    graph, inputs = two_outputs(0), spikes(1)
    reading = Decision("out")
    labels = reading.classes(interpret_integer(compile_graph(graph, LOIHI2, 8).program.graph, inputs))
    compiled = compile_graph(graph, LOIHI2, 3, inputs, labels=labels, decision=reading)
    run = interpret_integer(compiled.program.graph, inputs)
    right = int((reading.classes(run) == labels)[1::2].sum())
    told = f"quantise: lif2: of 12 judging samples {right} are decided right, "
    assert any(str(note).startswith(told) for note in compiled.notes)


def test_labels_take_no_part_where_the_host_weighs_the_steps() -> None:
    graph, inputs = network(), spikes(1)
    *before, out = graph
    score = [
        Node("w", Linear(np.ones((1, 16))), ("lif1",)),
        Node("score", Output((1,)), ("w",)),
    ]
    graph = verified(Graph("real", (*before, out, *score)))
    reading = Decision("out", "score")
    labels = np.zeros(24, np.int64)
    with_labels = compile_graph(graph, LOIHI2, 2, inputs, labels=labels, decision=reading)
    without = compile_graph(graph, LOIHI2, 2, inputs, decision=reading)
    assert with_labels.program == without.program
    notes = [str(note) for note in with_labels.notes]
    assert "quantise: out: labels take no part: the host weighs the steps by score" in notes
    assert with_labels.program.provenance["calibration"].get("declined") is None
    with pytest.raises(DataError, match="must be one for each of 24 samples"):
        compile_graph(graph, LOIHI2, 2, inputs, labels=labels[1:], decision=reading)
