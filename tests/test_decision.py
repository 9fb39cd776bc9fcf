"""How a class is read from outputs."""

from __future__ import annotations

import numpy as np
import pytest

from avnir.decision import Decision, output_units
from avnir.errors import DataError
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer import Dense, Input, Output
from avnir.ir.integer_graded import Readout
from avnir.trace import Trace

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
    assert Decision().costs(10, 4) == {}
    assert Decision("classes", "score").costs(10, 4) == {"exponentials": 4, "multiplications": 40}


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
