"""What the host does for a sample, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from avnir import target
from avnir.cost.convention import FP32_ADD, FP32_MULTIPLY, FP32_MULTIPLY_ADD
from avnir.cost.energy import Ledger, rows, summary
from avnir.cost.entry import NEVER_PUBLISHED, total
from avnir.cost.host import host_entries
from avnir.errors import TargetError
from avnir.ir import integer
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer_window import WindowSum
from avnir.program import Program
from avnir.target import Cost
from tests.place.networks import lif

LOIHI1 = target.load("loihi1")


def program(decision: dict[str, str]) -> Program:
    """5 inputs, sums over the window, 4 classes, and a score of one number."""
    nodes = (
        Node("x", integer.Input((5,))),
        Node("each", integer.Dense(np.eye(5, dtype=np.int8)), ("x",)),
        Node("sum", WindowSum((5,), 3), ("each",)),
        Node("to_l", integer.Dense(np.ones((4, 5), np.int8)), ("sum",)),
        Node("l", lif((4,)), ("to_l",)),
        Node("to_s", integer.Dense(np.ones((1, 5), np.int8)), ("sum",)),
        Node("s", lif((1,)), ("to_s",)),
        Node("classes", integer.Output((4,)), ("l",)),
        Node("score", integer.Output((1,)), ("s",)),
    )
    provenance = {"decision": decision} if decision else {}
    return Program(verified(Graph("integer", nodes)), "loihi1", provenance)


def counts(made: Program) -> dict[str, float]:
    return {entry.term: entry.count for entry in host_entries(made, LOIHI1, 3)}


def test_the_usual_decision_adds_up() -> None:
    assert counts(program({})) == {
        "host: values shown": 2 * 3 * 5,
        "host: values read": 3 * (4 + 1),
        "host: additions of the decision": 3 * 4,
    }


def test_weighed_steps_are_charged() -> None:
    assert counts(program({"scores": "score"})) == {
        "host: values shown": 2 * 3 * 5,
        "host: values read": 3 * (4 + 1),
        "host: exponentials of the decision": 3,
        "host: multiplications of the decision": 3 * 4,
        "host: additions of the decision": 3 * 4,
    }


def test_arithmetic_is_priced_by_the_convention_and_moves_are_not() -> None:
    made = tuple(host_entries(program({"scores": "score"}), LOIHI1, 3))
    assert [entry.cost.grade for entry in made] == ["unknown"] * 3 + ["convention"] * 2
    assert made[3].joules == pytest.approx(12 * 3.7e-12)
    assert (FP32_MULTIPLY.value or 0) + (FP32_ADD.value or 0) == pytest.approx(FP32_MULTIPLY_ADD.value)
    with pytest.raises(TargetError, match=r"for it: .* host: exponentials of the decision \(host_exponent"):
        total(made, "it")


def test_a_total_of_the_chip_covers_no_host_and_one_of_the_host_is_refused() -> None:
    host = tuple(host_entries(program({}), LOIHI1, 3))
    ledger = Ledger("Chip", (), NEVER_PUBLISHED, 1, 1.0, None, host)
    assert ledger.dynamic == 0
    assert [row[0] for row in rows(ledger)] == [entry.term for entry in host]
    with pytest.raises(TargetError, match=r"values read \(host_read_energy\)") as refused:
        _ = ledger.host_dynamic
    assert str(refused.value) in summary(ledger)
    assert ledger.record()["host"]["refused_for"] == ["host_write_energy", "host_read_energy"]
    assert ledger.record()["host"]["dynamic_joules"] is None
    assert ledger.record()["refused_for"] == []


def test_a_targets_own_prices_come_first() -> None:
    price = Cost(value=2.0, unit="pJ", grade="measured", source="here")
    costs = {**LOIHI1.costs, "host_write_energy": price, "host_read_energy": price}
    chip = LOIHI1.model_copy(update={"costs": costs})
    host = tuple(host_entries(program({}), chip, 3))
    ledger = Ledger("Chip", (), NEVER_PUBLISHED, 1, 1.0, None, host)
    expected = (30 + 15) * 2e-12 + 12 * 0.9e-12
    assert ledger.host_dynamic == pytest.approx(expected)
    assert ledger.record()["host"]["dynamic_joules"] == pytest.approx(expected)
    assert "host, apart: 0.1 nJ a sample" in summary(ledger)
