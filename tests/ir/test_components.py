"""The loops of a graph, and the order of what leads into what."""

from __future__ import annotations

import numpy as np

from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer import Dense, Input, Lif, Output
from avnir.ir.loops import components
from avnir.testing.cases import CASES, lif

ONE = Dense(np.ones((2, 2), np.int8))
LAGGED = ONE.replace(lag=1)


def layer() -> Lif:
    return lif((2,))


def names(graph: Graph) -> list[list[str]]:
    return components(graph.consumers)


def test_a_lag_forward_waits_for_what_stands_after_it() -> None:
    nodes = (
        Node("late", LAGGED.replace(delay=1), ("x",)),
        Node("x", Input((2,))),
        Node("layer", layer(), ("late",)),
        Node("y", Output((2,)), ("layer",)),
    )
    assert names(verified(Graph("integer", nodes))) == [["x"], ["late"], ["layer"], ["y"]]


def test_loops_that_share_a_layer_are_one_and_keep_the_order_of_the_graph() -> None:
    found = names(CASES["recurrent_ring"]().program.graph)
    assert sorted(map(len, found)) == [1, 1, 1, 5]
    loop = ["back", "a", "forward", "own", "b"]
    assert found == [["input"], ["synapses"], loop, ["output"]]


def test_loops_that_follow_one_another_are_kept_apart() -> None:
    nodes = (
        Node("back2", LAGGED, ("b",)),
        Node("back1", LAGGED, ("a",)),
        Node("x", Input((2,))),
        Node("in", ONE, ("x",)),
        Node("a", layer(), ("in", "back1")),
        Node("on", ONE, ("a",)),
        Node("b", layer(), ("on", "back2")),
        Node("y", Output((2,)), ("b",)),
    )
    found = names(verified(Graph("integer", nodes)))
    assert found == [["x"], ["in"], ["back1", "a"], ["on"], ["back2", "b"], ["y"]]


def test_a_deep_network_and_a_long_loop() -> None:
    """Deeper than Python's calls may be nested."""
    nodes = [Node("x", Input((2,))), Node("back", LAGGED.replace(lag=63), ("n999",))]
    for k in range(1000):
        before = f"n{k - 1}" if k else "x"
        nodes += [Node(f"w{k}", ONE, (before,)), Node(f"n{k}", layer(), (f"w{k}", *["back"] * (k == 900)))]
    nodes.append(Node("y", Output((2,)), ("n999",)))
    sizes = [len(nodes) for nodes in components(Graph("integer", tuple(nodes)).consumers)]
    assert max(sizes) == 1 + 100 + 99
    assert sum(sizes) == len(nodes)
