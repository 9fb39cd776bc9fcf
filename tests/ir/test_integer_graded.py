"""Listed synapses and layers that send messages, against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avnir.errors import GraphError, ProgramError
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer import Dense, Input, IntegerOperation, Output
from avnir.ir.integer_graded import InverseRoot, Product, Readout, Relay
from avnir.ir.integer_sparse import Sparse
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.inverse_root import inverse_root
from avnir.ir.message_bounds import largest_values
from avnir.ir.operation import Array
from avnir.ir.text import arrays_of, parse, to_text
from avnir.program import Program
from avnir.testing.cases import CASES

M = 2**23
MATRIX = np.array([[0, -3, 0], [5, 0, 7]], np.int8)


def int32(*numbers: Any) -> Array:
    return np.array(numbers, np.int32)


def sent(op: IntegerOperation, *arriving: Any) -> list[Any]:
    """What neurons make of one step; one list for each port."""
    x = np.array(arriving if len(arriving) > 1 else arriving[0], np.int64)
    made: list[Any] = op.step(x.reshape(*x.shape[:-1], 1, -1), {})[0].tolist()
    return made


def test_listed_synapses_are_those_that_are_not_zero() -> None:
    op = Sparse.of(MATRIX, exponent=2)
    assert (op.size, op.source.tolist(), op.target.tolist(), op.weight.tolist()) == (
        (2, 3),
        [0, 1, 2],
        [1, 0, 1],
        [5, -3, 7],
    )
    x = np.array([[1, 2, -10]])
    np.testing.assert_array_equal(op.step(x, {}), Dense(MATRIX, exponent=2).step(x, {}))
    assert op.step(x, {}).tolist() == [[-6 << 2, (5 - 70) << 2]]


def test_a_synapse_that_weighs_nothing_is_stored() -> None:
    op = Sparse.of(MATRIX).replace(weight=np.array([0, -3, 7], np.int8))
    assert op.fan_out((3,), nonzero=False).tolist() == [1, 1, 1]
    assert op.fan_out((3,), nonzero=True).tolist() == [0, 1, 1]
    assert op.worst_sum().tolist() == [3, 7]


def test_words_of_listed_synapses() -> None:
    """At 8 bits a list of 3 synapses takes 3 * 20 + 16 = 76 bits, two words; one of 1 takes one."""
    matrix = np.ones((3, 2), np.int8)
    assert Sparse.of(matrix).synaptic_words(8) == 4 == Dense(matrix).synaptic_words(8)
    matrix[1:, 0] = 0
    assert Sparse.of(matrix).synaptic_words(8) == 3
    assert Sparse.of(matrix[:, :1]).synaptic_words(8) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": int32(0, 1, 2)}, r"Sparse.target is values in \[0, 2\], but must be in \[0, 1\]"),
        ({"source": int32(0, -1, 2)}, r"Sparse.source is .* must be in \[0, 2\]"),
        ({"source": int32(1, 0, 2)}, "sorted, then by target, no pair twice"),
        ({"source": int32(0, 0, 2), "target": int32(1, 1, 1)}, "no pair twice"),
        ({"source": int32(0, 1)}, r"int32\[3\], one for each weight"),
        ({"source": np.arange(3)}, r"int32\[3\], one for each weight"),
        ({"size": (2, 0)}, "above 0"),
        ({"weight": np.zeros((1, 3), np.int8)}, r"\[synapses\], at least one"),
    ],
)
def test_synapses_that_are_no_list_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        Sparse.of(MATRIX).replace(**changes)


def test_no_synapse_at_all_is_refused() -> None:
    with pytest.raises(GraphError, match="at least one"):
        Sparse.of(np.zeros((2, 2), np.int8))


def test_a_relay_hands_on_what_is_above_its_threshold() -> None:
    arriving = [5, -5, 6, -6, 0, 2**31 + 7, -(2**31)]
    assert sent(Relay((7,), threshold=5), arriving) == [0, 0, 6, -6, 0, 7 - 2**31, 0]
    assert sent(Relay((7,), threshold=5, positive=True), arriving) == [0, 0, 6, 0, 0, 0, 0]


def test_a_product_rounds_down_and_wraps() -> None:
    first, second = [3, -3, 7, -7, 2**16, 2**31 + 1], [5, 5, 1, 1, 2**15, 2]
    # 15, -15, 7, -7, 2^31 = -2^31, -(2^31 - 1) * 2 = 2
    assert sent(Product((6,)), first, second) == [15, -15, 7, -7, 0, 2]
    assert sent(Product((6,), exponent=1, threshold=3), first, second) == [7, -8, 0, -4, -(2**30), 0]


@pytest.mark.parametrize(("bits", "expected"), [((0, 0), 0), ((0, 1), 0), ((1, 0), 0), ((1, 1), 1)])
def test_a_product_of_spikes_is_and(bits: tuple[int, int], expected: int) -> None:
    assert sent(Product((1,)), bits[:1], bits[1:]) == [expected]


def test_the_last_inputs_are_the_second_port() -> None:
    assert Product((1,), second=2).ports(("a", "b", "c", "d")) == (("a", "b"), ("c", "d"))


def test_inverse_roots_by_hand() -> None:
    """1 / sqrt(1) with 12 fractional bits of both is 4096 for 4096; of 4 and 16 times that, 1/2 and 1/4.

    For 1: Y = 423158, y = Y / 2; b = (Y >> 13) Y >> 13 = 2634, Y = 12288 - 2634, y = y Y >> 13; and so on.
    """
    b, y, estimate = 1, 423158 // 2, 423158
    for _ in range(5):
        b = ((b * estimate) // 8192 * estimate) // 8192
        estimate = 12288 - b
        y = y * estimate // 8192
    arriving = [1, 0, -4, 2**24 - 1, 2**24, 2**31 - 1, 2**31]
    assert sent(InverseRoot((7,)), arriving) == [y, 0, 0, 63, 63, 63, 0]
    assert y == 264045


def test_inverse_roots_are_near() -> None:
    """Within 1 of 2^18 / sqrt(x), or 3 % where the chip's steps round most."""
    x = np.arange(1, 2**24, 1001)
    wanted = 2**18 / np.sqrt(x)
    assert np.all(np.abs(inverse_root(x) - wanted) < 1 + 0.03 * wanted)


@pytest.mark.parametrize("change", [{"exponent": 32}, {"threshold": M}, {"threshold": -1}, {"second": 0}])
def test_a_product_out_of_range_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(GraphError, match=f"Product.{next(iter(change))} is"):
        Product((1,), **change)


def graph_of(layer: IntegerOperation, fed_by: tuple[str, ...] = ("synapses",)) -> Graph:
    nodes = (
        Node("input", Input((1,), 8)),
        Node("synapses", Dense(np.array([[2]], np.int8)), ("input",)),
        Node("layer", layer, fed_by),
        Node("output", Output((1,)), ("layer",)),
    )
    return verified(Graph("integer", nodes))


def readout(decay_u: int, decay_v: int, bias: int = 0) -> Readout:
    return Readout((1,), int32(decay_u), int32(decay_v), int32(bias))


def test_a_readout_sends_its_potential_of_every_step() -> None:
    """Half of v is kept, an input of 2 is 128; what is sent is lost to nothing."""
    graph = graph_of(readout(4095, 2048, bias=3))
    inputs = np.array([1, 1, 0, -1]).reshape(-1, 1, 1)
    trace = interpret_integer(graph, {"input": inputs}, states=True)
    assert trace.spikes["layer"].ravel().tolist() == [131, 65 + 131, 98 + 3, 50 + 3 - 128]
    assert trace.spikes["layer"].dtype == trace.outputs["output"].dtype == np.int32
    np.testing.assert_array_equal(trace.states["layer"]["v"], trace.spikes["layer"])


def test_a_readout_without_leak_adds_up_and_stops_at_its_limit() -> None:
    graph = graph_of(readout(0, 0))
    trace = interpret_integer(graph, {"input": np.full((400, 1, 1), 127)}, states=True)
    v = trace.spikes["layer"].ravel().tolist()
    u = trace.states["layer"]["u"].ravel().tolist()
    assert v[:2] == [127 * 128, u[0] + u[1]]
    assert v[-1] == M - 1


def test_layers_without_a_register_leave_no_states() -> None:
    trace = interpret_integer(graph_of(Relay((1,))), {"input": np.ones((2, 1, 1), int)}, states=True)
    assert trace.states == {}
    assert trace.spikes["layer"].ravel().tolist() == [2, 2]


def test_what_they_ask_of_a_chip() -> None:
    assert Relay((1,)).needs() == Product((1,)).needs() == {"message_bits": 24}
    assert InverseRoot((1,)).needs() == {"message_bits": 20}
    assert readout(0, 0).needs() == {"message_bits": 24}
    assert not any(op.native for op in (Relay((1,)), Product((1,)), readout(0, 0)))


@pytest.mark.parametrize(("bits", "fits"), [(9, False), (10, True), (32, True)])
def test_messages_wider_than_declared_are_no_program(bits: int, fits: bool) -> None:
    """8 bits through a weight of 2: 256 does not fit 9 bits."""
    graph = graph_of(Relay((1,), message_bits=bits))
    if fits:
        assert Program(graph, "any").graph["layer"].op.needs() == {"message_bits": bits}  # type: ignore[attr-defined]
    else:
        with pytest.raises(ProgramError, match="layer: its messages can reach 256, but message_bits is 9"):
            Program(graph, "any")


def test_no_message_is_larger_than_its_bound() -> None:
    for case in (build() for build in CASES.values()):
        largest = largest_values(case.program.graph)
        for name, sent in interpret_integer(case.program.graph, case.inputs).spikes.items():
            assert np.abs(sent.astype(np.int64)).max() <= largest[name]


def test_a_product_of_one_input_is_no_program() -> None:
    with pytest.raises(ProgramError, match="layer: a Product has two ports, and one of them is fed by"):
        Program(graph_of(Product((1,))), "any")


@pytest.mark.parametrize("case", CASES)
def test_text_and_files_come_back_equal(case: str, tmp_path: Any) -> None:
    program = CASES[case]().program
    assert parse(to_text(program.graph), arrays_of(program.graph)) == program.graph
    program.save(tmp_path / "program")
    assert Program.load(tmp_path / "program") == program
