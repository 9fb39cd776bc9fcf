"""Files that the `nir` package wrote, against a simulation written here in plain numpy."""

from __future__ import annotations

import itertools
from pathlib import Path

import nir
import numpy as np
import pytest

from avnir.errors import InterchangeError
from avnir.export.nir_read import read_nir
from avnir.export.nir_write import write_nir
from avnir.ir import real
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array
from avnir.passes.fold_gain import FoldGain

DT = 1e-3
RNG = np.random.default_rng(5)
KERNEL = RNG.normal(0, 1.5, (3, 2, 3, 3)).astype(np.float32)
CONV_BIAS = RNG.normal(0, 0.1, 3).astype(np.float32)
WEIGHT = RNG.normal(0, 2.0, (4, 27))
BIAS = RNG.normal(0, 0.3, 4)
TAU = RNG.uniform(2e-3, 2e-2, (3, 3, 3)).astype(np.float32)


def lif(shape: tuple[int, ...], tau: Array, r: float = 1.0, threshold: float = 0.3) -> nir.LIF:
    zeros = np.zeros(shape, np.float32)
    return nir.LIF(
        tau=tau,
        r=np.full(shape, r, np.float32),
        v_leak=zeros,
        v_threshold=np.full(shape, threshold),
        v_reset=zeros,
    )


def network(r: float = 1.0) -> nir.NIRGraph:
    nodes = {
        "input": nir.Input(np.array([2, 5, 5])),
        "conv": nir.Conv2d((5, 5), KERNEL, 2, 1, 1, 1, CONV_BIAS),
        "first": lif((3, 3, 3), TAU, r),
        "flatten": nir.Flatten(np.array([3, 3, 3]), 0, -1),
        "affine": nir.Affine(WEIGHT, BIAS),
        "second": nir.IF(np.full(4, 40.0 * r), np.full(4, 0.9)),
        "output": nir.Output(np.array([4])),
    }
    names = list(nodes)
    return nir.NIRGraph(nodes, list(itertools.pairwise(names)))


def simulate(x: Array, r: float) -> tuple[Array, Array]:
    """Forward Euler steps of NIR's equations over `x` `[T, 2, 5, 5]`; a direct convolution in loops."""
    v1, v2 = np.zeros((3, 3, 3)), np.zeros(4)
    first, second = [], []
    for frame in x:
        padded = np.pad(frame, ((0, 0), (1, 1), (1, 1)))
        current = np.zeros((3, 3, 3))
        for c, i, j in np.ndindex(3, 3, 3):
            current[c, i, j] = (
                padded[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] * KERNEL[c]
            ).sum() + CONV_BIAS[c]
        v1 = v1 + DT / TAU.astype(np.float64) * (0 - v1 + r * current)
        s1 = v1 > 0.3
        v1 = np.where(s1, 0, v1)
        v2 = v2 + DT * 40.0 * r * (WEIGHT @ s1.reshape(-1) + BIAS)
        s2 = v2 > 0.9
        v2 = np.where(s2, 0, v2)
        first.append(s1)
        second.append(s2)
    return np.array(first), np.array(second)


@pytest.mark.parametrize("r", [1.0, 2.5])
def test_spikes_are_those_of_nirs_equations(r: float, tmp_path: Path) -> None:
    nir.write(tmp_path / "g.nir", network(r))
    graph = read_nir(tmp_path / "g.nir", dt=DT)
    assert [node.name for node in graph] == [
        "input",
        "conv",
        "first",
        "flatten",
        "affine",
        "second",
        "output",
    ]
    x = (np.random.default_rng(1).random((200, 1, 2, 5, 5)) < 0.5).astype(float)
    trace = interpret_real(graph, {"input": x})
    first, second = simulate(x[:, 0], r)
    assert first.any()
    assert second.any()
    np.testing.assert_array_equal(trace.spikes["first"][:, 0], first)
    np.testing.assert_array_equal(trace.spikes["second"][:, 0], second)


def test_foreign_file_can_be_folded_written_and_read_again(tmp_path: Path) -> None:
    nir.write(tmp_path / "g.nir", network(2.5))
    folded, _ = FoldGain()(read_nir(tmp_path / "g.nir", dt=DT))
    write_nir(folded, tmp_path / "h.nir")
    assert read_nir(tmp_path / "h.nir") == folded


def test_r_of_one_is_canonical_as_read(tmp_path: Path) -> None:
    graph = nir.NIRGraph.from_list(
        nir.Input(np.array([3])), lif((3,), np.full(3, 7e-3)), nir.Output(np.array([3]))
    )
    nir.write(tmp_path / "g.nir", graph)
    read = read_nir(tmp_path / "g.nir", dt=DT)
    assert FoldGain()(read) == (read, [])


def test_tau_beyond_float64_keeps_its_gain(tmp_path: Path) -> None:
    """dt/tau below 2^-53 leaves beta at 1, but the input still counts with dt/tau, not with dt."""
    graph = nir.NIRGraph.from_list(
        nir.Input(np.array([3])), lif((3,), np.full(3, 1e15)), nir.Output(np.array([3]))
    )
    nir.write(tmp_path / "g.nir", graph)
    op = read_nir(tmp_path / "g.nir", dt=DT)["lif"].op
    assert isinstance(op, real.Lif)
    assert op.beta == 1
    assert op.gain == DT / 1e15


@pytest.mark.parametrize(
    ("padding", "stride", "wanted"), [("same", 1, (2, 2)), ("valid", 1, (0, 0)), ("same", 2, None)]
)
def test_padding_in_words(padding: str, stride: int, wanted: tuple[int, int] | None, tmp_path: Path) -> None:
    size = 5 if padding == "same" else 1
    conv = nir.Conv2d((5, 5), KERNEL, stride, padding, 2, 1, CONV_BIAS)
    nodes = {
        "input": nir.Input(np.array([2, 5, 5])),
        "conv": conv,
        "output": nir.Output(np.array([3, size, size])),
    }
    nir.write(
        tmp_path / "g.nir", nir.NIRGraph(nodes, [("input", "conv"), ("conv", "output")], type_check=False)
    )
    if wanted is None:
        with pytest.raises(InterchangeError, match="conv: padding is 'same' with stride"):
            read_nir(tmp_path / "g.nir", dt=DT)
    else:
        assert read_nir(tmp_path / "g.nir", dt=DT)["conv"].op.padding == wanted  # type: ignore[attr-defined]


def test_types_outside_the_dialect_are_all_named(tmp_path: Path) -> None:
    one = np.ones(3)
    inner = nir.NIRGraph.from_list(nir.Input(np.array([3])), nir.Scale(one), nir.Output(np.array([3])))
    odd: dict[str, nir.NIRNode] = {
        "delay": nir.Delay(one),
        "li": nir.LI(one, one, one),
        "integrator": nir.I(one),
        "cuba_li": nir.CubaLI(one, one, one, one),
        "inner": inner,
        "leaky": nir.LIF(one, one, one, one, one),
    }
    nodes = {"input": nir.Input(np.array([3])), **odd, "output": nir.Output(np.array([3]))}
    names = list(nodes)
    graph = nir.NIRGraph(nodes, list(itertools.pairwise(names)), type_check=False)
    nir.write(tmp_path / "g.nir", graph)
    with pytest.raises(InterchangeError) as caught:
        read_nir(tmp_path / "g.nir", dt=DT)
    text = str(caught.value)
    for name, node in odd.items():
        assert f"- {name}: " in text
        assert name == "leaky" or f"{type(node).__name__}: " in text
    assert "leaky: v_leak is not 0" in text
    assert "leaky: v_reset is not 0" in text


def cuba(shape: tuple[int, ...], **changes: Array | float) -> nir.CubaLIF:
    values = {"tau_syn": 3e-3, "tau_mem": 1e-2, "r": 2.0, "v_leak": 0.0, "v_threshold": 0.3, "w_in": 1.5}
    return nir.CubaLIF(**{name: np.broadcast_to(v, shape).copy() for name, v in (values | changes).items()})


def cuba_network(**changes: Array | float) -> nir.NIRGraph:
    neuron = cuba((4,), tau_syn=np.array([1e-3, 2e-3, 5e-3, 9e-3]), **changes)
    return nir.NIRGraph.from_list(nir.Input(np.array([27])), nir.Affine(WEIGHT, BIAS), neuron)


@pytest.mark.parametrize("ones", [False, True])
def test_a_current_is_nirs_equation(ones: bool, tmp_path: Path) -> None:
    """di/dt = (-i + w_in I) / tau_syn, dv/dt = (-v + r i) / tau_mem, forward Euler, hard reset."""
    r, w_in = (1.0, 1.0) if ones else (2.0, 1.5)
    nir.write(tmp_path / "g.nir", cuba_network(r=r, w_in=w_in))
    graph = read_nir(tmp_path / "g.nir", dt=DT)
    x = (np.random.default_rng(1).random((200, 1, 27)) < 0.5).astype(float)
    tau_syn = np.array([1e-3, 2e-3, 5e-3, 9e-3])
    i, v = np.zeros((2, 4))
    wanted = []
    for frame in x[:, 0]:
        i = i + DT / tau_syn * (w_in * (WEIGHT @ frame + BIAS) - i)
        v = v + DT / 1e-2 * (r * i - v)
        wanted.append(v > 0.3)
        v = np.where(v > 0.3, 0, v)
    (neuron,) = graph.neurons
    found = interpret_real(graph, {"input": x}).spikes[neuron.name][:, 0]
    assert 0 < found.mean() < 1
    np.testing.assert_array_equal(found, wanted)
    folded, _ = FoldGain()(graph)
    write_nir(folded, tmp_path / "h.nir")
    assert read_nir(tmp_path / "h.nir") == folded
    np.testing.assert_array_equal(interpret_real(folded, {"input": x}).spikes[neuron.name][:, 0], found)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"tau_syn": 0.0}, "tau_syn goes down to 0.0 s, but must be positive"),
        ({"tau_syn": 1e-4}, "tau_syn goes down to 0.0001 s, but must be at least one time step"),
        ({"tau_mem": -1.0}, "tau_mem goes down to -1.0 s, but must be positive"),
        ({"w_in": 0.0}, "w_in goes down to 0.0, but must be positive"),
        ({"v_leak": 1.0}, "v_leak is not 0"),
        ({"w_in": float("nan")}, "w_in has values that are not finite"),
    ],
)
def test_currents_outside_the_dialect(changes: dict[str, float], problem: str, tmp_path: Path) -> None:
    graph = nir.NIRGraph.from_list(nir.Input(np.array([3])), cuba((3,), **changes), nir.Output(np.array([3])))
    nir.write(tmp_path / "g.nir", graph)
    with pytest.raises(InterchangeError, match=problem):
        read_nir(tmp_path / "g.nir", dt=DT)
