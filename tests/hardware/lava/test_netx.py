"""Files for lava-dl's netx: their layout, what is refused, and that netx gives the integers' spikes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.random import Generator

from avnir.errors import BackendError, UnsupportedError
from avnir.hardware import environments
from avnir.hardware.lava import install, netx_chain
from avnir.hardware.lava.environment import LAVA_VERSION, Environment
from avnir.hardware.lava.netx import write_netx
from avnir.hardware.lava.netx_chain import chain, per_neuron
from avnir.hardware.lava.netx_run import netx_missing, run_netx
from avnir.ir import integer
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array, Shape
from avnir.program import Program
from tests.hardware.lava.lava_networks import differences, inputs_for, weights


@pytest.fixture(scope="module")
def netx(environment: Environment) -> None:
    """lava-dl in Lava's environment; a test without it is skipped, or fails where AVNIR_REQUIRE_LAVA=1."""
    if missing := netx_missing():
        end = pytest.fail if os.environ.get("AVNIR_REQUIRE_LAVA") == "1" else pytest.skip
        end(missing)


def neurons(rng: Generator, shape: Shape, own: bool, **fixed: object) -> integer.Lif:
    """Neurons that spike now and then; every parameter one for the layer or one a neuron."""
    biases = rng.choice([-20, 0, 40], shape if own else ())

    def parameter(low: int, high: int) -> Array:
        return np.asarray(rng.integers(low, high, shape if own else ()), np.int32)

    values = {
        "decay_u": parameter(2000, 4096),
        "decay_v": parameter(0, 3000),
        "threshold": parameter(50, 300),
        "bias_mantissa": np.asarray(biases, np.int32),
        "bias_exponent": 6,
    }
    return integer.Lif(shape, **{**values, **fixed})


def graph_of(shape: Shape, *layers: tuple[integer.Connection, ...]) -> Graph:
    """A chain from input `x` to output `y`; `layers` of a connection, maybe a recurrent one, neurons."""
    nodes = [Node("x", integer.Input(shape))]
    before = "x"
    for index, (forward, *recurrent, lif) in enumerate(layers, 1):
        loops = [Node(f"back{index}", op, (f"layer{index}",)) for op in recurrent]
        fed_by = (f"into{index}", *(node.name for node in loops))
        nodes += [*loops, Node(f"into{index}", forward, (before,)), Node(f"layer{index}", lif, fed_by)]
        before = f"layer{index}"
    return verified(Graph("integer", (*nodes, Node("y", integer.Output(layers[-1][-1].shape), (before,)))))


def convolutions(rng: Generator) -> Graph:
    """Kernels, strides, paddings and dilations that are not square, groups, exponents; a reshape."""
    own = bool(rng.random() < 0.7)
    first = integer.Conv(weights(rng, 4, 2, 2, 3), 1, stride=(2, 1), padding=(1, 2), dilation=(1, 2))
    shape = first.output_shape((2, 7, 8))
    second = integer.Conv(weights(rng, 6, 2, 3, 2), 0, groups=2, padding=(0, 1))
    flat = second.output_shape(shape)
    return graph_of(
        (2, 7, 8),
        (first, neurons(rng, shape, own)),
        (second, neurons(rng, flat, own)),
        (integer.Dense(weights(rng, 20, int(np.prod(flat)))), neurons(rng, (4, 5), own)),
        (integer.Dense(weights(rng, 7, 20)), neurons(rng, (7,), not own)),
    )


def dense(rng: Generator) -> Graph:
    """From a picture to one row, and on."""
    return graph_of(
        (2, 3, 4),
        (integer.Dense(weights(rng, 30, 24)), neurons(rng, (30,), bool(rng.random() < 0.5))),
        (integer.Dense(weights(rng, 9, 30)), neurons(rng, (9,), True)),
    )


def recurrent(rng: Generator) -> Graph:
    """Two layers that feed themselves, of which the weights into one have an exponent."""
    first = neurons(rng, (20,), True)
    second = neurons(rng, (9,), False, threshold=np.array(90, np.int32))
    halved = integer.Dense(rng.integers(-64, 64, (20, 30)).astype(np.int8), 1)
    return graph_of(
        (30,),
        (halved, integer.Dense(weights(rng, 20, 20), lag=1), first),
        (integer.Dense(weights(rng, 9, 20)), integer.Dense(weights(rng, 9, 9), lag=1), second),
    )


def extremes(rng: Generator) -> Graph:
    """Weight matrices at the ends of what netx takes, behind one another; biases that keep all at it."""
    size = 16

    def layer(values: list[int], exponent: int = 0) -> tuple[integer.Connection, integer.Lif]:
        matrix = rng.choice(values, (size, size)).astype(np.int8)
        matrix.flat[: len(values)] = values
        theta = 2 * int(np.abs(matrix.astype(int)).max()) << exponent
        drive = (0.4 * matrix.sum(axis=1, dtype=int)).astype(np.int32) << exponent
        biases = (rng.integers(-theta // 2, theta, size) - drive).astype(np.int32)
        lif = neurons(rng, (size,), True, threshold=np.array(theta, np.int32), bias_mantissa=biases)
        return integer.Dense(matrix, exponent), lif

    ranges = [[-128, 127, 1], [0, 1], [127], [-127, -3], [0, -100], [-1, 1], [127, -128, 5], [96, 64, -32]]
    return graph_of((size,), *(layer(v, 1 if 5 in v else 0) for v in ranges))


def differing(graph: Graph, folder: Path, steps: int = 20, batch: int = 3) -> list[str]:
    """What netx gives otherwise than the interpreter; every layer spikes, and none in all its slots."""
    inputs = inputs_for(graph, np.random.default_rng(0), steps, batch)
    expected = interpret_integer(graph, inputs)
    assert all(0 < spikes.mean() < 1 for spikes in expected.spikes.values())
    program = Program(graph, "test")
    write_netx(program, folder / "netx.net")
    return differences(expected, run_netx(folder / "netx.net", program, inputs), states=False)


@pytest.mark.lava
@pytest.mark.parametrize("make", [convolutions, dense, recurrent, extremes])
@pytest.mark.parametrize("seed", [2, 4])
def test_netx_gives_every_spike(netx, tmp_path, make: Callable[[Generator], Graph], seed):
    assert differing(make(np.random.default_rng(seed)), tmp_path) == []


@pytest.mark.lava
@pytest.mark.parametrize(
    ("values", "exponent"), [([-64, 0], 0), ([127, -90], 2)], ids=["none above 0", "clipped"]
)
def test_what_is_refused_netx_gets_wrong(netx, tmp_path, monkeypatch, values, exponent):
    rng = np.random.default_rng(3)
    matrix = rng.choice(values, (12, 12)).astype(np.int8)
    lif = neurons(rng, (12,), False, threshold=np.array(150, np.int32), bias_mantissa=np.array(200, np.int32))
    graph = graph_of((12,), (integer.Dense(matrix, exponent), lif))
    with pytest.raises(UnsupportedError, match=r"Lava cuts the least, -64|but netx has \[-256, 254\]"):
        chain(graph)
    monkeypatch.setattr(netx_chain, "_weight_findings", lambda links: ())
    assert differing(graph, tmp_path) == ["spikes layer1", "output y"]


@pytest.mark.lava
def test_netx_feeds_back_what_biases_did_before_the_first_input(netx, tmp_path, monkeypatch):
    rng = np.random.default_rng(4)
    lif = neurons(rng, (12,), False, threshold=np.array(90, np.int32), bias_mantissa=np.array(100, np.int32))
    own = integer.Dense(-np.abs(weights(rng, 12, 12) // 2 - 5), lag=1)
    graph = graph_of((12,), (integer.Dense(weights(rng, 12, 12)), own, lif))
    with pytest.raises(UnsupportedError, match="spike within 1 steps of silence, which netx feeds back"):
        chain(graph)
    monkeypatch.setattr(netx_chain, "_early_findings", lambda links: ())
    assert differing(graph, tmp_path) == ["spikes layer1", "output y"]


def test_the_layout(tmp_path):
    graph = convolutions(np.random.default_rng(1))
    first = graph["into1"].op
    for name in ("a.net", "b.net"):
        write_netx(Program(graph, "test"), tmp_path / name)
    assert (tmp_path / "a.net").read_bytes() == (tmp_path / "b.net").read_bytes()
    with h5py.File(tmp_path / "a.net") as file:
        layers = [file[f"layer/{index}"] for index in range(len(file["layer"]))]
        kinds = [layer["type"][0].decode() for layer in layers]
        assert kinds == ["input", "conv", "conv", "flatten", "dense", "dense"]
        assert [layer["shape"][()].tolist() for layer in layers[:2]] == [[2, 7, 8], [4, 4, 8]]
        assert np.array_equal(layers[1]["weight"][()], first.weight.astype(int) << 1)
        assert layers[1]["stride"][()].tolist() == [2, 1]
        assert layers[1]["neuron/type"][0] == b"CUBA"
        assert np.array_equal(layers[1]["neuron/iDecay"][()].T, graph["layer1"].op.decay_u + 1)
        assert np.array_equal(layers[4]["bias"][()], graph["layer3"].op.bias_mantissa.reshape(-1))


def test_one_value_a_layer_or_a_channel_where_that_is_all(tmp_path):
    shape = (2, 3, 4)
    channels = np.broadcast_to(np.array([5, 7], np.int32)[:, None, None], shape).copy()
    rng = np.random.default_rng(0)
    lif = neurons(rng, shape, False, threshold=channels, decay_v=np.full(shape, 9, np.int32))
    graph = graph_of((1, 3, 4), (integer.Conv(weights(rng, 2, 1, 1, 1)), lif))
    write_netx(Program(graph, "test"), tmp_path / "a.net")
    with h5py.File(tmp_path / "a.net") as file:
        neuron = file["layer/1/neuron"]
        assert neuron["vThMant"][()].tolist() == [5, 7]
        assert neuron["vDecay"][()] == 9
    assert per_neuron(chain(graph)) == ("layer1",)
    same = neurons(rng, shape, False, threshold=np.full(shape, 9, np.int32))
    assert per_neuron(chain(graph_of((1, 3, 4), (integer.Conv(weights(rng, 2, 1, 1, 1)), same)))) == ()


def test_every_finding_at_once(tmp_path):
    rng = np.random.default_rng(0)
    lif = neurons(rng, (4,), False)
    soft = lif.replace(reset="subtract")
    matrix = weights(rng, 4, 4)
    nodes = (
        Node("x", integer.Input((4,), 8)),
        Node("z", integer.Input((4,))),
        Node("a", integer.Dense(matrix), ("x", "z")),
        Node("layer1", soft, ("a",)),
        Node("b", integer.Dense(matrix), ("layer1",)),
        Node("c", integer.Dense(matrix, delay=1), ("layer1",)),
        Node("layer2", lif.replace(bias_mantissa=np.array(9, np.int32), bias_exponent=3), ("b",)),
        Node("d", integer.Dense(matrix), ("layer2",)),
        Node("layer3", lif.replace(bias_mantissa=np.array(4000, np.int32), bias_exponent=7), ("c", "d")),
        Node("y", integer.Output((4,)), ("layer3",)),
        Node("early", integer.Output((4,)), ("layer2",)),
    )
    with pytest.raises(UnsupportedError) as refused:
        write_netx(Program(verified(Graph("integer", nodes)), "test"), tmp_path / "a.net")
    assert list(tmp_path.iterdir()) == []
    for said in (
        "x, z: 2 inputs",
        "y, early: 2 outputs",
        "x: its input is graded",
        "a: it reads the sum of x and z",
        "layer1: it feeds b and c, but",
        "layer1: its reset is 'subtract'",
        "layer2: it feeds d and an output",
        "layer2: its biases are no whole steps",
        "c: it waits 1 further steps",
        "layer3: it adds c and d",
        "layer3: a bias is 8000 steps, but netx holds 4095",
    ):
        assert said in str(refused.value)


def test_other_refusals(tmp_path):
    rng = np.random.default_rng(0)
    lif = neurons(rng, (4, 2, 2), False)
    conv, flat = integer.Conv(weights(rng, 4, 4, 1, 1)), integer.Dense(weights(rng, 16, 16))
    own = integer.Conv(weights(rng, 4, 4, 1, 1), lag=1)
    cases = {
        "reads layer1 as .4, 2, 2., but netx gives .16,.": graph_of((16,), (flat, lif), (conv, lif)),
        "all its weights are 0": graph_of((16,), (integer.Dense(np.zeros((16, 16), np.int8)), lif)),
        "2 steps late, or from another layer": graph_of((16,), (flat, flat.replace(delay=1, lag=2), lif)),
        "recurrence of dense layers only": graph_of((4, 2, 2), (conv, own, lif)),
        "its weights reach from -508 to 508": graph_of(
            (4, 2, 2),
            (integer.Conv(np.array([[-127], [127]] * 2, np.int8)[..., None, None], 2, groups=4), lif),
        ),
        "kernel is 128": graph_of((4, 2, 129), (integer.Conv(weights(rng, 4, 4, 1, 128)), lif_of(rng))),
    }
    for said, graph in cases.items():
        with pytest.raises(UnsupportedError, match=said):
            chain(graph)


def lif_of(rng: Generator) -> integer.Lif:
    return neurons(rng, (4, 2, 2), False)


def test_set_up_adds_lava_dl_once(tmp_path, monkeypatch):
    commands: list[list[str]] = []
    site = tmp_path / "lib/python3.10/site-packages"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").touch()
    (site / f"lava_nc-{LAVA_VERSION}.dist-info").mkdir(parents=True)

    def run(command, progress):
        commands.append([str(part) for part in command])
        (site / f"lava_dl-{install.LAVA_DL_VERSION}.dist-info").mkdir()

    monkeypatch.setenv("AVNIR_LAVA_ENV", str(tmp_path))
    monkeypatch.setattr(environments, "run", run)
    found = (Path("/usr/bin/python3.10"), "3.10")
    monkeypatch.setattr(environments, "interpreter", lambda pythons, whose, python: found)
    install.setup(lambda line: None)
    assert commands == []
    assert "run `avnir lava setup --netx`" in str(netx_missing())
    for _ in range(2):
        install.setup(lambda line: None, netx=True)
    assert [command[-2:] for command in commands] == [list(install.NETX)]
    assert netx_missing() is None


def test_without_lava_dl_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("AVNIR_LAVA_ENV", str(tmp_path))
    graph = dense(np.random.default_rng(0))
    inputs = inputs_for(graph, np.random.default_rng(0), 2, 1)
    with pytest.raises(BackendError, match="run `avnir lava setup --netx`"):
        run_netx(tmp_path / "netx.net", Program(graph, "test"), inputs)


@pytest.mark.lava
def test_a_file_that_netx_cannot_read(netx, tmp_path):
    graph = dense(np.random.default_rng(0))
    (tmp_path / "netx.net").write_bytes(b"no HDF5")
    inputs = inputs_for(graph, np.random.default_rng(0), 2, 1)
    with pytest.raises(BackendError, match=r"(?s)netx failed with status 1; it last said:.*OSError"):
        run_netx(tmp_path / "netx.net", Program(graph, "test"), inputs)
