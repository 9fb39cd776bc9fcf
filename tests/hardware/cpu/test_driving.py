"""Connections and neurons that work as one, against the definition, at the edges of tiles and registers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from avnir.hardware.cpu import CpuBackend
from avnir.hardware.cpu import engine as cpu_engine
from avnir.hardware.cpu.conv import ConvStage
from avnir.hardware.cpu.kernels_lif import LIMIT
from avnir.hardware.cpu.lif import LifStage
from avnir.hardware.cpu.plans import plans_of
from avnir.hardware.cpu.sent import Sent
from avnir.ir.integer import Connection, Conv, Dense, Input, Lif, Output
from avnir.ir.integer_sparse import Sparse
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array, Shape
from avnir.ir.real import RESETS
from avnir.program import Program
from avnir.testing.cases import lif, program_of
from avnir.trace import Trace

STEPS = 19
pytestmark = pytest.mark.usefixtures("kernels")
SIZES = (1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 96, 97, 127, 128, 129, 300)


def driven(connection: Connection, shape: Shape, **neurons: Any) -> Program:
    """One connection, one layer of neurons."""
    given = connection.output_shape(shape)
    return program_of(
        ("input", Input(shape), ""),
        ("synapses", connection, "input"),
        ("layer", lif(given, **neurons), "synapses"),
        ("output", Output(given), "layer"),
    )


def spikes(*shape: int) -> Array:
    """`[T, 4, *shape]`: a sample that is silent, one with a spike, one with all, and one with some."""
    drawn = (np.random.default_rng(8).random((STEPS, 4, *shape)) < 0.1).astype(np.uint8)
    drawn[:, 0], drawn[:, 1], drawn[:, 2] = 0, 0, 1
    drawn[3, 1].flat[-1] = 1
    return drawn


def int8(*shape: int) -> Array:
    return np.random.default_rng(7).integers(-128, 127, shape, np.int8, endpoint=True)


def one_of(shape: Shape, *choices: int) -> Array:
    return np.random.default_rng(9).choice(np.array(choices, np.int32), shape).astype(np.int32)


def assert_merged_and_equal(program: Program, inputs: Array) -> None:
    assert plans_of(program.graph, cpu_engine.available()).merged == {"synapses"}
    assert_equal(program, inputs)


def assert_equal(program: Program, inputs: Array | Mapping[str, Array]) -> None:
    """In one block and by single steps, with one sample in hand and with several."""
    given = {"input": inputs} if isinstance(inputs, np.ndarray) else inputs
    wanted = interpret_integer(program.graph, given, states=True)
    for threads in (1, 4):
        with CpuBackend(threads).session(program) as session:
            _assert_same(session.run(given), wanted)
            got = session.run(given, states=True)
    _assert_same(got, wanted)
    for layer, registers in wanted.states.items():
        for register, array in registers.items():
            np.testing.assert_array_equal(got.states[layer][register], array)


def _assert_same(got: Trace, wanted: Trace) -> None:
    for name, array in wanted.spikes.items():
        np.testing.assert_array_equal(got.spikes[name], array)


@pytest.mark.parametrize("outputs", SIZES)
def test_dense_of_any_size(outputs: int) -> None:
    program = driven(Dense(int8(outputs, 40)), (40,), threshold=60, decay_v=400)
    assert_merged_and_equal(program, spikes(40))


@pytest.mark.parametrize("inputs", SIZES)
def test_dense_of_any_number_of_inputs(inputs: int) -> None:
    """Weights at an extreme: with 300 of them a sum no longer fits 16 bits."""
    for weight in (-128, 127):
        program = driven(Dense(np.full((3, inputs), weight, np.int8)), (inputs,), threshold=100)
        assert_merged_and_equal(program, spikes(inputs))


@pytest.mark.parametrize("size", [16, 21])
@pytest.mark.parametrize("reset", RESETS)
def test_dense_into_neurons_at_the_edges(reset: str, size: int) -> None:
    """Currents that wrap, potentials that clip, thresholds, decays and biases at their limits."""
    program = driven(
        Dense(int8(size, 300), exponent=7),
        (300,),
        threshold=one_of((size,), 0, 1, 2**17 - 1),
        decay_u=one_of((size,), 0, 300, 4095),
        decay_v=one_of((size,), 0, 1, 4095, 4096),
        bias=one_of((size,), 0, -4096, 4095),
        bias_exponent=7,
        reset=reset,
    )
    assert_merged_and_equal(program, spikes(300))


GEOMETRIES: tuple[dict[str, Any], ...] = (
    {},
    {"padding": (1, 1)},
    {"stride": (2, 2), "padding": (1, 1)},
    {"stride": (2, 3), "padding": (2, 1), "dilation": (1, 2)},
    {"stride": (3, 1), "padding": (3, 3), "dilation": (2, 3)},
)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("channels", [4, 12, 44])
def test_convolutions(geometry: dict[str, Any], groups: int, channels: int) -> None:
    connection = Conv(int8(channels, 4 // groups, 3, 2), **geometry, groups=groups)
    assert_merged_and_equal(driven(connection, (4, 8, 7), threshold=150, decay_v=500), spikes(4, 8, 7))


@pytest.mark.parametrize("channels", [28, 29])
@pytest.mark.parametrize("weight", [-128, 127])
def test_convolutions_whose_sums_need_more_than_16_bits(channels: int, weight: int) -> None:
    connection = Conv(np.full((3, channels, 3, 3), weight, np.int8), padding=(1, 1))
    assert (ConvStage.plan(connection, (channels, 4, 5))._sums == np.int16) == (channels == 28)
    assert_merged_and_equal(driven(connection, (channels, 4, 5), threshold=5000), spikes(channels, 4, 5))


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_convolutions_into_neurons_at_the_edges(reset: str) -> None:
    shape = (3, 6, 6)
    program = driven(
        Conv(int8(3, 2, 3, 3), exponent=5, padding=(1, 1)),
        (2, 6, 6),
        threshold=one_of(shape, 0, 1, 2**17 - 1),
        decay_u=one_of(shape, 0, 4095),
        decay_v=one_of(shape, 0, 1, 4095, 4096),
        bias=one_of(shape, 0, -4096, 4095),
        bias_exponent=7,
        reset=reset,
    )
    assert_merged_and_equal(program, spikes(2, 6, 6))


def test_convolutions_whose_sums_may_wrap_work_on_their_own() -> None:
    program = driven(
        Conv(np.full((3, 60, 3, 3), -128, np.int8), exponent=7, padding=(1, 1)), (60, 4, 4), threshold=999
    )
    assert not plans_of(program.graph, cpu_engine.available()).merged
    assert_equal(program, spikes(60, 4, 4))


def test_two_convolutions_into_one_layer_and_one_into_two(kernels: str) -> None:
    first, second, shared = (Conv(int8(3, 2, 3, 3), k, padding=(1, 1)) for k in (0, 2, 1))
    program = program_of(
        ("input", Input((2, 5, 4)), ""),
        ("first", first, "input"),
        ("second", second, "input"),
        ("shared", shared, "input"),
        ("both", lif((3, 5, 4), threshold=300, decay_v=600), "first second"),
        ("alone", lif((60,), threshold=100), "shared"),
        ("sparse", Sparse.of(int8(60, 40), 0), "input"),
        ("mixed", lif((3, 5, 4), threshold=120), "shared"),
        ("other", lif((60,), threshold=120), "sparse"),
        ("output", Output((60,)), "both"),
    )
    drivers = plans_of(program.graph, cpu_engine.available()).drivers
    found = {name: driver.connections for name, driver in drivers.items()}
    joined = {"both": ("first", "second")} if kernels == "tiles" else {}
    assert found == {"other": ("sparse",), **joined}
    assert_equal(program, spikes(2, 5, 4))


@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions_of_one_form_that_differ_in_all_else(stride: int) -> None:
    """Three inputs of different channels, whose sums grow by different powers of two."""
    channels, form = (2, 5, 9), {"stride": (stride, stride), "padding": (1, 2)}
    ops = [Conv(int8(6, c, 3, 2), exponent, **form) for c, exponent in zip(channels, (3, 0, 2), strict=True)]
    shape = ops[0].output_shape((2, 9, 8))
    program = program_of(
        *((f"input{c}", Input((c, 9, 8)), "") for c in channels),
        *((f"conv{c}", op, f"input{c}") for c, op in zip(channels, ops, strict=True)),
        ("layer", lif(shape, threshold=300, decay_v=600), " ".join(f"conv{c}" for c in channels)),
        ("output", Output(shape), "layer"),
    )
    given = {f"input{c}": spikes(c, 9, 8) for c in channels}
    assert_equal(program, given)


def test_a_convolution_of_a_large_image() -> None:
    """Places in a frame of more than 65,536 bytes take more than 16 bits."""
    program = driven(Conv(int8(4, 1, 3, 3), padding=(1, 1)), (1, 130, 131), threshold=100)
    assert_merged_and_equal(program, spikes(1, 130, 131)[:3])


def test_bounds_of_potentials_by_hand() -> None:
    """With half of v kept, |v| <= 2 (64 a + bias); a current that is not kept wraps from 2^23 on."""

    def kind(worst: int, **neurons: Any) -> tuple[bool, bool]:
        op: Lif = lif((4,), **{"decay_v": 2048, **neurons})
        return LifStage.plan(op, (4,)).kind(worst)[2:]

    half = LIMIT // 2 // 64
    assert kind(half - 1) == (False, False)
    assert kind(half) == (False, True)
    assert kind(half - 1, bias=64) == (False, True)
    assert kind(half - 1, reset="subtract") == (False, True)
    assert kind(1, decay_v=0) == (False, True)
    assert kind(LIMIT // 64 - 1) == (False, True)
    assert kind(LIMIT // 64) == (True, True)
    assert kind(1, decay_u=4000) == (True, True)


def test_potentials_up_to_the_bound_are_exact() -> None:
    """One input that drives v to the largest that is stepped without a check of its range, up and down."""
    for weight in (-128, 127):
        connection = Dense(np.full((16, 3), weight, np.int8), exponent=7)
        program = driven(connection, (3,), threshold=2**17 - 1, decay_v=2000)
        assert_merged_and_equal(program, spikes(3))


def test_real_numbers_are_rounded_as_before() -> None:
    """Kernels round toward zero inside; two thirds in float32 tell."""
    program = driven(Dense(int8(16, 40)), (40,), threshold=60)
    before = np.float32(2) / np.float32(3)
    plans, inputs = plans_of(program.graph, cpu_engine.available()), spikes(40)
    layer = plans.stages["layer"].registers(4)
    x = Sent.of_input(inputs, slice(0, STEPS), slice(0, 4), True)
    plans.stages["synapses"].drive(layer, [x], Sent.alone(np.zeros((x.count, 1), np.int64), 4, 16))
    assert np.float32(2) / np.float32(3) == before == np.float32(0.6666667)
