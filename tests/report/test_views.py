"""What the report shows: view values against the traces, placement and costs that they are made of."""

from __future__ import annotations

import base64
import dataclasses
import re
import zlib
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from avnir import target
from avnir.decision import Decision
from avnir.ir.latency import latencies
from avnir.ir.operation import Array
from avnir.place import Placement, place
from avnir.report import raster_data, view_raster
from avnir.report.deployment import Run
from avnir.report.view_accuracy import accuracy_view
from avnir.report.view_agreement import agreement_view
from avnir.report.view_cores import CELL, cores_view
from avnir.report.view_costs import energy_view, synops_view
from avnir.report.view_latency import ROWS, latency_view
from avnir.report.view_network import network_view
from avnir.report.view_provenance import passes_view
from avnir.report.view_raster import raster_view
from avnir.report.view_verdict import verdict_view
from avnir.testing.conformance import CASES
from avnir.trace import Trace
from avnir.verify.stages import Stages, judge
from tests.report.deployments import deployment, run_of


def run_with(first: Array, second: Array, labels: Array | None = None) -> Run:
    """A run of one layer, which is the output, by hand."""
    one, other = (Trace({"layer": array}, {"output": array}) for array in (first, second))
    stages = Stages(one, other, {}, {})
    return Run(stages, judge(stages, labels), labels)


def unpacked(layer: dict[str, Any], data: dict[str, Any]) -> Array:
    """The bits as the page's script reads them: `[planes, samples, steps, neurons]`."""
    bits = np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(layer["bits"])), np.uint8))
    shape = (layer["planes"], len(data["samples"]), data["steps"], int(np.prod(layer["shape"])))
    return bits[: np.prod(shape)].reshape(shape)


def test_the_page_carries_every_spike_of_both_runs() -> None:
    run = deployment().run
    assert run is not None
    data = raster_view(run).data.record
    second = run.stages.integer.spikes
    assert {layer["name"] for layer in data["layers"]} == set(run.reference.spikes) & set(second)
    assert data["samples"] == [0, 1, 2]
    for layer in data["layers"]:
        bits = unpacked(layer, data)
        wanted = run.reference.spikes[layer["name"]].swapaxes(0, 1).reshape(bits[0].shape)
        deployed = second[layer["name"]].swapaxes(0, 1).reshape(bits[0].shape)
        assert np.array_equal(bits[0], wanted)
        assert np.array_equal(bits[0] ^ bits[1], deployed)


def test_messages_carry_where_they_are_and_where_they_differ() -> None:
    first = np.array([0, 5, 5, 0, -3]).reshape(5, 1, 1)
    second = np.array([0, 5, 6, 2, 0]).reshape(5, 1, 1)
    view = raster_view(run_with(first, second))
    (layer,) = view.data.record["layers"]
    bits = unpacked(layer, view.data.record)[:, 0, :, 0]
    assert bits.tolist() == [[0, 1, 1, 0, 1], [0, 0, 1, 1, 1], [0, 1, 1, 1, 0]]
    assert view.data.graded
    reference, deployed = view.picture.panels
    assert reference.marks.keys() == {"both", "here", "there", "value"} == deployed.marks.keys()


def test_the_first_picture_marks_what_differs_in_both_panels() -> None:
    first, second = np.zeros((2, 4, 2, 30), np.uint8)
    first[1, 1, 7] = second[2, 1, 7] = first[3, 1, 7] = second[3, 1, 7] = 1
    first[0, 0, 3] = second[0, 0, 3] = 1
    view = raster_view(run_with(first, second))
    assert (view.layer, view.sample) == ("layer", 1)
    assert "1 neuron of 30 differ in some step; 2 spike slots of 120 differ" in view.summary
    assert [text for _, text in view.picture.rows] == ["7"]
    wide = view_raster.cell_width(4)
    places = {
        p: {k: re.findall(r"M(\S+)", d) for k, d in panel.marks.items()}
        for p, panel in enumerate(view.picture.panels)
    }
    assert places[0] == {
        "both": [f"{3.5 * wide:g}"],
        "here": [f"{1.5 * wide:g}"],
        "there": [f"{2.5 * wide:g}"],
    }
    assert places[1] == {
        "both": [f"{3.5 * wide:g}"],
        "here": [f"{2.5 * wide:g}"],
        "there": [f"{1.5 * wide:g}"],
    }


def test_runs_that_are_equal_show_the_most_active_neurons() -> None:
    spikes = np.zeros((5, 1, 60), np.uint8)
    spikes[:, 0, 11] = spikes[0, 0, 50] = 1
    view = raster_view(run_with(spikes, spikes))
    assert [text for _, text in view.picture.rows] == ["11", "50"]
    assert view.picture.panels[0].marks.keys() == {"both"}


def test_what_is_too_large_for_a_page_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _, run, _ = run_of()
    monkeypatch.setattr(raster_data, "BUDGET", 3000)
    view = raster_view(run)
    carried = [layer["name"] for layer in view.data.record["layers"]]
    assert carried
    assert view.data.left_out
    assert sorted([*carried, *view.data.left_out]) == sorted(
        layer.layer for layer in run.verification.quantisation.layers
    )
    assert len(view.data.record["samples"]) == 1
    assert view.sample in view.data.record["samples"]


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_network_is_drawn_without_overlap_where_its_latency_says(name: str) -> None:
    program = CASES[name]().program
    nowhere = Placement("loihi2", program.digest, 1, 1, False, ())
    view = network_view(program.graph, nowhere, None)
    assert [node.title for node in sorted(view.nodes, key=lambda node: node.index)] == [
        n.name for n in program.graph
    ]
    assert len(view.edges) == sum(len(node.inputs) for node in program.graph)
    for a, b in combinations(view.nodes, 2):
        beside = a.left + a.width <= b.left or b.left + b.width <= a.left
        assert beside or a.top + a.height <= b.top or b.top + b.height <= a.top
    assert all(node.left >= view.gutter for node in view.nodes)
    assert all(
        node.left + node.width <= view.width and node.top + node.height <= view.height for node in view.nodes
    )
    late = latencies(program.graph)
    middles = {node.title: node.top + node.height / 2 for node in view.nodes}
    lines = {text: y for y, text in view.steps}
    for layer in (*program.graph.inputs, *program.graph.neurons):
        wanted = f"t + {late[layer.name]}" if late[layer.name] else "t"
        assert middles[layer.name] == pytest.approx(lines[wanted], abs=0.2)


def test_edges_that_close_a_loop_are_marked() -> None:
    recurrent = CASES["recurrent"]().program
    view = network_view(recurrent.graph, place(recurrent, target.load("loihi2")), None)
    assert sum(edge.back for edge in view.edges) == 1
    assert not any(edge.back for edge in _network().edges)


def _network() -> Any:
    made = deployment()
    return network_view(made.compiled.program.graph, made.compiled.placement, None)


def test_agreement_has_every_layer_and_marks_the_worst() -> None:
    run = deployment().run
    assert run is not None
    view = agreement_view(run.verification)
    compared = run.verification.quantisation
    assert [row.layer for row in view.rows] == [layer.layer for layer in compared.layers]
    worst = min(compared.layers, key=lambda layer: layer.agreement)
    assert [row.layer for row in view.rows if row.worst] == [worst.layer]
    assert max(row.width for row in view.rows) == 100
    assert {row.exact for row in view.rows} == {"equal"}
    changed = agreement_view(run_of(changed=True)[1].verification)
    assert all(row.exact.startswith("cpu: ") for row in changed.rows)


def test_decisions_that_changed_are_told_by_class_and_by_sample() -> None:
    first, second = np.zeros((2, 1, 4, 3), np.uint8)
    first[0, range(4), [0, 1, 1, 2]] = 1
    second[0, range(4), [0, 2, 1, 1]] = 1
    run = run_with(first, second, np.array([0, 1, 1, 1]))
    view = accuracy_view(run, _Reads())  # type: ignore[arg-type]
    assert view.summary == (
        "the exported graph decides 3 of 4 samples as labelled, the chip's integers 3: nothing was lost.",
        "2 of 4 decisions changed.",
    )
    assert view.classes is not None
    assert view.changed is not None
    assert view.classes.rows == (
        ("0", "1", "1", "1", "0", "none"),
        ("1", "3", "2", "2", "0", "1 \u2192 2, 2 \u2192 1"),
    )
    assert view.changed.rows == (("1", "1", "1", "2"), ("3", "1", "2", "1"))


class _Reads:
    """A program's decision and graph, as far as a view reads them."""

    decision = Decision()
    graph = type("Graph", (), {"outputs": ()})()


def test_the_waterfall_covers_the_window_once() -> None:
    costs = deployment().costs
    assert costs is not None
    view = latency_view(costs)
    assert len(view.steps) == len(costs.timed.steps) <= ROWS
    ends = [row.start + row.width for row in view.steps]
    assert [row.start for row in view.steps[1:]] == pytest.approx(ends[:-1], abs=0.02)
    assert (view.steps[0].start, ends[-1]) == pytest.approx((0, 100), abs=0.02)
    first = [row.steps for row in view.steps if row.first_output]
    assert first == [str(costs.compiled.program.latency)]
    assert max(row.width for row in view.terms) == 100
    assert "lower bounds from a model" in view.summary[1]


def test_of_a_long_window_each_bar_stands_for_several_steps() -> None:
    costs = deployment().costs
    assert costs is not None
    terms = {name: np.tile(ns, (9, 1)) for name, ns in costs.timed.terms.items()}
    longer = dataclasses.replace(costs.timed, terms=terms)
    view = latency_view(dataclasses.replace(costs, timed=longer))
    steps = len(longer.steps)
    assert len(view.steps) == -(-steps // -(-steps // ROWS)) <= ROWS
    assert view.steps[-1].steps.endswith(str(steps - 1))
    assert sum(row.width for row in view.steps) == pytest.approx(100, abs=0.5)
    assert sum(row.first_output for row in view.steps) == 1


def test_cores_of_several_chips_are_drawn_on_each() -> None:
    program = deployment().compiled.program
    placed = place(program, target.load("loihi2"))
    pieces = [dataclasses.replace(piece, chip=number % 2) for number, piece in enumerate(placed.pieces)]
    view = cores_view(dataclasses.replace(placed, chips=2, pieces=tuple(pieces)), deployment().chip, None)
    assert len(view.chips) == 2
    assert [sum(bool(core.shade) for core in one.cores) for one in view.chips] == [1, 1]
    assert "2 of 2 \u00d7 120 cores" in view.summary[0]
    assert not any(core.busiest for one in view.chips for core in one.cores)
    assert [one.title.partition(":")[0] for one in view.chips] == [
        "Intel Loihi 2, chip 0",
        "Intel Loihi 2, chip 1",
    ]


def test_every_core_is_drawn_once_in_its_tile() -> None:
    made = deployment()
    assert made.costs is not None
    view = cores_view(made.compiled.placement, made.chip, made.costs.timed)
    (chip,) = view.chips
    assert [core.number for core in chip.cores] == [str(i) for i in range(120)]
    assert all(
        abs(a.left - b.left) >= CELL or abs(a.top - b.top) >= CELL for a, b in combinations(chip.cores, 2)
    )
    assert [core.number for core in chip.cores if core.shade] == ["0"]
    assert [core.number for core in chip.cores if core.busiest] == ["0"]
    assert chip.cores[0].share.endswith("%")


def test_operations_and_energy_are_those_of_the_costs() -> None:
    costs = deployment().costs
    assert costs is not None
    operations = synops_view(costs.synops)
    assert operations.total == tuple(f"{value:,.1f}" for value in costs.synops.total.values())
    assert max(row.width for row in operations.rows) == 100
    ledger = energy_view(costs.energy, costs.convention)
    assert ledger.refused
    assert [row.term for row in ledger.rows] == [entry.term for entry in costs.energy.entries]
    assert all(row.refused for row in ledger.rows)
    assert ledger.host[-1].grade == "convention"


def test_notes_are_grouped_by_pass() -> None:
    notes = deployment().compiled.notes
    groups = passes_view(notes)
    assert sum(len(group.notes) for group in groups) == len(notes)
    assert len({group.name for group in groups}) == len(groups)


def test_the_chain_says_where_equality_is_lost() -> None:
    made = deployment()
    chain = verdict_view(made).chain
    assert [place.title for place in chain] == ["PyTorch", "Graph", "Integers", "Backends"]
    assert [place.link and place.link.tone for place in chain] == [None, "equal", "open", "equal"]
    changed = verdict_view(deployment(changed=True)).chain
    assert [place.link and place.link.tone for place in changed] == [None, "equal", "open", "differs"]
