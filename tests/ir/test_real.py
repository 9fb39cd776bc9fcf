"""Real operations against the plainest possible loops, and the neuron against pencil and paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avnir.errors import DataError, GraphError
from avnir.ir.geometry import correlate, correlate_adjoint
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array
from avnir.ir.real import AvgPool2d, BatchNorm, Lif, MaxPool2d, SumPool2d
from tests.networks import audio_visual, spikes

GEOMETRY = st.tuples(
    st.integers(1, 2),  # groups
    st.integers(1, 3),  # stride
    st.integers(0, 2),  # padding
    st.integers(1, 2),  # dilation
    st.integers(1, 3),  # kernel
    st.integers(5, 8),  # size
    st.integers(0, 2**32 - 1),
)


def loops(x: Array, w: Array, stride: int, padding: int, dilation: int, groups: int) -> Array:
    """Cross-correlation by its formula, one sum at a time."""
    batch, _, size, _ = x.shape
    out, per_group, kernel, _ = w.shape
    padded = np.zeros((batch, x.shape[1], size + 2 * padding, size + 2 * padding))
    padded[:, :, padding : padding + size, padding : padding + size] = x
    side = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    y = np.zeros((batch, out, side, side))
    for b, o, i, j in np.ndindex(y.shape):
        first = o // (out // groups) * per_group
        for c, p, q in np.ndindex(per_group, kernel, kernel):
            y[b, o, i, j] += (
                w[o, c, p, q] * padded[b, first + c, i * stride + p * dilation, j * stride + q * dilation]
            )
    return y


@given(GEOMETRY)
def test_correlation_is_its_formula_and_the_adjoint_its_transpose(g: tuple[int, ...]) -> None:
    groups, stride, padding, dilation, kernel, size, seed = g
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 10, (2, 2 * groups, size, size))
    w = rng.integers(-9, 10, (2 * groups, 2, kernel, kernel))
    geometry = ((stride, stride), (padding, padding), (dilation, dilation), groups)
    y = correlate(x, w, *geometry)
    np.testing.assert_array_equal(y, loops(x, w, stride, padding, dilation, groups))
    z = rng.integers(-9, 10, y.shape)
    back = correlate_adjoint(z, w, (size, size), *geometry)
    assert (z * y).sum() == (back * x).sum()


def test_pooling() -> None:
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    np.testing.assert_array_equal(SumPool2d().step(x, {}), [[[[10, 18], [42, 50]]]])
    np.testing.assert_array_equal(AvgPool2d().step(x, {}), [[[[2.5, 4.5], [10.5, 12.5]]]])
    np.testing.assert_array_equal(MaxPool2d().step(x, {}), [[[[5, 7], [13, 15]]]])
    np.testing.assert_array_equal(MaxPool2d((3, 3), (2, 2), (1, 1)).step(-x, {}), [[[[0, -1], [-4, -5]]]])
    assert AvgPool2d((3, 3), (2, 2), (1, 1)).step(x, {})[0, 0, 0, 0] == (0 + 1 + 4 + 5) / 9


def test_batch_norm_is_its_formula() -> None:
    op = BatchNorm(np.array([1.0]), np.array([4.0]), np.array([3.0]), np.array([0.5]), eps=0.0)
    np.testing.assert_array_equal(op.step(np.array([[7.0]]), {}), [[(7 - 1) / 2 * 3 + 0.5]])


@pytest.mark.parametrize(
    ("reset", "potentials", "fired"),
    [
        # beta 1/2, threshold 1, input 1.5, 1, 0.25, 2.75, 0: potential after each step, spikes
        ("zero", [0, 1, 0.75, 0, 0], [1, 0, 0, 1, 0]),
        ("none", [1.5, 1.75, 1.125, 3.3125, 1.65625], [1, 1, 1, 1, 1]),
        ("subtract", [0.5, 0.25, 0.375, 1.9375, 0.96875], [1, 1, 0, 1, 0]),
        ("zero_delayed", [1.5, 1, 0.75, 3.125, 0], [1, 0, 0, 1, 0]),
        ("subtract_delayed", [1.5, 0.75, 0.625, 3.0625, 0.53125], [1, 0, 0, 1, 0]),
    ],
)
def test_every_reset_by_hand(reset: str, potentials: list[float], fired: list[int]) -> None:
    """`subtract`, last step: 1.9375 is still above threshold, so r = 1: v' = 0.96875 - 1, s = 0,
    and the threshold taken is given back.
    """
    op = Lif(np.array(0.5), np.array(1.0), np.array(1.0), reset)
    state: dict[str, Array] = {}
    seen = [
        (int(op.step(np.array([[x]]), state)[0, 0]), float(state["v"][0, 0])) for x in (1.5, 1, 0.25, 2.75, 0)
    ]
    assert [s for s, _ in seen] == fired
    assert [v for _, v in seen] == potentials


def test_exactly_at_threshold_is_no_spike() -> None:
    op = Lif(np.array(0.5), np.array(1.0), np.array(1.0))
    assert op.step(np.array([[1.0, np.nextafter(1.0, 2.0)]]), {}).tolist() == [[0.0, 1.0]]


def test_gain_and_bias_enter_the_current() -> None:
    op = Lif(np.array(0.0), np.array(1.0), np.array([2.0, 1.0]), bias=np.array([0.5, -0.5]))
    state: dict[str, Array] = {}
    op.step(np.array([[0.1, 1.4]]), state)
    np.testing.assert_array_equal(state["v"], [[0.1 * 2 + 0.5, 1.4 - 0.5]])


def test_states_are_kept_where_asked_for() -> None:
    graph = audio_visual(0)
    trace = interpret_real(graph, spikes(graph, 0), states=True)
    assert set(trace.states) == {"lif1", "lif2", "lif3", "lif4", "fused", "lif_out"}
    assert trace.states["fused"]["v"].shape == trace.spikes["fused"].shape
    assert not interpret_real(graph, spikes(graph, 0)).states


def test_inputs_that_do_not_fit_are_named_together() -> None:
    graph = audio_visual(0)
    good = spikes(graph, 0)
    with pytest.raises(DataError) as caught:
        interpret_real(graph, {"audio": good["audio"][..., :5], "picture": good["image"]})
    for part in (
        "'image' is missing",
        "no input 'picture'",
        "'audio' has shape (20, 3, 5)",
        "audio [T, B, 12]",
    ):
        assert part in str(caught.value)
    with pytest.raises(DataError, match="different"):
        interpret_real(graph, {**good, "audio": good["audio"][:3]})
    with pytest.raises(DataError, match=r"must be spikes \(0 or 1\)"):
        interpret_real(graph, {**good, "audio": good["audio"] * 2})
    with pytest.raises(DataError, match="not finite"):
        interpret_real(graph, {**good, "audio": np.where(good["audio"] > 0, np.nan, 0.0)})
    with pytest.raises(DataError, match="must be numbers"):
        interpret_real(graph, {**good, "audio": good["audio"].astype(str)})


@pytest.mark.parametrize(
    ("reset", "potentials", "fired"),
    [
        # alpha 1/2, beta 1/2, threshold 1, input 1.5, 1, 0.25, 2.75, 0:
        # current 1.5, 1.75, 1.125, 3.3125, 1.65625 whatever the reset
        ("zero", [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]),
        ("none", [1.5, 2.5, 2.375, 4.5, 3.90625], [1, 1, 1, 1, 1]),
        ("subtract", [0.5, 1, 0.625, 2.625, 1.96875], [1, 1, 1, 1, 1]),
        ("zero_delayed", [1.5, 1.75, 1.125, 3.3125, 1.65625], [1, 1, 1, 1, 1]),
        ("subtract_delayed", [1.5, 1.5, 0.875, 3.75, 2.53125], [1, 1, 0, 1, 1]),
        ("zero_next", [1.5, 0, 1.125, 0, 1.65625], [1, 0, 1, 0, 1]),
    ],
)
def test_a_synaptic_current_by_hand(reset: str, potentials: list[float], fired: list[int]) -> None:
    """`subtract`, last step: 2.625 is above threshold, so v' = 1.3125 + 1.65625 - 1 = 1.96875, which
    spikes again: the one threshold was taken already.
    """
    op = Lif(np.array(0.5), np.array(1.0), np.array(1.0), reset, alpha=np.array(0.5))
    state: dict[str, Array] = {}
    spikes_, currents, seen = [], [], []
    for x in (1.5, 1, 0.25, 2.75, 0):
        spikes_.append(int(op.step(np.array([[x]]), state)[0, 0]))
        currents.append(float(state["i"][0, 0]))
        seen.append(float(state["v"][0, 0]))
    assert currents == [1.5, 1.75, 1.125, 3.3125, 1.65625]
    assert seen == potentials
    assert spikes_ == fired


def test_zero_next_without_a_current() -> None:
    """Input 1.5, 1.5, 0.5, 1, 4: each spike costs the step after it, input and all."""
    op = Lif(np.array(0.5), np.array(1.0), np.array(1.0), "zero_next")
    state: dict[str, Array] = {}
    seen = [
        (float(op.step(np.array([[x]]), state)[0, 0]), float(state["v"][0, 0])) for x in (1.5, 1.5, 0.5, 1, 4)
    ]
    assert seen == [(1, 1.5), (0, 0), (0, 0.5), (1, 1.25), (0, 0)]


def test_a_bias_acts_on_the_potential_and_the_gain_on_the_current() -> None:
    op = Lif(np.array(0.5), np.array(9.0), np.array(2.0), bias=np.array(0.25), alpha=np.array([0.0, 0.5]))
    state: dict[str, Array] = {}
    op.step(np.ones((1, 2)), state)
    op.step(np.zeros((1, 2)), state)
    np.testing.assert_array_equal(state["i"], [[0, 1]])
    np.testing.assert_array_equal(state["v"], [[2.25 / 2 + 0.25, 2.25 / 2 + 1 + 0.25]])


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_alpha_is_a_decay(alpha: float) -> None:
    with pytest.raises(GraphError, match=r"Lif\.alpha"):
        Lif(np.array(0.5), np.array(1.0), np.array(1.0), alpha=np.array(alpha))
