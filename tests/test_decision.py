"""How a class is read from outputs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from avnir import target
from avnir.compile import compile_graph
from avnir.decision import Decision, output_units
from avnir.errors import DataError, ProgramError, UnsupportedError
from avnir.ir import real
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer import Dense, Input, Output
from avnir.ir.integer_graded import Readout
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array
from avnir.ir.real_graded import Product
from avnir.program import Program
from avnir.trace import Trace
from avnir.verify.findings import examine
from avnir.verify.stages import Stages, judge

LOIHI2 = target.load("loihi2")

VALUES = np.array([[[3.0, 0.0]], [[0.0, 2.0]]])
"""Two steps, one sample, two classes."""


def trace(score: list[float]) -> Trace:
    return Trace({}, {"classes": VALUES, "score": np.array(score).reshape(2, 1, 1)})


def test_the_largest_sum_decides_by_default() -> None:
    assert Decision().classes(trace([0, 9])).tolist() == [0]


def test_attention_weighs_the_steps() -> None:
    decision = Decision("classes", "score")
    assert decision.classes(trace([0, 0])).tolist() == [0]
    assert decision.classes(trace([0, 9])).tolist() == [1]
    # e^x / (1 + e^x) * 2 > 3 / (1 + e^x) from x = ln 1.5 on
    assert decision.classes(trace([0, np.log(1.5) - 1e-6])).tolist() == [0]
    assert decision.classes(trace([0, np.log(1.5) + 1e-6])).tolist() == [1]


def test_integer_scores_count_in_units_of_the_model() -> None:
    decision = Decision("classes", "score")
    assert decision.classes(trace([0, 64]), {"score": 1 / 640}).tolist() == [0]
    assert decision.classes(trace([0, 64]), {"score": 1 / 64}).tolist() == [1]


def test_a_large_score_does_not_overflow() -> None:
    assert Decision("classes", "score").classes(trace([0, 1e6])).tolist() == [1]


def test_what_the_host_does() -> None:
    assert Decision().costs(10, 4) == {"additions": 40}
    weighed = {"exponentials": 4, "multiplications": 40, "additions": 40}
    assert Decision("classes", "score").costs(10, 4) == weighed


def test_records() -> None:
    assert Decision().record() == {}
    decision = Decision("classes", "score")
    assert Decision.of(decision.record()) == decision
    for wrong in ({"kind": "sum"}, {"output": 3}):
        with pytest.raises(DataError, match="no decision"):
            Decision.of(wrong)


def graph() -> Graph:
    readout = Readout(
        (2,), np.array(4095, np.int32), np.array(4096, np.int32), np.array(0, np.int32), scale=np.array(10.0)
    )
    nodes = (
        Node("x", Input((3,))),
        Node("w", Dense(np.ones((2, 3), np.int8)), ("x",)),
        Node("r", readout, ("w",)),
        Node("classes", Output((2,)), ("r",)),
        Node("spikes", Output((3,)), ("x",)),
    )
    return verified(Graph("integer", nodes))


def test_units_are_those_of_the_read_outs() -> None:
    assert output_units(graph()) == {"classes": 1 / 640}


def test_a_decision_that_does_not_fit() -> None:
    Decision("classes").check(graph())
    with pytest.raises(DataError, match="reads 'score', but the outputs are classes, spikes"):
        Decision("classes", "score").check(graph())
    with pytest.raises(DataError, match="a score is one number a step"):
        Decision("classes", "spikes").check(graph())


def weighed() -> Graph:
    """Six neurons that repeat their inputs, to three classes and a score by weights that fit no integer."""
    rng = np.random.default_rng(1)
    nodes = (
        Node("x", real.Input((6,))),
        Node("lif", real.Lif(np.array(0.0), np.array(0.5), np.array(1.0)), ("x",)),
        Node("score_w", real.Linear(rng.normal(size=(1, 6))), ("lif",)),
        Node("classes_w", real.Linear(rng.normal(size=(3, 6))), ("lif",)),
        Node("score", real.Output((1,)), ("score_w",)),
        Node("classes", real.Output((3,)), ("classes_w",)),
    )
    return verified(Graph("real", nodes))


def given(batch: int = 40) -> dict[str, Array]:
    return {"x": (np.random.default_rng(2).random((5, batch, 6)) < 0.5).astype(np.uint8)}


WEIGHED = Decision("classes", "score")


def test_a_program_decides_in_its_own_units() -> None:
    program = compile_graph(weighed(), LOIHI2, decision=WEIGHED).program
    assert program.decision == WEIGHED
    in_reals, in_integers = interpret_real(weighed(), given()), interpret_integer(program.graph, given())
    wanted = WEIGHED.classes(in_reals)
    found = program.decision.classes(in_integers, output_units(program.graph))
    assert np.mean(found == wanted) > 0.9
    assert np.mean(found == wanted) > np.mean(program.decision.classes(in_integers) == wanted)
    assert np.mean(Decision("classes").classes(in_integers) == wanted) < 0.9


def test_the_verdict_reads_classes_by_the_decision() -> None:
    program = compile_graph(weighed(), LOIHI2, decision=WEIGHED).program
    in_reals, in_integers = interpret_real(weighed(), given()), interpret_integer(program.graph, given())
    units = output_units(program.graph)
    stages = Stages(in_reals, in_integers, {"cpu": in_integers}, {"model": in_reals})
    found = judge(stages, WEIGHED.classes(in_integers, units), (), WEIGHED, units).accuracy
    assert found["integer"] == found["cpu"] == 1
    agreement = np.mean(WEIGHED.classes(in_reals) == WEIGHED.classes(in_integers, units))
    assert found["graph"] == found["model"] == agreement


def test_a_program_keeps_only_an_unusual_decision() -> None:
    plain = compile_graph(weighed(), LOIHI2).program
    assert "decision" not in plain.provenance
    assert compile_graph(weighed(), LOIHI2, decision=Decision()).program.digest == plain.digest
    assert plain.decision == Decision()
    kept = compile_graph(weighed(), LOIHI2, decision=WEIGHED).program
    assert kept.provenance["decision"] == {"output": "classes", "scores": "score"}
    assert kept.graph == plain.graph


def test_a_saved_program_keeps_it(tmp_path: Path) -> None:
    program = compile_graph(weighed(), LOIHI2, decision=WEIGHED).program
    program.save(tmp_path / "program")
    assert Program.load(tmp_path / "program").decision == WEIGHED


@pytest.mark.parametrize("wrong", [{"scores": "nothing"}, {"scores": "classes"}, {"steps": "x"}, 5])
def test_a_program_with_a_decision_that_does_not_fit_is_refused(wrong: object, tmp_path: Path) -> None:
    program = compile_graph(weighed(), LOIHI2).program
    program.save(tmp_path / "program")
    path = tmp_path / "program" / "program.json"
    record = json.loads(path.read_text())
    record["provenance"]["decision"] = wrong
    path.write_text(json.dumps(record))
    with pytest.raises(ProgramError, match="export it again"):
        Program.load(tmp_path / "program")


def test_an_output_that_is_not_there_is_refused() -> None:
    for refused in (compile_graph, examine):
        with pytest.raises(DataError, match="reads 'spikes', but the outputs are score, classes"):
            refused(weighed(), LOIHI2, decision=Decision("spikes"))


def test_scores_whose_unit_is_not_kept_are_refused() -> None:
    nodes = {node.name: node for node in weighed()}
    nodes["square"] = Node("square", Product(), ("score_w", "score_w_2"))
    order = ("x", "lif", "score_w", "score_w_2", "square", "classes_w", "score", "classes")
    nodes["score_w_2"] = Node("score_w_2", real.Linear(np.ones((1, 6))), ("x",))
    nodes["score"] = Node("score", real.Output((1,)), ("square",))
    graph = verified(Graph("real", tuple(nodes[name] for name in order)))
    with pytest.raises(UnsupportedError, match="as 'score', and their unit is not kept"):
        compile_graph(graph, LOIHI2, decision=WEIGHED)
    (finding,) = examine(graph, LOIHI2, decision=WEIGHED).findings
    assert finding.place == "square"
    assert compile_graph(graph, LOIHI2).program.decision == Decision()
