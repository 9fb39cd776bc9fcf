"""What changed between two programs is named; what did not change is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from avnir import target
from avnir.compile import compile_graph
from avnir.errors import DataError
from avnir.ir.graph import Node
from avnir.ir.integer import Input
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array
from avnir.place import place
from avnir.program import Program
from avnir.report.changes import changes_markdown, headlines, sections
from avnir.verify.changes import ADDED, CHANGED, REMOVED, changes
from avnir.verify.diff import Difference, Run, Side, difference
from avnir.verify.growth import GROWING, Figure, too_much
from tests.networks import audio_visual, spikes

CHIP = target.load("loihi2")
LOIHI1 = target.load("loihi1")


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_graph(audio_visual(0, reset="zero"), CHIP).program


@pytest.fixture(scope="module")
def inputs(program: Program) -> Mapping[str, Array]:
    return spikes(program.graph, 0, steps=6)


def changed(program: Program, name: str, **values: object) -> Program:
    """The program with some parameters of a node changed."""
    node = program.graph[name]
    made = dataclasses.replace(node, op=node.op.replace(**values))
    return dataclasses.replace(
        program, graph=program.graph.with_nodes(made if n is node else n for n in program.graph)
    )


def turned(program: Program, connection: str, neuron: int) -> Program:
    """The program with the weights into one neuron turned round."""
    weight = program.graph[connection].op.weight.copy()  # type: ignore[attr-defined]
    weight[neuron] = -weight[neuron]
    return changed(program, connection, weight=weight)


def side(
    program: Program, inputs: Mapping[str, Array] | None = None, labels: Array | None = None, chip=CHIP
) -> Side:
    program = dataclasses.replace(program, target=chip.name)
    placement = place(program, chip)
    if inputs is None:
        return Side("folder", program, placement)
    trace = interpret_integer(program.graph, inputs, states=True)
    return Side("folder", program, placement, Run.of(program, placement, chip, inputs, labels, trace))


def into_output(program: Program) -> str:
    [name] = program.graph["lif_out"].inputs
    return name


def figures(found: Difference) -> dict[str, Figure]:
    return {figure.name: figure for figure in found.figures}


def test_a_program_does_not_differ_from_itself(program: Program, inputs: Mapping[str, Array]) -> None:
    found = difference(side(program, inputs, np.zeros(3, int)), side(program, inputs, np.zeros(3, int)))
    assert found.same_program
    assert (found.changes, found.provenance, found.unlike) == ((), (), ())
    assert found.spikes is not None
    assert found.spikes.identical
    assert all(figure.before == figure.after for figure in found.figures)
    assert all(figure.growth in (0.0, None) for figure in found.figures)
    assert too_much(found.figures, 0.0, 0.0) == []
    lines = list(headlines(found))
    assert lines[0].startswith("the same program: ")
    assert lines[1].startswith("every spike is equal: ")


def test_one_weight_vector_is_named_and_its_first_spike(
    program: Program, inputs: Mapping[str, Array]
) -> None:
    name = into_output(program)
    mutant = turned(program, name, 2)
    found = difference(side(program, inputs), side(mutant, inputs))
    weight = program.graph[name].op.weight  # type: ignore[attr-defined]
    nonzero, most = np.count_nonzero(weight[2]), 2 * np.abs(weight[2].astype(int)).max()
    [change] = found.changes
    assert (change.node, change.what) == (name, CHANGED)
    assert change.how == f"weight: {nonzero} of {weight.size} differ, by at most {most}"
    assert found.spikes is not None
    assert {layer.layer for layer in found.spikes.layers if layer.divergence} == {"lif_out"}
    assert found.spikes.divergence is not None
    assert found.spikes.divergence.neuron == (2,)
    assert "1 node differs" in next(headlines(found))
    spikes_table = next(section for section in sections(found) if section.title == "spikes")
    assert [row[0] for row in spikes_table.rows] == ["lif_out"]


def test_scalars_inputs_and_kinds(program: Program) -> None:
    layer = program.graph["lif_out"]
    threshold = np.array(int(np.max(layer.op.threshold)) + 1, np.int32)  # type: ignore[attr-defined]
    [change] = changes(program, changed(program, "lif_out", threshold=threshold, reset="none"))
    was = layer.op.threshold  # type: ignore[attr-defined]
    told = f"{was.item()} to {threshold}" if was.size == 1 else f"{list(was.shape)} to []"
    assert f"threshold: {told}" in change.how
    assert "reset: zero to none" in change.how


def test_nodes_that_come_and_go(program: Program) -> None:
    more = dataclasses.replace(
        program, graph=program.graph.with_nodes([*program.graph, Node("extra", Input((3,)))])
    )
    [change] = changes(program, more)
    assert (change.node, change.operation, change.what) == ("extra", "Input", ADDED)
    [change] = changes(more, program)
    assert (change.node, change.what) == ("extra", REMOVED)


def test_layers_of_another_shape_are_named_not_compared(
    inputs: Mapping[str, Array], program: Program
) -> None:
    graph = audio_visual(0, reset="zero")
    fc, lif, out = graph["fc_out"], graph["lif_out"], graph["output"]
    narrow = {
        "fc_out": dataclasses.replace(fc, op=fc.op.replace(weight=fc.op.weight[:4], bias=fc.op.bias[:4])),  # type: ignore[attr-defined]
        "output": dataclasses.replace(out, op=out.op.replace(shape=(4,))),
    }
    other = compile_graph(graph.with_nodes(narrow.get(n.name, n) for n in graph), CHIP).program
    found = difference(side(program, inputs), side(other, inputs))
    assert found.unlike == (lif.name,)
    assert found.spikes is not None
    assert found.spikes.identical
    assert any(f"of another shape: {lif.name}" in line for line in headlines(found))


def test_provenance_and_target_are_told(program: Program) -> None:
    fewer = compile_graph(audio_visual(0, reset="zero"), LOIHI1, weight_bits=4).program
    found = difference(side(program), side(fewer, chip=LOIHI1))
    assert {(name, one, other) for name, one, other in found.provenance} == {
        ("target", "loihi2", "loihi1"),
        ("weight_bits", "8", "4"),
    }
    assert found.spikes is None
    assert "energy a sample" not in figures(found)


def test_energy_is_refused_where_no_price_was_published(
    program: Program, inputs: Mapping[str, Array]
) -> None:
    found = difference(side(program, inputs), side(program, inputs))
    energy = figures(found)["energy a sample"]
    assert (energy.before, energy.after, energy.growth) == (None, None, None)
    assert "no price was ever published" in str(energy.refused)
    assert "refused" in energy.record()
    assert any("energy a sample is refused" in line for line in headlines(found))
    priced = figures(difference(*(side(program, inputs, chip=LOIHI1) for _ in range(2))))["energy a sample"]
    assert priced.refused is None
    assert priced.before is not None
    assert priced.before > 0


def test_growth_is_limited(program: Program, inputs: Mapping[str, Array]) -> None:
    denser = changed(program, "lif1", threshold=np.array(0, np.int32))
    found = difference(side(program, inputs), side(denser, inputs))
    synops = figures(found)["SynOps a sample, stored"]
    assert synops.growth is not None
    assert synops.growth > 0
    failed = too_much(found.figures, synops.growth / 2)
    assert any(line.startswith("SynOps a sample, stored grew from ") for line in failed)
    assert not any("SynOps" in line for line in too_much(found.figures, synops.growth * 1.01))


def test_lost_accuracy_is_limited(program: Program, inputs: Mapping[str, Array]) -> None:
    labels = program.decision.classes(interpret_integer(program.graph, inputs))
    threshold = np.broadcast_to(program.graph["lif_out"].op.threshold, (5,)).copy()  # type: ignore[attr-defined]
    threshold[labels[0]] = (1 << 17) - 1
    mute = changed(program, "lif_out", threshold=threshold)
    lost = float(np.mean(mute.decision.classes(interpret_integer(mute.graph, inputs)) != labels))
    found = difference(side(program, inputs, labels), side(mute, inputs, labels))
    assert lost > 0
    assert too_much(found.figures, None, lost) == []
    [line] = too_much(found.figures, None, lost / 2)
    assert line.startswith(f"accuracy fell by {lost:.9g}, above ")


def test_limits_on_what_was_not_measured_are_refused(program: Program, inputs: Mapping[str, Array]) -> None:
    still, ran = (
        difference(side(program), side(program)),
        difference(*(side(program, inputs) for _ in range(2))),
    )
    with pytest.raises(DataError, match="needs inputs"):
        too_much(still.figures, 0.1)
    with pytest.raises(DataError, match="needs labels"):
        too_much(ran.figures, None, 0.1)
    assert set(GROWING) <= set(figures(ran))


def test_from_nothing_any_growth_is_too_much() -> None:
    figure = Figure("SynOps", 0, 1)
    assert figure.growth is None
    assert figure.exceeds(1000.0)
    assert not Figure("SynOps", 0, 0).exceeds(0.0)
    assert Figure("SynOps", 0, 0).growth == 0.0


def test_the_record_is_plain_and_the_markdown_has_every_table(
    program: Program, inputs: Mapping[str, Array]
) -> None:
    import json

    mutant = turned(program, into_output(program), 2)
    found = difference(side(program, inputs, np.zeros(3, int)), side(mutant, inputs, np.zeros(3, int)))
    record = json.loads(json.dumps(found.record()))
    assert [change["what"] for change in record["changes"]] == [CHANGED]
    assert record["spikes"]["identical"] is False
    assert record["figures"]["cores"] == {"before": 1, "after": 1, "growth": 0.0}
    text = changes_markdown("folder to folder", headlines(found), sections(found))
    assert text.startswith("## avnir diff: folder to folder\n")
    assert all(f"### {title}\n" in text for title in ("program", "spikes", "figures"))
    assert "### made with" not in text
