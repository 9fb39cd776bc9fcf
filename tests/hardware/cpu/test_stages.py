"""Each kernel against the step of its operation, at the edges of its ranges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avnir.hardware.cpu import dense as cpu_dense
from avnir.hardware.cpu.compiled import compiled
from avnir.hardware.cpu.conv import ConvStage
from avnir.hardware.cpu.conv_layout import reached, stretches
from avnir.hardware.cpu.delta import DeltaStage
from avnir.hardware.cpu.dense import DenseStage
from avnir.hardware.cpu.density import density, exact_in_float
from avnir.hardware.cpu.graded import ProductStage, RelayStage
from avnir.hardware.cpu.kernels_dense import CHUNK
from avnir.hardware.cpu.kernels_lif import LANES
from avnir.hardware.cpu.lif import LifStage
from avnir.hardware.cpu.sent import Sent
from avnir.hardware.cpu.sparse import SparseStage
from avnir.hardware.cpu.window import WindowStage
from avnir.ir.integer import Conv, Dense, Lif
from avnir.ir.integer_delta import Delta, SigmaDelta
from avnir.ir.integer_graded import Product, Readout, Relay
from avnir.ir.integer_sparse import Sparse
from avnir.ir.integer_window import WindowSum
from avnir.ir.operation import Array
from avnir.ir.real import RESETS
from avnir.numerics import fixed

M = fixed.STATE_LIMIT


def sent(array: Array, samples: int | None = None) -> Sent:
    """A block of one step, or of as many as there are for so many samples; spikes are uint8."""
    batch = samples or len(array)
    steps = len(array) // batch
    whole = slice(0, steps), slice(0, batch)
    return Sent.of_input(array.reshape(steps, batch, -1), *whole, array.dtype == np.uint8)


def filled(stage: Any, *arriving: Array, samples: int) -> Array:
    """What a stage sends that writes it where it belongs: after another step, and between other samples."""
    count, size = arriving[0].shape
    room = np.full((1 + count // samples, samples + 2, size), -7, np.int32)
    stage(*arriving, Sent.within(room, slice(1, len(room)), slice(1, 1 + samples), size))
    given = room[1:, 1:-1].copy()
    room[1:, 1:-1] = -7
    assert np.all(room == -7)
    return given


def modulo32(values: Array) -> Array:
    return fixed.wrap32(values).astype(np.int32)


@pytest.mark.parametrize("inputs", [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
@pytest.mark.parametrize("weight", [-128, 127])
def test_a_row_of_all_active_inputs_is_exact(inputs: int, weight: int) -> None:
    op = Dense(np.full((5, inputs), weight, np.int8), exponent=7)
    x = np.ones((2, inputs), np.uint8)
    wanted = np.full((2, 5), inputs * weight << 7)
    np.testing.assert_array_equal(DenseStage.plan(op, (inputs,))(sent(x)), wanted)


def test_messages_are_exact_modulo_32_bits() -> None:
    rng = np.random.default_rng(0)
    op = Dense(rng.integers(-128, 127, (7, 30), np.int8), exponent=7)
    x = rng.integers(-(2**31), 2**31, (4, 30)).astype(np.int32)
    wanted = modulo32(op.step(x.astype(np.int64), {}))
    np.testing.assert_array_equal(DenseStage.plan(op, (30,))(sent(x)), wanted)


def test_float_products_are_used_only_where_exact() -> None:
    peak = np.array([[0, 2**17 - 1], [-(2**17), 5]], np.int32)
    assert exact_in_float(peak, 127)
    assert not exact_in_float(peak, 128)
    assert exact_in_float(np.ones((2, 2), np.uint8), 2**24 - 1)


def test_an_inexact_float_product_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """2^24 + 1 is no float32: with the sum 128 * (2^17) + 1 the product would lose the 1."""
    monkeypatch.setattr(cpu_dense, "DENSE_FROM", 0.0)
    op = Dense(np.array([[-128, 1]], np.int8))
    x = np.array([[-(2**17), 1]], np.int32)
    assert DenseStage.plan(op, (2,))(sent(x)).tolist() == [[2**24 + 1]]


def test_density_counts_what_is_not_zero() -> None:
    assert density(np.array([[0, -3, 1, 0], [0, 0, 0, 0]], np.int32)) == 0.25


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
@pytest.mark.parametrize(
    "geometry",
    [
        {},
        {"padding": (2, 1)},
        {"stride": (2, 3), "padding": (1, 2)},
        {"dilation": (2, 1), "groups": 2},
        {"stride": (3, 1), "padding": (3, 3), "dilation": (2, 3), "groups": 4},
    ],
)
def test_convolution(dtype: type, geometry: dict[str, Any]) -> None:
    rng = np.random.default_rng(1)
    groups = geometry.get("groups", 1)
    op = Conv(rng.integers(-128, 127, (8, 4 // groups, 3, 2), np.int8), exponent=3, **geometry)
    high = 2 if dtype == np.uint8 else 2**20
    x: Array = rng.integers(0, high, (3, 4, 8, 7)).astype(dtype)
    wanted = op.step(x.astype(np.int64), {}).reshape(3, -1)
    np.testing.assert_array_equal(ConvStage.plan(op, (4, 8, 7))(sent(x.reshape(3, -1))), wanted)


def test_reached_positions_by_hand() -> None:
    """Four inputs, kernel 2, stride 2, padding 1: output o sees inputs 2 o - 1 and 2 o."""
    assert reached(4, 2, 2, 1, 1, 3).tolist() == [[-1, 0], [1, -1], [-1, 1], [2, -1]]


def test_stretches_by_hand() -> None:
    columns = np.array([[-1, 0, 1], [5, 4, 3], [6, 5, 4], [2, -1, 4], [-1, -1, -1]], np.int32)
    first, patterns, kinds = stretches(columns)
    assert first.tolist() == [0, 3, 4, 2, -1]
    assert patterns[kinds].tolist() == [[1, 2, -1], [2, 1, 0], [2, 1, 0], [0, -1, 2], [-1, -1, -1]]
    assert len(patterns) == 4


def values(*numbers: int) -> Array:
    return np.array(numbers, np.int32)


@pytest.mark.parametrize("decay_u", [4095, 0])
@pytest.mark.parametrize("reset", RESETS)
def test_neurons_at_the_edges(reset: str, decay_u: int) -> None:
    """Every input and state near an edge of its register, in neurons that do not fill their last group."""
    edges = values(0, 1, -1, 63, M - 1, M, M + 1, -M + 1, -M, 2**17, -(2**17), 2**31 - 1, -(2**31))
    rng = np.random.default_rng(2)
    size = 12 * LANES + 5
    op = Lif(
        (size,),
        decay_u=np.where(rng.random(size) < 0.5, decay_u, 4095).astype(np.int32),
        decay_v=rng.choice(values(0, 1, 2048, 4095, 4096), size),
        threshold=rng.choice(values(0, 1, 2**16, 2**17 - 1), size),
        bias_mantissa=rng.choice(values(0, -4096, 4095), size),
        bias_exponent=7,
        reset=reset,
    )
    steps, batch = 6, 3
    current = rng.choice(edges, (steps * batch, size))
    layer = LifStage.plan(op, (size,)).registers(batch)
    room = sent(np.zeros((steps * batch, size), np.uint8), batch)
    layer(current, room)
    got = room.array.reshape(steps, batch, size)
    state: dict[str, Array] = {}
    for step, arriving in enumerate(current.reshape(steps, batch, size)):
        np.testing.assert_array_equal(got[step], op.step(arriving.astype(np.int64), state))
    np.testing.assert_array_equal(layer.register("u"), state["u"])
    np.testing.assert_array_equal(layer.register("v"), state["v"])
    assert np.abs(layer.v.astype(np.int64)).max() == M - 1


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_listed_synapses(dtype: type) -> None:
    rng = np.random.default_rng(3)
    matrix = np.where(rng.random((9, 30)) < 0.3, rng.integers(-128, 127, (9, 30), np.int8), 0)
    matrix[:, ::5] = 0
    op = Sparse.of(matrix.astype(np.int8), exponent=7)
    high = 2 if dtype == np.uint8 else 2**31
    x: Array = rng.integers(1 - high, high, (4, 30)).astype(dtype) & (1 if dtype == np.uint8 else -1)
    wanted = modulo32(op.step(x.astype(np.int64), {}))
    np.testing.assert_array_equal(SparseStage.plan(op, (30,))(sent(x)), wanted)


EDGES = values(0, 1, -1, M - 1, M, -M, 2**16, -(2**16), 2**31 - 1, -(2**31) + 1, -(2**31))


@pytest.mark.parametrize("threshold", [0, 1, 2**16, M - 1])
@pytest.mark.parametrize("positive", [False, True])
def test_relays_at_the_edges(threshold: int, positive: bool) -> None:
    op = Relay(EDGES.shape, threshold, positive)
    wanted = op.step(EDGES.astype(np.int64)[None], {})
    got = filled(RelayStage.plan(op, EDGES.shape), EDGES[None], samples=1)
    np.testing.assert_array_equal(got[0], wanted)


@pytest.mark.parametrize("threshold", [0, 2**16, M - 1])
@pytest.mark.parametrize("exponent", [0, 7, 31])
def test_products_at_the_edges(threshold: int, exponent: int) -> None:
    first, second = (array.reshape(1, -1) for array in np.meshgrid(EDGES, EDGES))
    op = Product((first.size,), exponent, threshold)
    wanted = op.step(np.stack([first, second]).astype(np.int64), {})
    got = filled(ProductStage.plan(op, (first.size,)), first, second, samples=1)
    np.testing.assert_array_equal(got[0], wanted)


@pytest.mark.parametrize("cumulative", [False, True])
@pytest.mark.parametrize("exponents", [(0, 0), (7, 2), (0, 7)])
@pytest.mark.parametrize("kind", ["Delta", "SigmaDelta", "rectified"])
def test_changes_at_the_edges(kind: str, exponents: tuple[int, int], cumulative: bool) -> None:
    rng = np.random.default_rng(5)
    size, steps, batch = 60, 8, 3
    encoding = (500, cumulative, *exponents)
    op = Delta((size,), *encoding)
    if kind != "Delta":
        op = SigmaDelta((size,), *encoding, rng.choice(values(0, 60, -64), size), kind == "rectified")
    plan = DeltaStage.plan if kind == "Delta" else DeltaStage.plan_sigma
    layer = plan(op, (size,)).registers(batch)  # type: ignore[arg-type]
    arriving = rng.choice(np.append(EDGES, values(3, -5, 400, 600, -550)), (steps * batch, size))
    got = layer(arriving).reshape(steps, batch, size)
    state: dict[str, Array] = {}
    for step, x in enumerate(arriving.reshape(steps, batch, size)):
        np.testing.assert_array_equal(got[step], op.step(x.astype(np.int64), state))
    for register in op.registers:
        np.testing.assert_array_equal(layer.register(register), state[register])


@pytest.mark.parametrize("running", [False, True])
def test_sums_over_windows_at_the_edges(running: bool) -> None:
    """Three presentations, in blocks of two steps and of one."""
    rng = np.random.default_rng(6)
    size, batch = 40, 3
    op = WindowSum((size,), 5, running)
    layer, state = WindowStage.plan(op, (size,)).registers(batch), dict[str, Array]()
    for _ in range(3):
        layer.begin()
        op.begin(state)
        for steps in (2, 1, 2):
            arriving = rng.choice(EDGES, (steps * batch, size))
            got = filled(layer, arriving, samples=batch)
            for step, x in enumerate(arriving.reshape(steps, batch, size)):
                np.testing.assert_array_equal(got[step], op.step(x.astype(np.int64), state))
            for register in op.registers:
                np.testing.assert_array_equal(layer.register(register), state[register])


@pytest.mark.parametrize("decay_u", [4095, 0])
def test_readouts_at_the_edges(decay_u: int) -> None:
    rng = np.random.default_rng(4)
    size, steps, batch = 3 * LANES + 7, 6, 2
    op = Readout((size,), values(decay_u)[0], rng.choice(values(0, 1, 4095, 4096), size), values(-4096)[0], 7)
    current = rng.choice(EDGES, (steps * batch, size))
    layer = LifStage.plan_readout(op, (size,)).registers(batch)
    got = np.zeros((steps, batch, size), np.int32)
    layer(current, sent(got.reshape(-1, size), batch))
    state: dict[str, Array] = {}
    for step, arriving in enumerate(current.reshape(steps, batch, size)):
        np.testing.assert_array_equal(got[step], op.step(arriving.astype(np.int64), state))
    np.testing.assert_array_equal(layer.register("u"), state["u"])


def test_a_kernel_is_compiled_where_nothing_can_be_cached() -> None:
    """Numba cannot tell where to keep the code of a function that has no file."""
    namespace: dict[str, Any] = {}
    exec("def double(x): return x + x", namespace)
    assert compiled(namespace["double"])(21) == 42
