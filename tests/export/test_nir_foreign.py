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
        "li": nir.LI(one, one, one),
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
    for name in odd:
        assert f"- {name}: " in text
    assert "inner: NIRGraph: graphs inside graphs are not read" in text
    for name in ("leaky", "li", "cuba_li"):
        assert f"{name}: v_leak is not 0" in text
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


def looped(*edges: tuple[str, str], **more: nir.NIRNode) -> nir.NIRGraph:
    """A recurrent layer as other frameworks write it, with an output, and what else is said."""
    nodes = {
        "input": nir.Input(np.array([4])),
        "lif": lif((4,), np.full(4, 1e-2), 3.0, 0.2),
        "w_rec": nir.Affine(WEIGHT[:, :4], BIAS),
        "output": nir.Output(np.array([4])),
        **more,
    }
    own = [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]
    return nir.NIRGraph(nodes, [*own, *edges], type_check=False)


def test_a_loop_without_a_delay_is_one_step_late(tmp_path: Path) -> None:
    """The spikes of the step before come back; snnTorch's RLeaky and forward Euler mean the same."""
    nir.write(tmp_path / "g.nir", looped(lif_late=nir.Scale(np.ones(4))))
    with pytest.raises(InterchangeError, match="lif_late: Scale has 0 inputs"):
        read_nir(tmp_path / "g.nir", dt=DT)
    nir.write(
        tmp_path / "g.nir",
        looped(("lif", "lif_late"), ("lif_late", "output"), lif_late=nir.Scale(np.ones(4))),
    )
    graph = read_nir(tmp_path / "g.nir", dt=DT)
    assert graph["lif_late_"].op == real.Delay((4,), 1)
    assert graph["w_rec"].inputs == ("lif_late_",)
    assert graph["lif"].inputs == ("input", "w_rec")
    x = (np.random.default_rng(1).random((200, 1, 4)) < 0.5).astype(float)
    v, spikes, wanted = np.zeros(4), np.zeros(4), []
    for frame in x[:, 0]:
        v = v + DT / np.float64(np.float32(1e-2)) * (3.0 * (frame + WEIGHT[:, :4] @ spikes + BIAS) - v)
        spikes = (v > 0.2).astype(float)
        v = np.where(spikes, 0, v)
        wanted.append(spikes)
    found = interpret_real(graph, {"input": x}).spikes["lif"][:, 0]
    assert 0 < found.mean() < 1
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("graph", "problem"),
    [
        (
            looped(("lif", "other"), ("other", "w_rec"), other=nir.LI(np.ones(4), np.ones(4), np.zeros(4))),
            "lif, other, w_rec form a loop through several neurons, lif, other, without a Delay; put a Delay",
        ),
        (looped(("w_rec", "output")), "lif, w_rec form a loop without a Delay, and w_rec in it feeds other"),
        (
            looped(("a", "b"), ("b", "a"), a=nir.Scale(np.ones(4)), b=nir.Scale(np.ones(4))),
            "a, b form a loop; a loop without a state has no meaning",
        ),
        (
            looped(("w_rec", "again"), ("again", "w_rec"), again=nir.Scale(np.ones(4))),
            "form a loop; a loop without a state has no meaning",
        ),
    ],
)
def test_other_loops_are_refused(graph: nir.NIRGraph, problem: str, tmp_path: Path) -> None:
    nir.write(tmp_path / "g.nir", graph)
    with pytest.raises(InterchangeError, match=problem):
        read_nir(tmp_path / "g.nir", dt=DT)


@pytest.mark.parametrize(
    ("delay", "problem"),
    [
        (np.full(4, 3 * DT), None),
        (np.full(4, 3 * DT * (1 + 1e-15)), None),
        (np.full(4, 2.5 * DT), "delay is 0.0025 s, but must be 1 to 65536 whole time steps of 0.001 s"),
        (np.zeros(4), "delay is 0.0 s, but must be 1 to"),
        (np.full(4, 1e9), "delay is 1000000000.0 s, but must be 1 to"),
        (np.array([1, 1, 2, 2]) * DT, "delay is 0.001 to 0.002 s; use one Delay for each of them"),
        (np.full(3, DT), r"Delay holds \(3,\), but its input is \(4,\)"),
    ],
)
def test_delays_are_whole_time_steps(delay: Array, problem: str | None, tmp_path: Path) -> None:
    late = {"late": nir.Delay(delay), "end": nir.Output(np.array([len(delay)]))}
    nir.write(tmp_path / "g.nir", looped(("lif", "late"), ("late", "end"), **late))
    if problem is None:
        assert read_nir(tmp_path / "g.nir", dt=DT)["late"].op == real.Delay((4,), 3)
        return
    with pytest.raises(InterchangeError, match=problem):
        read_nir(tmp_path / "g.nir", dt=DT)


def test_names_of_foreign_nodes_become_names(tmp_path: Path) -> None:
    """nirtorch and snnTorch name nodes by number and by path."""
    names = ["input", "0", "1.lif", "1_lif", "output"]
    nodes = [
        nir.Input(np.array([4])),
        nir.Linear(WEIGHT[:, :4]),
        lif((4,), np.full(4, 1e-2)),
        nir.Threshold(np.ones(4)),
        nir.Output(np.array([4])),
    ]
    graph = nir.NIRGraph(dict(zip(names, nodes, strict=True)), [*itertools.pairwise(names)])
    nir.write(tmp_path / "g.nir", graph)
    read = read_nir(tmp_path / "g.nir", dt=DT)
    assert [node.name for node in read] == ["input", "_0", "_1_lif", "_1_lif_", "output"]


def test_a_conv1d_becomes_the_tracers_three_nodes(tmp_path: Path) -> None:
    kernel = RNG.normal(0, 1, (4, 2, 3))
    nodes = {
        "input": nir.Input(np.array([4, 9])),
        "conv": nir.Conv1d(9, kernel, 2, 1, 1, 2, np.arange(4.0)),
        "conv_rows": nir.Scale(np.full((4, 5), 0.5)),
        "last": nir.Conv1d(5, np.ones((2, 4, 2)), 1, "valid", 2, 1, np.zeros(2)),
        "output": nir.Output(np.array([2, 3])),
    }
    nir.write(tmp_path / "g.nir", nir.NIRGraph(nodes, list(itertools.pairwise(nodes)), type_check=False))
    graph = read_nir(tmp_path / "g.nir", dt=DT)
    assert graph["conv_rows_"].op == real.Flatten((4, 1, 9))
    assert graph["conv"].op == real.Conv2d(kernel[:, :, None], np.arange(4.0), (1, 2), (0, 1), (1, 1), 2)
    assert graph["conv_rows"].inputs == ("conv_sequence",)
    assert graph["output"].inputs == ("last_sequence",)
    assert graph["last"].op.dilation == (1, 2)  # type: ignore[attr-defined]
    write_nir(graph, tmp_path / "h.nir")
    assert read_nir(tmp_path / "h.nir") == graph
