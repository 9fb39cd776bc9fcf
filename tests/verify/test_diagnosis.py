"""Replaying a layer by itself is the definition; causes are named, or honestly are not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avnir.ir import real
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer import Lif
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array
from avnir.program import Program
from avnir.testing.building import Case, lif
from avnir.testing.cases import CASES
from avnir.testing.strategies import programs
from avnir.trace import Trace
from avnir.verify.compare import compare
from avnir.verify.diagnosis.diagnose import HYPOTHESES, Diagnosis, diagnose, diagnose_graph
from avnir.verify.diagnosis.neuron import Rule, course
from avnir.verify.diagnosis.site import later, sites
from avnir.verify.moment import moment
from tests.networks import audio_visual, spikes


def changed(graph: Graph, name: str, **changes: Any) -> Graph:
    """The graph with one operation's parameters changed; balanced or not."""
    nodes = (dataclasses.replace(n, op=n.op.replace(**changes)) if n.name == name else n for n in graph)
    return Graph(graph.level, tuple(nodes), graph.dt)


@pytest.mark.parametrize("name", CASES)
def test_every_layer_of_every_case_is_replayed_exactly(name: str) -> None:
    case = CASES[name]()
    trace = interpret_integer(case.program.graph, case.inputs, states=True)
    replayed = list(sites(case.program.graph, case.inputs, trace))
    assert [site.node.name for site in replayed] == list(trace.spikes)
    assert [site.wrong for site in replayed] == [0] * len(replayed)


@given(programs(), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_every_layer_of_any_program_is_replayed_exactly(program: Program, seed: int) -> None:
    inputs = _inputs(program, np.random.default_rng(seed))
    trace = interpret_integer(program.graph, inputs, states=True)
    assert [site.wrong for site in sites(program.graph, inputs, trace)] == [0] * len(trace.spikes)


def _inputs(program: Program, rng: np.random.Generator) -> dict[str, Array]:
    """Random spikes or messages over the window that sums in the program take, else 7 steps."""
    windows = [n.op.steps for n in program.graph if n.op.kind == "WindowSum"]  # type: ignore[attr-defined]
    shown = {}
    for node in program.graph.inputs:
        bits: int = node.op.message_bits  # type: ignore[attr-defined]
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if bits else (0, 2)
        shape = (windows[0] if windows else 7, 3, *program.graph.shapes[node.name])
        shown[node.name] = rng.integers(low, high, shape, np.int32)
    return shown


@pytest.mark.parametrize("seed", range(2))
def test_every_layer_of_a_real_graph_is_replayed_exactly(seed: int) -> None:
    graph = audio_visual(seed)
    inputs = spikes(graph, seed)
    trace = interpret_real(graph, inputs, states=True)
    assert all(site.wrong == 0 for site in sites(graph, inputs, trace))


def test_layers_that_were_not_recorded_are_filled_in() -> None:
    case = CASES["deep"]()
    trace = interpret_integer(case.program.graph, case.inputs)
    partial = Trace({name: trace.spikes[name] for name in ("layer1", "layer3")}, {})
    found = diagnose(case.program, case.inputs, partial)
    assert (found.equal, found.entries, found.named) == (("layer1", "layer3"), (), True)


def test_a_rule_that_says_nothing_is_the_definition() -> None:
    case = CASES["reset_subtract"]()
    op = case.program.graph["layer"].op
    assert isinstance(op, Lif)
    arriving = np.random.default_rng(0).integers(-200, 300, (30, 3, 6))
    state: dict[str, Array] = {}
    expected = np.stack([op.step(x, state) for x in arriving])
    assert np.array_equal(course(op, arriving, Rule()).sent, expected)
    assert np.array_equal(course(op, arriving).registers["v"][-1], state["v"])


def test_moving_in_time_fills_with_zeros() -> None:
    array = np.arange(1, 5)
    assert later(array, 1).tolist() == [0, 1, 2, 3]
    assert later(array, -2).tolist() == [3, 4, 0, 0]
    assert later(array, 9).tolist() == [0] * 4


def test_a_difference_is_told_from_what_it_causes() -> None:
    case = CASES["deep"]()
    theirs = interpret_integer(changed(case.program.graph, "layer1", reset="none"), case.inputs)
    found = diagnose(case.program, case.inputs, theirs)
    assert [entry.layer for entry in found.entries] == ["layer1"]
    assert set(found.passed_on) == {"layer2", "layer3"} - set(found.equal)
    assert found.causes[0].name == "reset"
    assert not found.entries[0].recorded_only


def test_a_layer_that_is_only_recorded_otherwise_is_told() -> None:
    case = CASES["deep"]()
    trace = interpret_integer(case.program.graph, case.inputs)
    theirs = Trace({**trace.spikes, "layer2": trace.spikes["layer2"][..., ::-1]}, {})
    (entry,) = diagnose(case.program, case.inputs, theirs).entries
    assert entry.recorded_only
    assert entry.explanations[0].name == "layout of the neurons"


def test_registers_show_what_spikes_do_not() -> None:
    case = CASES["states"]()
    ours = interpret_integer(case.program.graph, case.inputs, states=True)
    other = changed(case.program.graph, "layer", decay_v=np.array(1025, np.int32))
    theirs = interpret_integer(other, case.inputs, states=True)
    blind = diagnose(case.program, case.inputs, Trace(ours.spikes, {}, theirs.states))
    seen = diagnose(case.program, case.inputs, theirs)
    assert seen.causes[0].name == "decay_v off by one"
    assert len(seen.causes) == 1
    assert blind.entries[0].values > 0


def test_a_loop_is_compared_in_all_steps() -> None:
    """Spikes that come back a step early need nothing that was not recorded."""
    case = CASES["recurrent"]()
    found = diagnose(case.program, case.inputs, _recurrent_at_once(case))
    assert {cause.steps for cause in found.causes if cause.name == "delay of a connection"} <= {(12, 12)}


def _recurrent_at_once(case: Case) -> Trace:
    trace = interpret_integer(case.program.graph, case.inputs)
    (site,) = sites(case.program.graph, case.inputs, trace)
    made = site.rewired(1, site.wires[1].moved(-1)).plain.sent
    return Trace({"layer": made.astype(np.uint8)}, {})


def equal_traces() -> Diagnosis:
    case = CASES["conv"]()
    return diagnose(case.program, case.inputs, interpret_integer(case.program.graph, case.inputs))


def test_equal_traces_need_no_cause() -> None:
    found = equal_traces()
    assert found.named
    assert (found.entries, found.causes, found.passed_on) == ((), (), ())


def test_what_no_cause_explains_is_not_named() -> None:
    case = CASES["dense"]()
    ours = interpret_integer(case.program.graph, case.inputs)
    noise = (np.random.default_rng(0).random(ours.spikes["layer"].shape) < 0.5).astype(np.uint8)
    found = diagnose(case.program, case.inputs, Trace({"layer": noise}, {}))
    assert not found.named
    assert found.causes == ()
    assert all(not e.exact and 0 < e.share < 1 for e in found.entries[0].explanations)
    record = found.record()
    assert record["named"] is False
    assert record["entries"][0]["explanations"][0]["exact"] is False


def real_graph(**neuron: Any) -> Graph:
    rng = np.random.default_rng(3)
    kernel = rng.normal(size=(3, 2, 3, 3)) * 0.4
    parameters: dict[str, Any] = {
        "beta": np.array(0.8),
        "threshold": np.array(0.7),
        "gain": np.array(1.0),
        "reset": "zero",
    }
    return verified(
        Graph(
            "real",
            (
                Node("input", real.Input((2, 5, 5))),
                Node("conv", real.Conv2d(kernel, rng.normal(size=3) * 0.2), ("input",)),
                Node("lif", real.Lif(**{**parameters, **neuron}), ("conv",)),
                Node("flat", real.Flatten((27,)), ("lif",)),
                Node("fc", real.Linear(rng.normal(size=(6, 27)) * 0.4, rng.normal(size=6) * 0.3), ("flat",)),
                Node("out", real.Lif(**parameters), ("fc",)),
                Node("output", real.Output((6,)), ("out",)),
            ),
        )
    )


REAL_FAULTS: Mapping[str, tuple[str, Mapping[str, Any], str]] = {
    "reset": ("lif", {"reset": "subtract"}, "reset"),
    "gain": ("lif", {"gain": np.array(1 - 0.8)}, "gain"),
    "leak": ("out", {"beta": np.array(1.0)}, "decay of the model"),
    "threshold": ("out", {"threshold": np.array(1.0)}, "threshold"),
    "bias": ("fc", {"bias": None}, "bias dropped"),
}


@pytest.mark.parametrize("fault", REAL_FAULTS)
def test_a_real_graph_is_diagnosed_too(fault: str) -> None:
    name, changes, cause = REAL_FAULTS[fault]
    graph = real_graph()
    inputs = spikes(graph, 1)
    theirs = interpret_real(changed(graph, name, **changes), inputs)
    found = diagnose_graph(graph, inputs, theirs)
    assert found.causes[0].name == cause
    assert len(found.entries) == 1


def test_a_turned_kernel_of_a_real_graph() -> None:
    graph = real_graph()
    inputs = spikes(graph, 1)
    turned = graph["conv"].op.weight[..., ::-1, ::-1]  # type: ignore[attr-defined]
    found = diagnose_graph(graph, inputs, interpret_real(changed(graph, "conv", weight=turned), inputs))
    assert found.causes[0].name == "kernel turned"


def test_a_fault_before_a_batch_norm_is_named_where_it_is() -> None:
    graph = audio_visual(3, "zero")
    inputs = spikes(graph, 3)
    turned = graph["conv1"].op.weight[..., ::-1, ::-1]  # type: ignore[attr-defined]
    found = diagnose_graph(graph, inputs, interpret_real(changed(graph, "conv1", weight=turned), inputs))
    assert found.causes[0].detail.startswith("conv1: kernel turned by 180 degrees")
    assert [entry.layer for entry in found.entries] == ["lif1"]


def test_sums_over_the_window_of_a_real_graph_are_replayed() -> None:
    graph = verified(
        Graph(
            "real",
            (
                Node("input", real.Input((4,))),
                Node("lif", lif_of(), ("input",)),
                Node("sum", _window_sum(6), ("lif",)),
                Node("scale", real.Scale(np.array(0.2)), ("sum",)),
                Node("out", lif_of(), ("scale",)),
                Node("output", real.Output((4,)), ("out",)),
            ),
        )
    )
    inputs = spikes(graph, 0, steps=6)
    trace = interpret_real(graph, inputs)
    assert 0 < trace.spikes["out"].mean() < 1
    assert all(site.wrong == 0 for site in sites(graph, inputs, trace))


def lif_of() -> real.Lif:
    return real.Lif(beta=np.array(0.5), threshold=np.array(0.5), gain=np.array(1.0))


def _window_sum(steps: int) -> Any:
    from avnir.ir.real_graded import WindowSum

    return WindowSum(steps=steps)


def test_names_and_remedies_are_sentences() -> None:
    for hypothesis in HYPOTHESES:
        assert hypothesis.remedy.endswith("."), hypothesis.name
        assert not hypothesis.sentence.endswith("."), hypothesis.name


def test_the_moment_of_the_first_difference() -> None:
    case = CASES["dense"]()
    graph = case.program.graph
    ours = interpret_integer(graph, case.inputs, states=True)
    theirs = interpret_integer(changed(graph, "layer", threshold=np.array(40, np.int32)), case.inputs)
    where = compare(ours, theirs, ("ours", "theirs")).divergence
    assert where is not None
    found = moment(graph, case.inputs, ours, where)
    assert found.threshold == 100 << 6
    assert found.potential == _potential(case, where.step, where.neuron, where.sample)
    assert found.defined is False
    assert found.sent == where.first == 0
    weight = graph["synapses"].op.weight.astype(int)  # type: ignore[attr-defined]
    shown = case.inputs["input"][where.step, where.sample]
    (arrival,) = found.arrivals
    assert arrival.total == 64 * int(weight[where.neuron[0]] @ shown)
    assert (arrival.active, arrival.sources) == (int(shown.sum()), 10)
    assert found.recorded["v"] == found.potential


def _potential(case: Case, step: int, neuron: tuple[int, ...], sample: int) -> int:
    """By hand: the chip's neuron with a hard reset and no current."""
    weight = case.program.graph["synapses"].op.weight.astype(int)  # type: ignore[attr-defined]
    v = 0
    for t in range(step + 1):
        kept = abs(v) * (4096 - 1024) >> 12
        v = (kept if v > 0 else -kept) + 64 * int(weight[neuron[0]] @ case.inputs["input"][t, sample])
        if t < step and v > 100 << 6:
            v = 0
    return v


def test_layers_without_a_threshold_have_no_verdict() -> None:
    assert lif((2,)).registers == ("u", "v")
    case = CASES["readout"]()
    graph = case.program.graph
    ours = interpret_integer(graph, case.inputs)
    layer = next(n.name for n in graph.neurons if n.op.kind == "Readout")
    other = Trace({**ours.spikes, layer: ours.spikes[layer] + 1}, {})
    where = compare(ours, other, ("ours", "theirs")).divergence
    assert where is not None
    found = moment(graph, case.inputs, ours, where)
    assert (found.potential, found.threshold, found.defined) == (None, None, None)


def test_what_reaches_a_relay_is_not_shifted() -> None:
    case = CASES["relay"]()
    graph = case.program.graph
    ours = interpret_integer(graph, case.inputs)
    other = Trace({**ours.spikes, "relay": np.negative(ours.spikes["relay"])}, {})
    where = compare(ours, other, ("ours", "theirs")).divergence
    assert where is not None
    (arrival,) = moment(graph, case.inputs, ours, where).arrivals
    assert arrival.total == where.first
