"""What Lava would compute otherwise is refused before it starts."""

from __future__ import annotations

import numpy as np
import pytest

from avnir.errors import UnsupportedError
from avnir.hardware.lava.limits import check
from avnir.ir import integer
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer_graded import Product, Relay
from avnir.ir.message_bounds import largest_values
from tests.hardware.lava.lava_networks import chain, neurons


def graph_with(connection: integer.Connection, bits: int, shape: tuple[int, ...]) -> Graph:
    rng = np.random.default_rng(0)
    return chain(connection, neurons(rng, connection.output_shape(shape)), bits, shape)


@pytest.mark.parametrize(("inputs", "fits"), [(1, True), (2, True), (3, False)])
def test_dense_sums(inputs: int, fits: bool):
    """127 * 2^22 * 2 is below 2^30, thrice that is not."""
    graph = graph_with(integer.Dense(np.full((1, inputs), 127, np.int8)), 23, (inputs,))
    if fits:
        check(graph, "lava")
    else:
        with pytest.raises(
            UnsupportedError, match=r"synapses: its sum can reach 1598029824, .* below 1073741824"
        ):
            check(graph, "lava")


def test_dense_sums_behind_an_exponent_need_no_limit():
    check(graph_with(integer.Dense(np.full((1, 9), 127, np.int8), exponent=1), 24, (9,)), "lava")


@pytest.mark.parametrize(("exponent", "fits"), [(0, True), (1, False)])
def test_convolution_sums(exponent: int, fits: bool):
    conv = integer.Conv(np.full((1, 3, 1, 1), 127, np.int8), exponent)
    graph = graph_with(conv, 23, (3, 2, 2))
    if fits:
        check(graph, "lava")
    else:
        with pytest.raises(UnsupportedError, match="below 2147483648"):
            check(graph, "lava")


@pytest.mark.parametrize("channels", [127, 128])
def test_groups_that_do_not_fit_in_a_byte(channels: int):
    conv = integer.Conv(np.ones((channels, 1, 1, 1), np.int8), groups=channels)
    graph = graph_with(conv, 0, (channels, 1, 1))
    if channels == 127:
        check(graph, "lava")
    else:
        with pytest.raises(UnsupportedError, match=r"groups is 128, but Lava's Conv holds up to 127"):
            check(graph, "lava")


@pytest.mark.parametrize(("exponent", "fits"), [(2, False), (3, True)])
def test_what_a_product_can_send(exponent: int, fits: bool):
    """Sums of 127 * 2^7 below 2^14: their product, below 2^28, weighs 127 in what comes next."""
    weight, one = np.full((1, 1), 127, np.int8), Node("x", integer.Input((1,), 8))
    nodes = (
        one,
        Node("a", integer.Dense(weight), ("x",)),
        Node("b", integer.Dense(weight), ("x",)),
        Node("product", Product((1,), exponent), ("a", "b")),
        Node("next", integer.Dense(np.full((1, 1), 32, np.int8)), ("product",)),
        Node("relay", Relay((1,)), ("next",)),
        Node("y", integer.Output((1,)), ("relay",)),
    )
    graph = verified(Graph("integer", nodes))
    assert largest_values(graph)["product"] == -(-((127 * 128) ** 2) >> exponent)
    if fits:
        check(graph, "lava")
    else:
        with pytest.raises(UnsupportedError, match="next: its sum can reach 2114060288, but"):
            check(graph, "lava")


def test_messages_that_grow_in_a_loop_have_no_bound():
    back, forth = integer.Dense(np.ones((1, 1), np.int8), lag=1), integer.Dense(np.ones((1, 1), np.int8))
    nodes = (
        Node("x", integer.Input((1,), 2)),
        Node("forth", forth, ("x",)),
        Node("back", back, ("relay",)),
        Node("relay", Relay((1,)), ("forth", "back")),
        Node("y", integer.Output((1,)), ("relay",)),
    )
    with pytest.raises(UnsupportedError, match="back: its sum can reach 2147483648"):
        check(verified(Graph("integer", nodes)), "lava")


def test_all_findings_at_once():
    conv = integer.Conv(np.full((128, 1, 1, 1), 127, np.int8), exponent=7, groups=128)
    with pytest.raises(UnsupportedError) as error:
        check(graph_with(conv, 24, (128, 1, 1)), "lava")
    assert [finding.problem.split()[0] for finding in error.value.findings] == ["its", "groups"]
