"""Programs as NIR files: read back equal, readable and meaningful for others, and nothing changed gets in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from avnir.errors import InterchangeError, UnsupportedError
from avnir.export.nir_program import read_program_nir, write_program_nir
from avnir.export.nir_program_form import matrix
from avnir.export.nir_read import read_nir
from avnir.export.nir_write import write_nir
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.integer import Conv, Dense, Input, Lif, Output
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array, Operation, same_array
from avnir.program import Program
from avnir.testing.cases import CASES, lif, program_of
from avnir.testing.strategies import programs
from tests.export.nir_cases import chain
from tests.export.nir_reader import run

BINARY_DT = 2.0**-13
"""A time step of which every time constant is an exact multiple, so that float64 adds nothing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


def rand(*shape: int) -> Array:
    return np.random.default_rng(3).integers(-9, 20, shape, np.int8)


def pictures() -> Program:
    """What NIR cannot hold as it is: a picture made by a Dense, convolved; groups; an even and odd kernel."""
    return program_of(
        ("x", Input((2, 4, 4)), ""),
        ("d", Dense(rand(18, 32), 2), "x"),
        ("made", lif((2, 3, 3), bias=np.arange(18).reshape(2, 3, 3)), "d"),
        ("c1", Conv(rand(4, 1, 2, 2), 1, groups=2), "made"),
        ("seen", lif((4, 2, 2), threshold=20, decay_v=[[[0, 5], [7, 4096]]] * 4), "c1"),
        ("c2", Conv(rand(4, 1, 3, 3), 0, 1, groups=2, padding=(1, 1)), "x"),
        ("c3", Conv(rand(4, 2, 2, 3), 0, 1), "x"),
        ("kept", lif((4, 4, 4), bias=np.repeat([3, 4, 5, 6], 16).reshape(4, 4, 4)), "c2"),
        ("flat", lif((24,), decay_v=0), "c3"),
        ("seen__flat", Dense(rand(5, 16)), "seen"),
        ("kept_d", Dense(rand(5, 64)), "kept"),
        ("flat_d", Dense(rand(5, 24), 3), "flat"),
        ("last", lif((5,), decay_u=2000, bias=[1, 2, 3, 4, 5]), "seen__flat kept_d flat_d"),
        ("shown", Output((1, 5)), "last"),
        ("shown2", Output((4, 4)), "seen"),
    )


def loops() -> Program:
    """A layer fed by its own spikes of the step before, and by those of a later layer of two before."""
    return program_of(
        ("x", Input((2, 3, 3)), ""),
        ("in", Dense(rand(5, 18)), "x"),
        ("own", Dense(rand(5, 5)[::-1], 1, 0, 1), "first"),
        ("back", Dense(rand(5, 4), 0, 0, 2), "second"),
        ("first", lif((5,), bias=[64, 0, -64, 64, 128], threshold=40), "in own back"),
        ("on", Dense(rand(4, 5)), "first"),
        ("second", lif((4,), threshold=30), "on"),
        ("out", Output((4,)), "second"),
    )


SMALL: Mapping[str, Callable[[], Program]] = {
    "pictures": pictures,
    "loops": loops,
    **{name: (lambda make=make: make().program) for name, make in CASES.items()},  # type: ignore[misc]
}


FORMS = {"Input", "Output", "Dense", "Conv", "Lif"}


def foreign(program: Program) -> set[str]:
    """The kinds of operations that NIR has no form for."""
    return {node.op.kind for node in program.graph} - FORMS


def assert_round_trip(program: Program, path: Path) -> None:
    if kinds := foreign(program):
        with pytest.raises(UnsupportedError) as caught:
            write_program_nir(program, path.with_suffix(".refused"))
        assert {finding.problem.split()[0] for finding in caught.value.findings} == kinds
        assert not path.with_suffix(".refused").exists()
        return
    write_program_nir(program, path)
    again = read_program_nir(path)
    assert again == program
    assert again.digest == program.digest
    assert [node.source for node in again.graph] == [node.source for node in program.graph]
    for graph in (nir.read(path), nir.read(path, type_check=False)):
        assert set(program.graph.by_name) <= set(graph.nodes)
        weights = [n.weight for n in graph.nodes.values() if hasattr(n, "weight")]
        assert weights
        assert {weight.dtype for weight in weights} == {np.dtype(np.int8)}


@pytest.mark.parametrize("name", SMALL)
def test_the_conformance_suite_reads_back_equal(name: str, tmp_path: Path) -> None:
    assert_round_trip(SMALL[name](), tmp_path / "p.nir")


@settings(max_examples=60, deadline=None)
@given(program=programs())
def test_any_program_reads_back_equal(program: Program, folder: Path) -> None:
    assert_round_trip(program, folder / "p.nir")


def test_provenance_time_step_and_same_bytes(tmp_path: Path) -> None:
    plain = pictures()
    nodes = tuple(Node(n.name, n.op, n.inputs, f"net.py:{i}") for i, n in enumerate(plain.graph))
    program = Program(Graph("integer", nodes, 1e-3), "loihi2", {"avnir": "0", "n": [1, 2.0, None]})
    assert_round_trip(program, tmp_path / "a.nir")
    write_program_nir(program, tmp_path / "b.nir")
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()
    assert read_program_nir(tmp_path / "a.nir").provenance == {"avnir": "0", "n": [1, 2.0, None]}


def test_the_form_of_each_part(tmp_path: Path) -> None:
    write_program_nir(pictures(), tmp_path / "p.nir")
    found = nir.read(tmp_path / "p.nir").nodes
    kinds = {name: type(node).__name__ for name, node in found.items()}
    assert kinds == {
        "x": "Input",
        "x__flat": "Flatten",
        "d": "Affine",
        "d__scaled": "Scale",
        "made": "LIF",
        "c1": "Linear",
        "c1__scaled": "Scale",
        "seen": "LIF",
        "c2": "Conv2d",
        "c3": "Linear",
        "kept": "LIF",
        "kept__flat": "Flatten",
        "flat": "IF",
        "seen__flat": "Linear",
        "kept_d": "Linear",
        "flat_d": "Linear",
        "flat_d__scaled": "Scale",
        "last": "CubaLIF",
        "shown": "Output",
        "shown2": "Output",
    }
    assert np.array_equal(found["c2"].bias, np.array([3, 4, 5, 6]) / 64)
    assert found["made"].v_threshold.shape == (18,)
    assert found["last"].v_leak[4] == 5 / 64 * 4


@settings(max_examples=100, deadline=None)
@given(
    groups=st.integers(1, 3),
    pairs=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=3, max_size=3),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_a_convolution_as_a_matrix(
    groups: int, pairs: list[tuple[int, int]], padding: tuple[int, int]
) -> None:
    kernel, stride, dilation = pairs
    op = Conv(rand(2 * groups, 2, *kernel), 0, 0, 0, stride, padding, dilation, groups)
    x = np.random.default_rng(0).integers(0, 2, (3, 2 * groups, 7, 8))
    expected = op.step(x, {}).reshape(3, -1)
    assert np.array_equal(x.reshape(3, -1) @ matrix(op, x.shape[1:]).T.astype(np.int64), expected)


def test_loops_with_and_without_a_delay(tmp_path: Path) -> None:
    write_program_nir(loops(), tmp_path / "p.nir")
    graph = nir.read(tmp_path / "p.nir")
    delays = {name: node.delay for name, node in graph.nodes.items() if isinstance(node, nir.Delay)}
    assert list(delays) == ["back__later"]
    assert np.array_equal(delays["back__later"], np.full(5, 2e-4))
    assert {("first", "own"), ("own", "own__scaled"), ("own__scaled", "first")} <= set(graph.edges)


def unrounded(program: Program, seed: int) -> Program:
    """Decays of 0, 1/2 and 1, and no overflow: the program whose integers are the real numbers.

    Inputs and biases are multiples of 2^6, so that six halvings leave nothing to round.
    """
    rng = np.random.default_rng(seed)

    def drawn(values: list[int], like: Array) -> Array:
        return rng.choice(np.array(values, np.int32), like.shape).astype(np.int32)

    def changed(op: Any) -> Operation:
        if op.connection:
            return op.replace(exponent=min(op.exponent, 1))  # type: ignore[no-any-return]
        if not op.spiking:
            return op.replace(message_bits=0) if op.kind == "Input" else op  # type: ignore[no-any-return]
        return op.replace(  # type: ignore[no-any-return]
            decay_u=drawn([4095, 4095, 2047], op.decay_u) if seed % 3 else np.array(4095, np.int32),
            decay_v=drawn([0, 2048, 4096], op.decay_v),
            threshold=np.minimum(op.threshold, 1000),
            bias_mantissa=np.clip(op.bias_mantissa, -60, 60),
            bias_exponent=6,
            reset="zero",
        )

    nodes = tuple(Node(node.name, changed(node.op), node.inputs) for node in program.graph)
    return Program(verified(Graph("integer", nodes, BINARY_DT)), "any")


@settings(max_examples=100, deadline=None)
@given(program=programs(), seed=st.integers(0, 2**31))
def test_the_fields_alone_mean_the_network(program: Program, seed: int, folder: Path) -> None:
    assume(not foreign(program))
    assert_same_spikes(unrounded(program, seed), seed, folder / "f.nir")


@pytest.mark.parametrize("make", [pictures, loops])
@pytest.mark.parametrize("seed", range(6))
def test_the_fields_mean_reshapes_and_loops_too(
    make: Callable[[], Program], seed: int, tmp_path: Path
) -> None:
    assert_same_spikes(unrounded(make(), seed), seed, tmp_path / "f.nir")


def assert_same_spikes(exact: Program, seed: int, path: Path) -> None:
    """What a reader makes of the fields alone is what the integers do."""
    rng = np.random.default_rng(seed)
    inputs = {
        n.name: (rng.random((6, 2, *exact.graph.shapes[n.name])) < 0.4).astype(np.uint8)
        for n in exact.graph.inputs
    }
    write_program_nir(exact, path)
    strip(path)
    wanted = interpret_integer(exact.graph, inputs)
    found = run(nir.read(path), inputs, BINARY_DT)
    for name, spikes in (*wanted.spikes.items(), *wanted.outputs.items()):
        assert np.array_equal(found[name].reshape(spikes.shape), spikes), name


def strip(path: Path) -> None:
    """Remove what avnir added, as a writer does that knows only NIR."""
    with h5py.File(path, "r+") as file:
        for group in (file["node"], *file["node/nodes"].values()):
            group.pop("metadata", None)


@pytest.mark.parametrize("bias", [0, 64, -30])
def test_our_own_reader_takes_it_as_a_foreign_network(bias: int, tmp_path: Path) -> None:
    program = program_of(
        ("x", Input((2, 4, 4)), ""),
        ("c", Conv(rand(3, 2, 3, 3), padding=(1, 1)), "x"),
        ("seen", lif((3, 4, 4), decay_v=4096, threshold=25, bias=bias), "c"),
        ("d", Dense(rand(6, 48), 1), "seen"),
        ("last", lif((6,), decay_v=0, threshold=120), "d"),
        ("out", Output((6,)), "last"),
    )
    write_program_nir(program, tmp_path / "p.nir")
    strip(tmp_path / "p.nir")
    graph = read_nir(tmp_path / "p.nir", dt=1e-4)
    inputs = {"x": (np.random.default_rng(1).random((20, 3, 2, 4, 4)) < 0.3).astype(np.uint8)}
    wanted, found = interpret_integer(program.graph, inputs), interpret_real(graph, inputs)
    for name, spikes in wanted.spikes.items():
        assert 0 < spikes.mean() < 1
        assert np.array_equal(found.spikes[name], spikes), name


def test_our_own_reader_takes_its_loops(tmp_path: Path) -> None:
    program = unrounded(loops(), 3)
    write_program_nir(program, tmp_path / "p.nir")
    strip(tmp_path / "p.nir")
    inputs = {"x": (np.random.default_rng(1).random((6, 3, 2, 3, 3)) < 0.3).astype(np.uint8)}
    found = interpret_real(read_nir(tmp_path / "p.nir", dt=BINARY_DT), inputs)
    for name, spikes in interpret_integer(program.graph, inputs).spikes.items():
        assert 0 < spikes.mean() < 1
        assert np.array_equal(found.spikes[name], spikes), name


def test_each_reader_says_what_the_other_kind_is(tmp_path: Path) -> None:
    write_program_nir(pictures(), tmp_path / "p.nir")
    write_nir(chain("zero"), tmp_path / "g.nir")
    with pytest.raises(InterchangeError, match=r"quantised program, not a real network; `avnir run`"):
        read_nir(tmp_path / "p.nir")
    with pytest.raises(InterchangeError, match=r"real network, not a quantised program; `avnir export`"):
        read_program_nir(tmp_path / "g.nir")


def test_what_takes_too_much_is_not_written(tmp_path: Path) -> None:
    wide = program_of(
        ("x", Input((3,)), ""),
        ("d", Dense(rand(90_000, 3)), "x"),
        ("made", lif((1, 300, 300)), "d"),
        ("c", Conv(rand(1, 1, 3, 3)), "made"),
        ("layer", lif((1, 298, 298)), "c"),
        ("out", Output((1, 298, 298)), "layer"),
    )
    with pytest.raises(UnsupportedError, match=r"c: takes 79\d+ bytes .* program\.json"):
        write_program_nir(wide, tmp_path / "p.nir")
    many = [("d", Dense(rand(2, 2)), "x"), ("l0", lif((2,)), "d")]
    for k in range(1, 750):
        many += [(f"d{k}", Dense(rand(2, 2), 1), f"l{k - 1}"), (f"l{k}", lif((2,)), f"d{k}")]
    deep = program_of(("x", Input((2,)), ""), *many, ("out", Output((2,)), "l749"))
    with pytest.raises(UnsupportedError, match="it becomes 2251 nodes"):
        write_program_nir(deep, tmp_path / "p.nir")
    assert not list(tmp_path.iterdir())


def edit(change: Callable[[Any], None], path: Path) -> str:
    """What reading says after a change of the file."""
    write_program_nir(pictures(), path)
    with h5py.File(path, "r+") as file:
        change(file["node"])
    with pytest.raises(InterchangeError) as caught:
        read_program_nir(path)
    return str(caught.value)


def put(group: Any, name: str, value: Any) -> None:
    del group[name]
    group[name] = value


def record(node: str, change: Callable[[Any], None]) -> Callable[[Any], None]:
    """A change of the metadata of a node, or of the graph where `node` is empty."""

    def apply(graph: Any) -> None:
        group = (graph["nodes"][node] if node else graph)["metadata"]
        said = json.loads(group["avnir"][()])
        change(said)
        put(group, "avnir", json.dumps(said))

    return apply


def field(node: str, name: str, change: Callable[[Array], Array]) -> Callable[[Any], None]:
    return lambda graph: put(graph["nodes"][node], name, change(graph["nodes"][node][name][()]))


def values(node: str, **changes: Any) -> Callable[[Any], None]:
    return record(node, lambda said: said["integer"]["values"].update(changes))


def flipped(array: Array) -> Array:
    array.reshape(-1)[0] ^= 1
    return array


HUGE = {"dtype": "int32", "shape": [2**40], "runs": [[1, 2**40]]}
HOSTILE: Mapping[str, tuple[Callable[[Any], None], str]] = {
    "one flipped weight": (field("kept_d", "weight", flipped), "digest"),
    "one flipped weight of a convolution": (field("c2", "weight", flipped), "digest"),
    "one flipped weight of a matrix": (field("c3", "weight", flipped), r"c3\.weight"),
    "a weight outside the groups": (field("c2", "weight", lambda w: w + np.int8(1)), "digest"),
    "a weight of float": (field("kept_d", "weight", lambda w: w.astype(np.float32)), "int8"),
    "a weight of int16": (field("c2", "weight", lambda w: w.astype(np.int16)), "int8"),
    "another threshold": (field("last", "v_threshold", lambda a: a + 1), r"last\.v_threshold"),
    "another bias": (field("c2", "bias", lambda a: a + 1), r"c2\.bias"),
    "a field of float32": (field("made", "tau", lambda a: a.astype(np.float32)), r"made\.tau"),
    "a field too many": (lambda graph: graph["nodes/last"].create_dataset("w", data=1.0), "last"),
    "a node too many": (lambda graph: graph["nodes"].copy("kept_d", "more"), "more"),
    "a node less": (lambda graph: graph["nodes"].pop("kept__flat"), "kept__flat"),
    "another order of edges": (lambda g: put(g, "edges", g["edges"][()][::-1].astype("S")), "edges"),
    "no metadata": (lambda graph: graph.pop("metadata"), "real network"),
    "no metadata of a node": (lambda graph: graph["nodes/last"].pop("metadata"), "last lacks"),
    "another digest": (record("", lambda said: said.update(digest="0" * 64)), "digest"),
    "another target": (record("", lambda said: said["program"].update(target="loihi1")), "digest"),
    "another order": (record("", lambda said: said["order"].reverse()), "come before"),
    "a node twice": (record("", lambda said: said["order"].append("x")), "x"),
    "an unknown node": (record("", lambda said: said["order"].append("y")), "y"),
    "an unknown key": (record("", lambda said: said.update(more=1)), "more"),
    "an unknown operation": (record("c1", lambda said: said["integer"].update(op="exec")), "exec"),
    "another delay": (values("c2", delay=2), "come early"),
    "a delay out of range": (values("c2", delay=99), "delay is 99"),
    "a fraction for an integer": (values("c2", exponent=1.0), "exponent is 1.0"),
    "an array for an integer": (values("c2", exponent=HUGE), "more than a file may hold"),
    "a stride of three": (values("c2", stride=[1, 1, 1]), "stride"),
    "a stride of zero": (values("c2", stride=[0, 1]), "ZeroDivision"),
    "a negative shape": (values("x", shape=[-2, -4, 4]), "greater than or equal to 0"),
    "an enormous shape": (values("x", shape=[2**40, 2**40]), "needs 32 values"),
    "an enormous array": (values("last", decay_u=HUGE), "more than a file may hold"),
    "an array that does not fill": (
        values("last", decay_u={"dtype": "int32", "shape": [5], "runs": [[1, 4]]}),
        "do not fill",
    ),
    "a number too large": (
        values("last", decay_u={"dtype": "int8", "shape": [], "runs": [[300, 1]]}),
        "int8",
    ),
    "a missing value": (record("c2", lambda said: said["integer"]["values"].pop("delay")), "delay"),
    "another kernel": (record("c2", lambda said: said.update(kernel=[2, 2])), "not a valid integer graph"),
    "a kernel too large": (record("c2", lambda said: said.update(kernel=[9, 9])), "does not hold"),
    "another source": (record("c2", lambda said: said.update(source="else.py:1")), "digest"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_changed_file_is_refused(name: str, tmp_path: Path) -> None:
    change, wanted = HOSTILE[name]
    path = tmp_path / "p.nir"
    said = edit(change, path)
    assert said.startswith(str(path))
    assert re.search(wanted, said), said


def test_an_enormous_layer_is_refused_before_it_is_made(tmp_path: Path) -> None:
    """A file of few bytes, its digest right, whose fields would take terabytes."""
    wide = program_of(
        ("x", Input((1, 2, 2)), ""),
        ("c", Conv(rand(1, 1, 2, 2), padding=(2**20, 2**20)), "x"),
        ("l", lif((1, 2**21 + 1, 2**21 + 1)), "c"),
        ("o", Output((1, 2**21 + 1, 2**21 + 1)), "l"),
    )
    small = program_of(
        ("x", Input((1, 2, 2)), ""),
        ("c", Conv(rand(1, 1, 2, 2), padding=(1, 1)), "x"),
        ("l", lif((1, 3, 3)), "c"),
        ("o", Output((1, 3, 3)), "l"),
    )
    write_program_nir(small, tmp_path / "p.nir")
    big = [1, 2**21 + 1, 2**21 + 1]
    with h5py.File(tmp_path / "p.nir", "r+") as file:
        graph = file["node"]
        values("c", padding=[2**20, 2**20])(graph)
        field("c", "padding", lambda a: a + 2**20 - 1)(graph)
        values("l", shape=big)(graph)
        values("o", shape=big)(graph)
        record("", lambda said: said.update(digest=wide.digest))(graph)
    with pytest.raises(InterchangeError, match=r"l: takes 281\d+ bytes"):
        read_program_nir(tmp_path / "p.nir")


def test_damage_is_refused_with_one_type_of_error(tmp_path: Path) -> None:
    write_program_nir(pictures(), tmp_path / "p.nir")
    whole = (tmp_path / "p.nir").read_bytes()
    random, program, harmless = Random(5), pictures(), 0
    for _ in range(120):
        damaged = bytearray(whole)
        for _ in range(random.randint(1, 3)):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        (tmp_path / "d.nir").write_bytes(
            damaged[: random.choice((len(damaged), random.randrange(len(damaged))))]
        )
        try:
            assert read_program_nir(tmp_path / "d.nir") == program
            harmless += 1
        except InterchangeError:
            pass
    assert harmless < 100


def test_weights_that_are_not_finite_integers_are_kept_bit_for_bit(tmp_path: Path) -> None:
    extremes = np.array([[-128, 127, 0, -1]], np.int8)
    program = program_of(
        ("x", Input((4,), 24), ""),
        ("d", Dense(extremes, 7), "x"),
        ("l", lif((1,)), "d"),
        ("o", Output((1,)), "l"),
    )
    write_program_nir(program, tmp_path / "p.nir")
    weight = next(n.op.weight for n in read_program_nir(tmp_path / "p.nir").graph if n.name == "d")  # type: ignore[attr-defined]
    assert same_array(weight, extremes)
    assert isinstance(program.graph["l"].op, Lif)
