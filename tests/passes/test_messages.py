"""Layers that send numbers: spiking attention and normalisation, exact in integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avnir import target
from avnir.backend import find
from avnir.compile import Compiled, compile_graph
from avnir.errors import UnsupportedError
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array
from avnir.ir.presentations import presentations
from avnir.ir.real import Input, Lif, Linear, Output, Scale, Threshold
from avnir.ir.real_graded import InverseRoot, Product, WindowSum
from avnir.ir.real_sparse import Sparse

LOIHI2 = target.load("loihi2")
TOKENS, WIDTH, STEPS = 5, 3, 6
VALUES = TOKENS * WIDTH
PLACES = np.arange(VALUES).reshape(TOKENS, WIDTH)
PAIRS = np.arange(TOKENS * WIDTH * WIDTH).reshape(TOKENS, WIDTH, WIDTH)


def lif(threshold: float = 1.0) -> Lif:
    return Lif(np.array(0.5), np.array(threshold), np.array(1.0))


def repeated(places: Array) -> Sparse:
    """Values of [TOKENS, WIDTH] to the pairs [TOKENS, WIDTH, WIDTH]."""
    return Sparse.moved(VALUES, np.broadcast_to(places, PAIRS.shape))


def summed(targets: Array, size: int, weight: float = 1.0) -> Sparse:
    """Sums over pairs, each into its target."""
    flat = np.broadcast_to(targets, PAIRS.shape).reshape(-1)
    return Sparse.of((size, PAIRS.size), PAIRS.reshape(-1), flat, np.full(PAIRS.size, weight))


def attention(over: str) -> Graph:
    """q (k' v) of spikes without softmax: k' v is summed over the tokens, the window, or the steps so far."""
    rng = np.random.default_rng(5)
    nodes = [Node("x", Input((8,)))]
    for name in "qkv":
        # Weights and thresholds on a lattice: nothing but the attention could part integers and floats.
        nodes.append(Node(f"{name}_w", Linear(rng.integers(-64, 65, (VALUES, 8)) / 64.0), ("x",)))
        nodes.append(Node(name, lif(), (f"{name}_w",)))
    q, k, v = PLACES[:, :, None], PLACES[:, :, None], PLACES[:, None, :]
    nodes += [
        Node("k_pairs", repeated(k), ("k",)),
        Node("v_pairs", repeated(v), ("v",)),
        Node("q_pairs", repeated(q), ("q",)),
        Node("both", Threshold(np.array(1.5)), ("k_pairs", "v_pairs")),
    ]
    if over == "tokens":
        inner = np.arange(WIDTH * WIDTH).reshape(1, WIDTH, WIDTH)
        nodes.append(Node("sum", summed(inner, WIDTH * WIDTH, 1 / TOKENS), ("both",)))
        nodes.append(Node("all", Sparse.moved(WIDTH * WIDTH, np.broadcast_to(inner, PAIRS.shape)), ("sum",)))
    else:
        nodes.append(Node("all", WindowSum(steps=STEPS, running=over == "past"), ("both",)))
    nodes += [
        Node("product", Product(), ("q_pairs", "all")),
        Node("reduced", summed(PLACES[:, None, :], VALUES, 0.25), ("product",)),
        Node("attended", lif(0.12 if over == "tokens" else 0.4), ("reduced",)),
        Node("head", Linear(rng.integers(-64, 65, (4, VALUES)) / 64.0), ("attended",)),
        Node("last", lif(), ("head",)),
        Node("out", Output((4,)), ("last",)),
    ]
    return verified(Graph("real", tuple(nodes)))


def spikes(seed: int, batch: int = 4) -> dict[str, Array]:
    return {"x": (np.random.default_rng(seed).random((STEPS, batch, 8)) < 0.5).astype(np.int64)}


@pytest.mark.parametrize(("over", "shown"), [("tokens", 1), ("window", 2), ("past", 1)])
def test_attention_is_exact_in_integers(over: str, shown: int) -> None:
    graph = attention(over)
    program = compile_graph(graph, LOIHI2).program
    assert presentations(graph) == presentations(program.graph) == shown
    real = interpret_real(graph, spikes(1, batch=32))
    chip = interpret_integer(program.graph, spikes(1, batch=32))
    np.testing.assert_array_equal(real.spikes["both"], chip.spikes["both"])
    np.testing.assert_array_equal(real.spikes["attended"], chip.spikes["attended"])
    assert 0 < real.spikes["attended"].mean() < 1
    assert program.graph["attended"].inputs == ("product__attended",)
    assert program.graph["product__attended"].op.kind == "Sparse"


@pytest.mark.parametrize("over", ["tokens", "window", "past"])
def test_the_engine_gives_every_message(over: str) -> None:
    program = compile_graph(attention(over), LOIHI2).program
    chip = interpret_integer(program.graph, spikes(2))
    with find("cpu").session(program) as session:
        run = session.run(spikes(2))
    for layer, sent in chip.spikes.items():
        np.testing.assert_array_equal(run.spikes[layer], sent, err_msg=layer)


def test_a_mean_keeps_its_factor_as_the_unit_of_its_messages() -> None:
    compiled = compile_graph(attention("tokens"), LOIHI2)
    weights = compiled.program.graph["both__product"].op.weight  # type: ignore[attr-defined]
    np.testing.assert_array_equal(weights, 1)
    assert note(compiled, "product") == "its weights are whole multiples of 1, 0.2, exact"


def test_weights_that_share_no_unit_are_rounded_and_told() -> None:
    weight = np.array([[1.0, np.pi], [0.3, 0.1]])
    compiled = compile_graph(product_of(weight), LOIHI2)
    made = compiled.program.graph["x__product"].op.weight  # type: ignore[attr-defined]
    np.testing.assert_array_equal(made, np.rint(weight * 127 / np.pi).astype(np.int8))
    assert note(compiled, "product").startswith("its weights are rounded by up to 0.4")


def test_a_constant_of_a_port_arrives_by_a_neuron_that_spikes_in_every_step() -> None:
    graph = product_of(np.eye(2), np.array([3.0, 5.0]))
    program = compile_graph(graph, LOIHI2).program
    inputs = {"x": np.array([[[1, 0]], [[1, 1]]])}
    real, chip = interpret_real(graph, inputs), interpret_integer(program.graph, inputs)
    np.testing.assert_array_equal(real.outputs["out"], chip.outputs["out"])


def product_of(weight: Array, bias: Array | None = None) -> Graph:
    """(W x + b) times x."""
    nodes = (
        Node("x", Input((2,))),
        Node("w", Linear(weight, bias), ("x",)),
        Node("product", Product(), ("w", "x")),
        Node("out", Output((2,)), ("product",)),
    )
    return verified(Graph("real", nodes))


def test_a_vector_divided_by_its_length() -> None:
    """s / sqrt(number of spikes), within the 0.8 % of the integer root."""
    graph = verified(
        Graph(
            "real",
            (
                Node("x", Input((16,))),
                Node("count", Linear(np.ones((1, 16))), ("x",)),
                Node("root", InverseRoot(), ("count",)),
                Node("each", Sparse.moved(1, np.zeros(16, np.int64)), ("root",)),
                Node("unit", Product(), ("x", "each")),
                Node("scaled", Scale(np.array(3.0)), ("unit",)),
                Node("lif", lif(1.4), ("scaled",)),
                Node("out", Output((16,)), ("lif",)),
            ),
        )
    )
    compiled = compile_graph(graph, LOIHI2)
    x = {"x": (np.random.default_rng(0).random((8, 64, 16)) < 0.4).astype(np.int64)}
    real, chip = interpret_real(graph, x), interpret_integer(compiled.program.graph, x)
    assert np.mean(real.spikes["lif"] == chip.spikes["lif"]) > 0.99
    messages = chip.spikes["unit"] / 2.0**8
    expected = x["x"] / np.sqrt(np.maximum(x["x"].sum(axis=-1, keepdims=True), 1))
    np.testing.assert_allclose(messages, expected, rtol=8e-3, atol=2.0**-8)


def note(compiled: Compiled, layer: str) -> str:
    """The first that quantisation tells of a layer."""
    return next(n.text for n in compiled.notes if n.node == layer and n.pass_name == "quantise")


maps = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(maps)
def test_sparse_maps_compose_with_all_that_is_linear(seed: int) -> None:
    """A chain of random linear operations as one synapse gives what the chain gives."""
    from avnir.ir.real import Conv2d, Flatten, SumPool2d
    from avnir.passes.synapse_algebra import Synapse, after

    rng = np.random.default_rng(seed)
    shape: tuple[int, ...] = (2, 4, 4)
    x = rng.integers(-3, 4, (2, *shape)).astype(np.float64)
    source, value = shape, x
    synapse: Synapse | None = None
    for choice in rng.permutation(["move", "conv", "pool", "scale", "sum", "dense"])[: rng.integers(1, 6)]:
        size = int(np.prod(shape))
        pictures = len(shape) == 3
        if choice == "conv" and pictures:
            op = Conv2d(rng.integers(-2, 3, (3, shape[0], 3, 3)).astype(np.float64), None, padding=(1, 1))
        elif choice == "pool" and pictures and min(shape[1:]) > 1:
            op = SumPool2d()
        elif choice == "scale":
            op = Scale(rng.integers(1, 4, shape).astype(np.float64))
        elif choice == "dense" and not pictures:
            op = Linear(rng.integers(-2, 3, (5, size)).astype(np.float64))
        else:
            target_size = 6 if choice == "sum" else size
            count = 3 * size
            flat = Sparse.of(
                (target_size, size),
                rng.integers(0, size, count),
                rng.integers(0, target_size, count),
                rng.integers(-2, 3, count).astype(np.float64),
            )
            if pictures:
                synapse = after(Flatten((size,)), synapse, source, shape)
                value = value.reshape(len(value), -1)
                shape = (size,)
            op = flat
        synapse = after(op, synapse, source, shape)
        value = op.step(value, {})
        shape = value.shape[1:]
    assert synapse is not None
    entered = x if synapse.kind == "Conv2d" else x.reshape(len(x), -1)
    np.testing.assert_array_equal(synapse.step(entered, {}).reshape(value.shape), value)


def test_a_guard_that_changes_the_root_is_refused() -> None:
    def graph(epsilon: float) -> Graph:
        nodes = (
            Node("x", Input((4,))),
            Node("count", Linear(np.ones((1, 4))), ("x",)),
            Node("root", InverseRoot(epsilon), ("count",)),
            Node("each", Sparse.moved(1, np.zeros(4, np.int64)), ("root",)),
            Node("unit", Product(), ("x", "each")),
            Node("out", Output((4,)), ("unit",)),
        )
        return verified(Graph("real", nodes))

    compile_graph(graph(1e-3), LOIHI2)
    with pytest.raises(
        UnsupportedError, match=r"its guard 0\.5 changes the root of the smallest sum, 1, by 22"
    ):
        compile_graph(graph(0.5), LOIHI2)


def test_products_that_could_wrap_are_refused() -> None:
    """Two sums of 2^16 spikes each, of which every one may spike."""
    weight = np.ones((1, 1 << 16))
    nodes = (
        Node("x", Input((1 << 16,))),
        Node("first", Linear(weight), ("x",)),
        Node("second", Linear(weight), ("x",)),
        Node("product", Product(), ("first", "second")),
        Node("out", Output((1,)), ("product",)),
    )
    with pytest.raises(UnsupportedError, match="its products can reach 4294967296, beyond the 32 bits"):
        compile_graph(verified(Graph("real", nodes)), LOIHI2)
