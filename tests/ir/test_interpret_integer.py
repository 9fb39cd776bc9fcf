"""The definition itself, against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avnir.errors import DataError
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer import Conv, Dense, Input, Lif, Output
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array, Operation, Shape
from avnir.ir.real import Output as RealOutput
from avnir.trace import Trace

M = 2**23


def graph_of(*nodes: tuple[str, Operation, str]) -> Graph:
    return verified(Graph("integer", tuple(Node(n, op, tuple(fed.split())) for n, op, fed in nodes)))


def lif(size: int = 1, u: int = 4095, v: int = 2048, threshold: int = 3, bias: int = 0, **more: Any) -> Lif:
    return neurons((size,), u, v, threshold, bias, **more)


def neurons(shape: Shape, u: int, v: int, threshold: int, bias: int = 0, **more: Any) -> Lif:
    return Lif(
        shape,
        decay_u=np.array(u, np.int32),
        decay_v=np.array(v, np.int32),
        threshold=np.array(threshold, np.int32),
        bias_mantissa=np.array(bias, np.int32),
        **more,
    )


def int8(*rows: Any) -> Array:
    return np.array(rows, np.int8)


def one_layer(connection: Dense, neuron: Lif, bits: int = 0) -> Graph:
    return graph_of(
        ("input", Input((connection.weight.shape[1],), bits), ""),
        ("synapses", connection, "input"),
        ("layer", neuron, "synapses"),
        ("output", Output(neuron.shape), "layer"),
    )


def run(graph: Graph, *steps: Any) -> Trace:
    """One sample; one entry of `steps` for each step."""
    inputs = np.array(steps).reshape(len(steps), 1, -1)
    return interpret_integer(graph, {"input": inputs}, states=True)


def v(trace: Trace) -> list[int]:
    return trace.states["layer"]["v"].ravel().tolist()


def u(trace: Trace) -> list[int]:
    return trace.states["layer"]["u"].ravel().tolist()


def spikes(trace: Trace) -> list[int]:
    return trace.spikes["layer"].ravel().tolist()


# One neuron, threshold 3 << 6 = 192, half of v kept, an input of 2 << 6 = 128 in every step.
RESETS = {
    "zero": ([128, 192, 0, 128, 192, 0], [0, 0, 1, 0, 0, 1]),
    "subtract": ([128, 192, 224 - 192, 144, 200 - 192, 132], [0, 0, 1, 0, 1, 0]),
    "none": ([128, 192, 224, 240, 248, 252], [0, 0, 1, 1, 1, 1]),
    "zero_delayed": ([128, 192, 224, 128, 192, 224], [0, 0, 1, 0, 0, 1]),
    "subtract_delayed": ([128, 192, 224, 112 + 128 - 192, 24 + 128, 76 + 128], [0, 0, 1, 0, 0, 1]),
}


@pytest.mark.parametrize("reset", RESETS)
def test_reset(reset: str) -> None:
    trace = run(one_layer(Dense(int8([2])), lif(reset=reset)), 1, 1, 1, 1, 1, 1)
    potentials, fired = RESETS[reset]
    assert v(trace) == potentials
    assert spikes(trace) == fired


def test_subtract_gives_back_what_a_silent_step_lost() -> None:
    """Threshold 64, input 256 for three steps: v stays above threshold, loses 64 once, gets it back."""
    trace = run(one_layer(Dense(int8([4])), lif(threshold=1, reset="subtract")), 1, 1, 1, 0, 0, 0)
    assert v(trace) == [256 - 64, 96 + 256 - 64, 144 + 256 - 64, 168 - 64, 52 - 64 + 64, 26]
    assert spikes(trace) == [1, 1, 1, 1, 0, 0]


def test_the_threshold_itself_does_not_spike() -> None:
    trace = run(one_layer(Dense(int8([3])), lif()), 1)
    assert (v(trace), spikes(trace)) == ([192], [0])


@pytest.mark.parametrize(("weight", "expected"), [(1, [64, 16, 4, 1, 0]), (-1, [-64, -16, -4, -1, 0])])
def test_current_decays_toward_zero(weight: int, expected: list[int]) -> None:
    """decay_u 3071 keeps 4096 - 3072 = 1024 of 4096, a quarter."""
    trace = run(one_layer(Dense(int8([weight])), lif(u=3071, v=4096)), 1, 0, 0, 0, 0)
    assert u(trace) == expected
    assert v(trace) == expected


def test_decay_extremes() -> None:
    """decay_u 0 keeps 4095 of 4096, decay_v 0 keeps everything."""
    trace = run(one_layer(Dense(int8([64])), lif(u=0, v=0, threshold=2**17 - 1)), 1, 0, 0)
    assert u(trace) == [4096, 4095, 4094]
    assert v(trace) == [4096, 8191, 12285]


def test_bias_and_its_exponent() -> None:
    trace = run(one_layer(Dense(int8([1])), lif(v=0, bias=3, bias_exponent=4)), 0, 0, 0, 0, 0)
    assert v(trace) == [48, 96, 144, 192, 0]
    assert spikes(trace) == [0, 0, 0, 0, 1]


def test_weight_exponent_shifts_the_sum() -> None:
    trace = run(one_layer(Dense(int8([3, -1]), exponent=5), lif(2 - 1, v=4096)), [1, 1], [1, 0], [0, 1])
    assert u(trace) == [(2 << 5) << 6, (3 << 5) << 6, -(1 << 5) << 6]


@pytest.mark.parametrize(
    ("rows", "weight", "expected"),
    [
        (16, 64, M),  # 16 * 64 << 13 is M, the largest current
        (9, 127, 9 * (127 << 13) - 2 * M),
        (8, -128, M),  # -M is outside
        (40, 127, 40 * (127 << 13) - 2 * M),  # only one wrap: it stays outside
    ],
)
def test_current_wraps_once(rows: int, weight: int, expected: int) -> None:
    graph = one_layer(Dense(np.full((1, rows), weight, np.int8), exponent=7), lif(v=4096))
    assert u(run(graph, [1] * rows)) == [expected]


def test_the_sum_of_current_and_input_wraps_at_32_bits() -> None:
    """(M - 1) * 127 << 6 is 8128 M - 8128; less 16 * 2^32 = 8192 M it fits 32 bits; one wrap adds 2 M."""
    graph = one_layer(Dense(int8([127])), lif(v=4096), bits=24)
    assert u(run(graph, M - 1)) == [8128 * M - 8128 - 8192 * M + 2 * M]


@pytest.mark.parametrize(("sign", "limit"), [(1, M - 1), (-1, -M + 1)])
def test_potential_clips(sign: int, limit: int) -> None:
    """6 * 127 << 13 a step: within the current's range, beyond the potential's in the second step."""
    weight = np.full((1, 6), sign * 127, np.int8)
    graph = one_layer(Dense(weight, exponent=7), lif(v=0, threshold=2**17 - 1, reset="none"))
    assert v(run(graph, [1] * 6, [1] * 6)) == [sign * 6 * (127 << 13), limit]


def test_convolution_sums_wrap_at_24_bits() -> None:
    graph = graph_of(
        ("input", Input((1, 1, 1), 24), ""),
        ("synapses", Conv(int8([[[1]]]), exponent=1), "input"),
        ("layer", neurons((1, 1, 1), 4095, 4096, 0), "synapses"),
        ("output", Output((1, 1, 1)), "layer"),
    )
    messages = np.array([M - 1, M // 2, -M // 2]).reshape(3, 1, 1, 1, 1)
    trace = interpret_integer(graph, {"input": messages}, states=True)
    assert u(trace) == [-2 << 6, (-M << 6) + 2 * M, (-M << 6) + 2 * M]


def test_a_kernel_is_not_flipped() -> None:
    """One spike at (1, 1): output (y, x) sees it through weight (1 - y, 1 - x)."""
    graph = graph_of(
        ("input", Input((1, 3, 3)), ""),
        ("synapses", Conv(int8([[[1, 2], [3, 4]]])), "input"),
        ("layer", neurons((1, 2, 2), 4095, 4096, 99), "synapses"),
        ("output", Output((1, 2, 2)), "layer"),
    )
    frame = np.zeros((1, 1, 1, 3, 3))
    frame[..., 1, 1] = 1
    trace = interpret_integer(graph, {"input": frame}, states=True)
    assert (trace.states["layer"]["u"] >> 6).ravel().tolist() == [4, 3, 2, 1]


def chain(delay: int, bias: int) -> Graph:
    """Input, then a relay that repeats its spikes, then a layer that keeps its potential."""
    return graph_of(
        ("input", Input((1,)), ""),
        ("first", Dense(int8([5])), "input"),
        ("relay", lif(v=4096), "first"),
        ("second", Dense(int8([1]), delay=delay), "relay"),
        ("layer", lif(v=0, threshold=99, bias=bias), "second"),
        ("output", Output((1,)), "layer"),
    )


@pytest.mark.parametrize("delay", [0, 1, 5])
def test_latency_does_not_shift_the_trace(delay: int) -> None:
    trace = run(chain(delay, bias=0), 1, 0, 1, 1)
    assert trace.spikes["relay"].ravel().tolist() == [1, 0, 1, 1]
    assert v(trace) == [64, 64, 128, 192]


@pytest.mark.parametrize("delay", [0, 1, 5])
def test_bias_before_the_window_does_not_count(delay: int) -> None:
    assert v(run(chain(delay, bias=7), 0, 1)) == [7, 7 + 7 + 64]


def test_an_early_path_comes_early() -> None:
    """Without a delay the short path brings step t + 1 together with step t of the long one."""
    graph = graph_of(
        ("input", Input((1,)), ""),
        ("first", Dense(int8([5])), "input"),
        ("relay", lif(v=4096), "first"),
        ("second", Dense(int8([1])), "relay"),
        ("skip", Dense(int8([10])), "input"),
        ("layer", lif(v=4096, threshold=99), "second skip"),
        ("output", Output((1,)), "layer"),
    )
    assert [x >> 6 for x in u(run(graph, 1, 0, 1, 0))] == [1, 10, 1, 0]


def test_connections_add_up() -> None:
    graph = graph_of(
        ("left", Input((1,)), ""),
        ("right", Input((1,)), ""),
        ("a", Dense(int8([2])), "left"),
        ("b", Dense(int8([7])), "right"),
        ("both", Dense(int8([20])), "left right"),
        ("layer", lif(v=4096, threshold=99), "a b both"),
        ("output", Output((1,)), "layer"),
    )
    inputs = {
        "left": np.array([0, 0, 1, 1]).reshape(4, 1, 1),
        "right": np.array([0, 1, 0, 1]).reshape(4, 1, 1),
    }
    trace = interpret_integer(graph, inputs, states=True)
    assert [x >> 6 for x in u(trace)] == [0, 27, 22, 49]


def test_samples_do_not_touch() -> None:
    graph = one_layer(Dense(int8([2])), lif())
    batch = np.array([[1, 0], [1, 1], [1, 0], [0, 1]]).reshape(4, 2, 1)
    together = interpret_integer(graph, {"input": batch}, states=True)
    for sample in (0, 1):
        alone = run(graph, *batch[:, sample, 0])
        np.testing.assert_array_equal(together.states["layer"]["v"][:, sample, 0], v(alone))


def test_a_trace_has_states_only_when_asked() -> None:
    graph = one_layer(Dense(int8([2])), lif())
    trace = interpret_integer(graph, {"input": np.ones((3, 2, 1))})
    assert trace.states == {}
    assert trace.spikes["layer"].shape == trace.outputs["output"].shape == (3, 2, 1)
    assert trace.spikes["layer"].dtype == trace.outputs["output"].dtype == np.uint8


def test_a_graph_of_another_level_is_refused() -> None:
    graph = Graph("real", (Node("output", RealOutput((1,))),))
    with pytest.raises(DataError, match="real level"):
        interpret_integer(graph, {})
