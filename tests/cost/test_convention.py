"""The arithmetic convention, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from avnir.cost.convention import arithmetic
from avnir.ir import integer
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.interpret_integer import interpret_integer
from avnir.program import Program
from tests.place.networks import lif

WEIGHT = np.array([[1, 0, 2], [3, 1, 0]], np.int8)


def counted(bits: int, x: np.ndarray) -> dict[str, tuple[float, float]]:
    """Three inputs into two neurons that fire at anything, and those into four: count and nJ by name."""
    nodes = (
        Node("x", integer.Input((3,), bits)),
        Node("c", integer.Dense(WEIGHT), ("x",)),
        Node("l", lif((2,), threshold=0), ("c",)),
        Node("d", integer.Dense(np.ones((4, 2), np.int8)), ("l",)),
        Node("m", lif((4,)), ("d",)),
        Node("out", integer.Output((4,)), ("m",)),
    )
    program = Program(verified(Graph("integer", nodes)), "loihi2")
    inputs = {"x": x}
    found = arithmetic(program, inputs, interpret_integer(program.graph, inputs))
    return {each.operation: (each.count, each.joules * 1e12) for each in found}


def test_spikes_are_accumulated() -> None:
    found = counted(0, np.array([[[1, 1, 0]]], np.uint8))  # weights 1, 3 and 1; both neurons fire: 8 more
    assert found == {
        "int8 accumulates": (11, pytest.approx(11 * 0.03)),
        "FP32 accumulates": (11, pytest.approx(11 * 0.9)),
        "FP32 multiply-accumulates of one dense pass": (6 + 8, pytest.approx(14 * 4.6)),
    }


def test_graded_messages_are_multiplied() -> None:
    found = counted(8, np.array([[[5, 7, 0]]], np.int64))
    assert found["int8 multiply-accumulates of graded messages"] == (3, pytest.approx(3 * 0.23))
    assert found["FP32 multiply-accumulates of graded messages"] == (3, pytest.approx(3 * 4.6))
    assert found["int8 accumulates"][0] == 8
