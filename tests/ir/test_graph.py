"""The verifier names everything that is broken, and orders what has an order."""

from __future__ import annotations

import numpy as np
import pytest

from avnir.errors import GraphError
from avnir.ir import integer
from avnir.ir.graph import Graph, Node, in_order, verified
from avnir.ir.real import Conv2d, Flatten, Input, Lif, Linear, Output, Scale
from tests.networks import audio_visual

X = Node("x", Input((3,)))
FC = Node("fc", Linear(np.ones((2, 3))), ("x",))
LIF = Node("lif", Lif(np.array(0.5), np.array(1.0), np.array(1.0)), ("fc",))
OUT = Node("out", Output((2,)), ("lif",))


def check(*nodes: Node, level: str = "real", dt: float = 1e-4) -> Graph:
    return verified(Graph(level, nodes, dt))


def test_a_sound_graph_passes() -> None:
    graph = check(X, FC, LIF, OUT)
    assert graph.shapes == {"x": (3,), "fc": (2,), "lif": (2,), "out": (2,)}
    assert graph.consumers["fc"] == ("lif",)
    assert [n.name for n in graph.neurons] == ["lif"]


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((X, FC, LIF), "at least one Input and one Output"),
        ((X, LIF, FC, OUT), "does not come before it"),
        ((X, FC, FC, LIF, OUT), "fc: used twice"),
        ((X, Node("a b", FC.op, ("x",)), OUT), "'a b' is not a name"),
        ((X, FC, LIF, Node("out", Output((2,)), ("lif", "lif"))), "fed twice by one node"),
        ((X, Node("fc", FC.op, ()), LIF, OUT), "Linear has 0 inputs"),
        ((X, FC, LIF, Node("out", Output((3,)), ("lif",))), "needs 3 values"),
        ((X, FC, LIF, Node("out", integer.Output((2,)), ("lif",))), "belongs to the integer level"),
        ((X, FC, Node("lif", LIF.op, ("fc", "x")), OUT), "added and need one shape"),
        (
            (X, Node("s", Scale(np.ones(4)), ("x",)), Node("out", Output((3,)), ("s",))),
            "does not fit an input",
        ),
        ((X, Node("f", Flatten((0,)), ("x",)), Node("out", Output((0,)), ("f",))), "needs 0 values"),
    ],
)
def test_broken_graphs_say_what_is_broken(nodes: tuple[Node, ...], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        check(*nodes)


def test_all_problems_come_at_once() -> None:
    with pytest.raises(GraphError) as caught:
        check(X, Node("1", FC.op, ("nobody",)), dt=0.0)
    assert str(caught.value).count("\n  - ") == 4


def test_operations_refuse_parameters_out_of_range() -> None:
    with pytest.raises(GraphError, match=r"Lif\.beta is values in \[1\.5, 1\.5\], but must be in \[0, 1\]"):
        Lif(np.array(1.5), np.array(1.0), np.array(1.0))
    with pytest.raises(GraphError, match=r"Lif\.threshold"):
        Lif(np.array(0.5), np.array(-1.0), np.array(1.0))
    with pytest.raises(GraphError, match=r"Conv2d\.groups"):
        Conv2d(np.ones((3, 1, 1, 1)), groups=2)
    with pytest.raises(GraphError, match="window makes nothing"):
        Conv2d(np.ones((1, 1, 5, 5))).output_shape((1, 3, 3))
    one = np.array(1, np.int32)
    with pytest.raises(GraphError, match="17-bit threshold"):
        integer.Lif((1,), one, one, np.array(1 << 17, np.int32), one)
    with pytest.raises(GraphError, match="an int8 array"):
        integer.Dense(np.ones((1, 1)))
    with pytest.raises(GraphError, match=r"delay is 63"):
        integer.Dense(np.ones((1, 1), np.int8), delay=63)


def test_equality_is_bit_for_bit() -> None:
    assert Linear(np.ones((1, 1))) == Linear(np.ones((1, 1)))
    assert Linear(np.ones((1, 1))) != Linear(np.ones((1, 1), np.float32))
    assert Scale(np.array(0.0)) != Scale(np.array(-0.0))
    assert audio_visual(1) == audio_visual(1)
    assert audio_visual(1) != audio_visual(2)


def test_a_graph_shares_nothing_that_its_maker_can_change() -> None:
    weight = np.ones((2, 3))
    op = Linear(weight)
    weight[0, 0] = 5
    assert op.weight[0, 0] == 1


def test_order_puts_each_node_after_what_feeds_it() -> None:
    graph = audio_visual(2)
    mixed = in_order(reversed(graph.nodes))
    verified(Graph("real", mixed))
    assert {n.name for n in mixed} == set(graph.by_name)


def test_a_loop_without_delay_is_refused() -> None:
    loop = (X, Node("a", Scale(np.ones(3)), ("x", "b")), Node("b", Scale(np.ones(3)), ("a",)))
    with pytest.raises(GraphError, match="loop of connections"):
        in_order(loop)


def test_a_chain_of_thousands_is_ordered_without_recursion() -> None:
    chain = [X, *(Node(f"s{i}", Scale(np.ones(3)), (f"s{i - 1}" if i else "x",)) for i in range(5000))]
    assert [n.name for n in in_order(reversed(chain))] == [n.name for n in chain]
