"""What quantisation says of the width of messages is what a program is checked by."""

from __future__ import annotations

import numpy as np
import pytest

from avnir import target
from avnir.compile import compile_graph
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.message_bounds import largest_values
from avnir.ir.real import Input, Linear, Output
from avnir.ir.real_graded import Product


@pytest.mark.parametrize("seed", range(20))
def test_products_behind_weights_of_both_signs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    nodes = (
        Node("x", Input((6,))),
        Node("a", Linear(rng.normal(size=(2, 6))), ("x",)),
        Node("b", Linear(rng.normal(size=(2, 6))), ("x",)),
        Node("first", Product(), ("a", "b")),
        Node("c", Linear(rng.normal(size=(2, 2))), ("first",)),
        Node("second", Product(), ("a", "c")),
        Node("out", Output((2,)), ("second",)),
    )
    graph = compile_graph(verified(Graph("real", nodes)), target.load("loihi2")).program.graph
    for name in ("first", "second"):
        bits = graph[name].op.message_bits  # type: ignore[attr-defined]
        assert largest_values(graph)[name].bit_length() == bits - 1
