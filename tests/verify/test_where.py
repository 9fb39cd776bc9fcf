"""What runs where, and whether its numbers are the model's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from avnir import target
from avnir.compile import compile_graph
from avnir.decision import Decision
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.real import Input, Li, Lif, Linear, Output
from avnir.ir.real_graded import InverseRoot, Product, WindowSum
from avnir.verify.findings import examine
from avnir.verify.where import EXACT, FIXED, HOST, PROGRAMMABLE, ROUNDED, Part, parts

LOIHI2 = target.load("loihi2")
ONE = np.array(1.0)


def found(nodes: Sequence[Node], decision: Decision | None = None) -> dict[str, Part]:
    """The parts of these operations behind 3 inputs `x`, by name."""
    graph = verified(Graph("real", (Node("x", Input((3,))), *nodes)))
    compiled = compile_graph(graph, LOIHI2, decision=decision)
    made = parts(compiled.program.graph, compiled.notes, compiled.program.decision)
    assert examine(graph, LOIHI2, decision=decision).parts == made
    return {part.name: part for part in made}


def numbers(nodes: Sequence[Node], name: str) -> str:
    return found(nodes)[name].numbers


def lif(reset: str = "zero") -> Lif:
    return Lif(np.array(0.9), ONE, ONE, reset=reset)


def product(weight: Sequence[Sequence[float]]) -> list[Node]:
    """(W x) x."""
    return [
        Node("w", Linear(np.array(weight)), ("x",)),
        Node("product", Product(), ("w", "x")),
        Node("out", Output((3,)), ("product",)),
    ]


def read_out(weight: Sequence[float], beta: float, bias: float | None = None) -> list[Node]:
    """A potential of weights `w` that keeps `beta` of itself."""
    shift = None if bias is None else np.array([bias])
    return [
        Node("w", Linear(np.array([weight]), shift), ("x",)),
        Node("read", Li(np.array(beta), ONE), ("w",)),
        Node("out", Output((1,)), ("read",)),
    ]


@pytest.mark.parametrize(("reset", "runs"), [("zero", FIXED), ("subtract", PROGRAMMABLE)])
def test_spikes_are_exact_and_the_reset_says_which_neuron(reset: str, runs: str) -> None:
    weight = np.random.default_rng(0).normal(size=(2, 3))
    nodes = [
        Node("w", Linear(weight), ("x",)),
        Node("lif", lif(reset), ("w",)),
        Node("out", Output((2,)), ("lif",)),
    ]
    assert [(p.name, p.runs, p.numbers) for p in found(nodes).values()] == [
        ("x", HOST, EXACT),
        ("lif", runs, EXACT),
        ("out", HOST, EXACT),
        ("decision", HOST, EXACT),
    ]


def test_products_are_exact_where_their_weights_are_whole_multiples() -> None:
    whole, mixed = np.eye(3) / 3, np.array([[1, np.pi, 0.3], [0, 1, 0], [0, 0, 1]])
    assert numbers(product(whole.tolist()), "product") == EXACT
    assert numbers(product(mixed.tolist()), "product") == ROUNDED


def test_potentials_are_exact_where_nothing_rounds_them() -> None:
    assert numbers(read_out((1, 2, 3), 0.0), "read") == EXACT
    assert numbers(read_out((1, 2, 3), 1.0, 2.0), "read") == EXACT
    assert numbers(read_out((1, 2, 3), 0.5), "read") == ROUNDED  # a decay rounds in every step
    assert numbers(read_out((1, np.pi, 0.3), 1.0), "read") == ROUNDED
    assert numbers(read_out((1, 2, 3), 1.0, np.pi), "read") == ROUNDED


def test_inverse_roots_are_rounded_and_so_is_what_they_reach_up_to_the_next_spikes() -> None:
    nodes = [
        Node("count", Linear(np.ones((1, 3))), ("x",)),
        Node("root", InverseRoot(), ("count",)),
        Node("each", Linear(np.ones((3, 1))), ("root",)),
        Node("unit", Product(), ("x", "each")),
        Node("w", Linear(np.eye(3)), ("unit",)),
        Node("lif", lif(), ("w",)),
        Node("again", Product(), ("x", "lif")),
        Node("out", Output((3,)), ("again",)),
    ]
    made = found(nodes)
    sent = {name: made[name].numbers for name in ("root", "unit", "lif", "again")}
    assert sent == {"root": ROUNDED, "unit": ROUNDED, "lif": EXACT, "again": EXACT}


def test_what_rounded_potentials_reach_is_rounded() -> None:
    def gated(weight: Sequence[float]) -> str:
        nodes = [
            *read_out(weight, 0.0)[:2],
            Node("first", Linear(np.array([[1.0, 0.0, 0.0]])), ("x",)),
            Node("gated", Product(), ("first", "read")),
            Node("out", Output((1,)), ("gated",)),
        ]
        return numbers(nodes, "gated")

    assert gated((1, np.pi, 0.3)) == ROUNDED


def test_the_host_shows_the_window_again_and_reads_once() -> None:
    nodes = [
        Node("sum", WindowSum(steps=4), ("x",)),
        Node("product", Product(), ("x", "sum")),
        Node("out", Output((3,)), ("product",)),
    ]
    made = found(nodes)
    assert made["x"].how == "shows 3 spikes a step, the window 2 times"
    assert made["sum"].how == "a sum over the window, which is shown once more for it"
    assert made["out"].how == "reads 3 integers of 4 bits a step"
    assert made["decision"].how == "largest sum of out; a step 3 additions"


def test_the_host_weighs_the_steps() -> None:
    nodes = [
        Node("a", Linear(np.ones((4, 3))), ("x",)),
        Node("b", Linear(np.ones((1, 3))), ("x",)),
        Node("score", Output((1,)), ("b",)),
        Node("classes", Output((4,)), ("a",)),
    ]
    made = found(nodes, Decision("classes", "score"))
    assert made["score"].how.startswith("reads 1 integer of 24 bits a step, each ")
    assert made["decision"].shape == (4,)
    assert made["decision"].how == (
        "largest sum of classes, steps weighed by the softmax of score; "
        "a step 1 exponential, 4 multiplications, 4 additions"
    )


def test_rows_and_records() -> None:
    made = found([Node("lif", lif(), ("x",)), Node("out", Output((3,)), ("lif",))])["lif"]
    assert made.row() == ("lif", "Lif", "3", FIXED, EXACT, "the chip's own neuron")
    assert made.record() == {
        "name": "lif",
        "operation": "Lif",
        "shape": [3],
        "runs": FIXED,
        "numbers": EXACT,
        "how": "the chip's own neuron",
    }
