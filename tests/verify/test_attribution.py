"""Which approximation lost which spikes, where the culprit is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avnir.compile import compile_graph
from avnir.errors import DataError
from avnir.ir.graph import Graph, Node
from avnir.ir.interpret_integer import interpret_integer
from avnir.program import Program
from avnir.verify.attribution.attribute import COMPARISON, DELAYS, LOWERING, Attribution, Cause, attribute
from avnir.verify.attribution.loss import Loss
from avnir.verify.attribution.mixed_layer import (
    BIAS,
    DECAY,
    KINDS,
    OVERFLOW,
    RESET,
    STATES,
    THRESHOLD,
    WEIGHTS,
)
from tests.networks import audio_visual, spikes
from tests.verify.networks import (
    BETWEEN,
    LATTICE,
    LOIHI2,
    NEURONS,
    SAMPLES,
    STEPS,
    compiled,
    inputs,
    layer,
    shared_scale,
)

LABELS = np.arange(SAMPLES) % NEURONS


def explained(graph: Graph, bits: int = 8, program: Program | None = None) -> Attribution:
    """Of one layer's integers, or of others that are given."""
    made = compiled(graph, bits)
    given, chosen = inputs(graph.shapes["x"]), program or made.program
    return attribute(graph, made.nir_graph, chosen, given, interpret_integer(chosen.graph, given), LABELS)


def cause(found: Attribution, kind: str) -> Cause:
    return next(cause for cause in found.causes if cause.kind == kind)


def guilty(found: Attribution) -> set[str]:
    """The kinds that lose something alone."""
    return {cause.kind for cause in found.causes if cause.alone.slots}


def test_on_a_lattice_nothing_is_lost_and_it_says_why() -> None:
    found = explained(layer(LATTICE))
    assert found.lost == found.interaction == Loss(0, 0, 0)
    assert found.slots == STEPS * SAMPLES * NEURONS
    assert all(cause.exact for cause in found.causes)
    assert [cause.kind for cause in found.causes] == [*KINDS, LOWERING, DELAYS, COMPARISON]
    assert cause(found, WEIGHTS).exact == "every weight is a whole number of steps"
    assert all(not layer.alone for layer in found.layers)


def test_sums_that_meet_the_threshold_are_counted() -> None:
    halves = np.zeros((NEURONS, 24))
    halves[:, :4] = 0.5
    found = explained(layer(halves))
    assert found.lost.slots == 0
    two = (inputs()["x"][:, :, :4].sum(axis=2) == 2).sum() * NEURONS
    assert two > 0
    assert cause(found, COMPARISON).exact.endswith(f"with >= {two} slots would change")


@pytest.mark.parametrize(
    ("kind", "graph"),
    [
        (WEIGHTS, layer(BETWEEN)),
        (DECAY, layer(np.abs(LATTICE), beta=np.array(0.99988), threshold=np.array(60.0))),
        (DECAY, layer(LATTICE, alpha=np.array(0.50011), threshold=np.array(5.0))),
        (BIAS, layer(LATTICE, bias=np.array(0.1 / 64 / 128))),
        (THRESHOLD, shared_scale(np.linspace(0.745, 0.755, 24))),
    ],
)
def test_the_culprit_is_named(kind: str, graph: Graph) -> None:
    found = explained(graph)
    one = cause(found, kind)
    assert one.alone.slots > 0
    assert one.off.slots > 0
    assert not one.exact
    assert guilty(found) <= {kind, STATES}
    assert max(found.causes, key=lambda c: c.alone.slots).kind == kind
    assert found.layers[0].alone[kind] == one.alone


def test_one_culprit_alone_loses_everything() -> None:
    found = explained(layer(BETWEEN), 3)
    assert cause(found, WEIGHTS).alone == cause(found, WEIGHTS).off == found.lost
    assert found.interaction.slots == 0
    assert found.share(cause(found, WEIGHTS).alone) == 1
    assert found.lost.decisions > 0


def test_fewer_bits_lose_more() -> None:
    lost = [explained(layer(BETWEEN), bits).lost.slots for bits in (8, 4, 2)]
    assert 0 < lost[0] < lost[1] < lost[2]


def test_another_reset_than_the_models_is_found() -> None:
    graph = layer(LATTICE, beta=np.array(0.5))
    program = compiled(graph).program
    nodes = [
        Node(n.name, n.op.replace(reset="none"), n.inputs, n.source) if n.name == "lif" else n
        for n in program.graph
    ]
    found = explained(graph, program=Program(program.graph.with_nodes(nodes), "loihi2", program.provenance))
    assert guilty(found) == {RESET}
    assert found.share(cause(found, RESET).alone) == pytest.approx(1, abs=0.01)


def test_what_the_chips_own_run_loses_beyond_is_the_delays() -> None:
    """Without the delays of the shorter path its spikes arrive early."""
    graph = audio_visual(1, "zero")
    made = compile_graph(graph, LOIHI2)
    early = made.program.graph.with_nodes(
        Node(n.name, n.op.replace(delay=0) if hasattr(n.op, "delay") else n.op, n.inputs, n.source)
        for n in made.program.graph
    )
    given = spikes(graph, 1)
    found = attribute(graph, made.nir_graph, made.program, given, interpret_integer(early, given))
    assert cause(found, DELAYS).alone.slots > 0
    assert not cause(found, DELAYS).exact
    assert found.lost.right is None


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000), bits=st.sampled_from([3, 8]))
def test_losses_add_up(seed: int, bits: int) -> None:
    graph = audio_visual(seed)
    made = compile_graph(graph, LOIHI2, bits)
    given = spikes(graph, seed, steps=6, batch=4)
    run = interpret_integer(made.program.graph, given)
    found = attribute(graph, made.nir_graph, made.program, given, run, np.array([0, 1, 2, 3]))
    for count in ("slots", "decisions", "right"):
        alone = sum(getattr(cause.alone, count) for cause in found.causes)
        assert alone + getattr(found.interaction, count) == getattr(found.lost, count)
    assert cause(found, LOWERING).exact
    assert cause(found, DELAYS).exact
    assert cause(found, OVERFLOW).exact
    assert found.lost.slots == sum(layer.differ for layer in found.layers)
    record = found.record()
    assert record["lost"]["slots"] == found.lost.slots
    assert {cause["kind"] for cause in record["causes"]} == {*KINDS, LOWERING, DELAYS, COMPARISON}


def test_inputs_that_do_not_fit_are_refused() -> None:
    graph = layer(LATTICE)
    made = compiled(graph)
    run = interpret_integer(made.program.graph, inputs())
    with pytest.raises(DataError, match="input 'x' is missing"):
        attribute(graph, made.nir_graph, made.program, {"y": inputs()["x"]}, run)
