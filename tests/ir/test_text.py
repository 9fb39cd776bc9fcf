"""The text form: stable, and read back to the equal graph."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avnir.errors import GraphError
from avnir.ir import real
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.text import arrays_of, graph_digest, parse, to_text
from tests.random_graphs import ALL_LAYERS, integer_graph, real_graph

GOLDEN = Path(__file__).parent.parent / "golden" / "graph.txt"


def example() -> Graph:
    weight = np.arange(18, dtype=np.float32).reshape(2, 1, 3, 3) / 8
    lif = real.Lif(np.array(0.9), np.array([[[0.5]], [[1.5]]]), np.array(1.0), "subtract_delayed")
    nodes = (
        Node("image", real.Input((1, 4, 4), None)),
        Node("skip", real.Input((2, 4, 4), 8)),
        Node("conv", real.Conv2d(weight, None, padding=(1, 1)), ("image",), "net.py:7"),
        Node("lif", lif, ("conv", "skip"), "net.py:8"),
        Node("flat", real.Flatten((32,)), ("lif",)),
        Node("out", real.Output((32,)), ("flat",)),
    )
    return verified(Graph("real", nodes, 1e-3))


def test_text_is_the_golden_one() -> None:
    assert to_text(example()) == GOLDEN.read_text(encoding="utf-8")


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False))
def test_real_graphs_come_back_equal(random: Random) -> None:
    graph = real_graph(random, ALL_LAYERS)
    again = parse(to_text(graph), arrays_of(graph))
    assert again == graph
    assert graph_digest(again) == graph_digest(graph)


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_integer_graphs_come_back_equal(random: Random) -> None:
    graph = integer_graph(random)
    assert parse(to_text(graph), arrays_of(graph)) == graph


def test_digest_sees_one_bit_and_not_the_source() -> None:
    graph = example()
    conv = graph["conv"]
    weight = conv.op.weight.copy()  # type: ignore[attr-defined]
    weight[0, 0, 0, 0] = -0.0
    changed = [
        Node(n.name, n.op.replace(weight=weight) if n.name == "conv" else n.op, n.inputs) for n in graph
    ]
    moved = [Node(n.name, n.op, n.inputs, "elsewhere") for n in graph]
    assert graph_digest(graph.with_nodes(changed)) != graph_digest(graph)
    assert graph_digest(graph.with_nodes(moved)) == graph_digest(graph)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("real graph", "virtual graph", 1, "is not '<level> graph"),
        ("0.001", "0.001 s", 1, "is not '<level> graph"),
        ("image = Input", "image == Input", 2, "is not 'name = Kind"),
        ("Flatten(", "__import__(", 6, "there is no __import__ on the real level"),
        ("message_bits=8", "message_bits=open('x')", 3, "cannot read the parameters"),
        ("message_bits=8", "message_bits=exit", 3, "malformed node"),
        ("message_bits=8", "colour=8", 3, "colour"),
        ("float64:0.9", "float64:1.9", 5, "Lif.beta is values in [1.9, 1.9], but must be in [0, 1]"),
        ("float64:0.9", "object:0", 5, "object is not a type of numbers"),
        ("'subtract_delayed'", "'sideways'", 5, "Lif.reset is 'sideways'"),
        ("float32[2,1,3,3]", "float32[2,1,3,4]", 4, "but the text says float32[2,1,3,4]"),
        ("conv + skip", "conv + jump", 5, "fed by jump, which no line above makes"),
        (": (32,)\nout", ": (33,)\nout", 6, "flat makes (32,), but the text says (33,)"),
    ],
)
def test_errors_name_the_line(old: str, new: str, line: int, said: str) -> None:
    graph = example()
    text = to_text(graph)
    assert old in text
    with pytest.raises(GraphError) as caught:
        parse(text.replace(old, new, 1), arrays_of(graph))
    assert str(caught.value).startswith(f"line {line}: ")
    assert said in str(caught.value)


def test_missing_array_and_empty_text_are_named() -> None:
    with pytest.raises(
        GraphError, match=r"line 4: there is no array float32\[2,1,3,3\]#\w{12} beside the text"
    ):
        parse(to_text(example()), {})
    with pytest.raises(GraphError, match="line 1: the text is empty"):
        parse("", {})
