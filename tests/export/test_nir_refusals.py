"""What is refused, by the writer and by the reader; and that nothing but InterchangeError escapes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np
import pytest

from avnir.errors import GraphError, InterchangeError, UnsupportedError
from avnir.export import nir_guard
from avnir.export.nir_read import read_nir
from avnir.export.nir_schema import Form
from avnir.export.nir_write import nir_findings, write_nir
from avnir.ir import integer, real
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.operation import Operation
from tests.export.nir_cases import (
    alpha_neuron,
    audio_visual,
    chain,
    convolutions,
    current,
    recurrent,
    sequences,
)

ROOT = "/node/nodes"


def around(*ops: Operation, shape: tuple[int, ...] = (2, 4, 4)) -> Graph:
    """The operations in a row between an Input and an Output."""
    nodes = [Node("x", real.Input(shape))]
    for index, op in enumerate(ops):
        shape = op.output_shape(shape)
        nodes.append(Node(f"n{index}", op, (nodes[-1].name,), f"net.py:{index}"))
    return verified(Graph("real", (*nodes, Node("out", real.Output(shape), (nodes[-1].name,)))))


def test_writer_lists_everything_that_nir_cannot_hold(tmp_path: Path) -> None:
    ones = np.ones(2)
    half = np.array(0.5)
    mixed = np.concatenate([np.ones((1, 2, 4)), np.full((1, 2, 4), 0.5)])
    graph = around(
        real.BatchNorm(ones, ones, ones, ones),
        real.MaxPool2d((2, 2), (1, 1), (1, 1)),
        real.Conv2d(np.ones((2, 2, 2, 1))),
        real.Conv2d(np.full((2, 2, 3, 2), np.nan)),
        real.Scale(np.array(1j)),
        real.Threshold(np.zeros(())),
        real.Lif(half, half, np.array(1.0)),
        real.Lif(half, half, half, bias=half),
        real.Lif(np.array(0.5, np.float32), half, half),
        real.Lif(mixed, np.zeros(()), np.where(mixed == 1, 1e-4, 0.5)),
        real.Flatten((16,)),
        real.Flatten((4, 4)),
    )
    with pytest.raises(UnsupportedError) as caught:
        write_nir(graph, tmp_path / "g.nir")
    said = [str(finding) for finding in caught.value.findings]
    wanted = (
        ("n0 (net.py:0): BatchNorm has no form in NIR", "fold_batchnorm"),
        ("n1 (net.py:1): MaxPool2d has no form in NIR", "lower_maxpool"),
        ("n2 (net.py:2): a kernel of 2x1 has no square form", "zeros"),
        ("n3 (net.py:3): Conv2d.weight has values that are not finite", "again"),
        ("n3 (net.py:3): a kernel of 3x2 has no square form", "zeros"),
        ("n4 (net.py:4): Scale.scale has type complex128", "float64"),
        ("n6 (net.py:6): its gain is not the one of NIR's r = 1", "fold_gain"),
        ("n7 (net.py:7): Lif.bias has no form in NIR", "bias of the Linear"),
        ("n8 (net.py:8): the parameters of Lif are not float64", "fold_gain"),
        ("n9 (net.py:9): some of its neurons have beta = 1", "two layers"),
        ("n11 (net.py:11): Flatten makes (4, 4) of (16,)", "neighbouring axes"),
    )
    assert len(said) == len(wanted)
    for text, (start, remedy) in zip(said, wanted, strict=True):
        assert text.startswith(start)
        assert remedy in text
    assert list(tmp_path.iterdir()) == []


def test_writer_takes_the_real_level_only(tmp_path: Path) -> None:
    nodes = (Node("x", integer.Input((3,))), Node("out", integer.Output((3,)), ("x",)))
    with pytest.raises(GraphError, match="not of the integer level"):
        write_nir(verified(Graph("integer", nodes)), tmp_path / "g.nir")


def replace(file: Any, place: str, value: Any, **options: Any) -> None:
    del file[place]
    file.create_dataset(place, data=value, **options)


def edited(place: str, value: Any) -> Callable[[Any, Path], None]:
    return lambda file, folder: replace(file, ROOT + place, value)


def element(place: str, index: tuple[int, ...]) -> Callable[[Any, Path], None]:
    """One element becomes 3."""

    def edit(file: Any, folder: Path) -> None:
        value = file[ROOT + place][()]
        value[index] = 3
        replace(file, ROOT + place, value)

    return edit


def removed(place: str) -> Callable[[Any, Path], None]:
    return lambda file, folder: file.__delitem__(place)


def record(place: str, **changes: Any) -> Callable[[Any, Path], None]:
    def edit(file: Any, folder: Path) -> None:
        said = json.loads(file[f"{place}/metadata/avnir"][()])
        replace(file, f"{place}/metadata/avnir", json.dumps({**said, **changes}))

    return edit


def edges(change: Callable[[list[list[str]]], list[Any]]) -> Callable[[Any, Path], None]:
    def edit(file: Any, folder: Path) -> None:
        old = [[name.decode() for name in edge] for edge in file["/node/edges"][()]]
        replace(file, "/node/edges", change(old), dtype=h5py.string_dtype())

    return edit


def external_link(file: Any, folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["secret"] = np.ones((4, 5))
    del file[f"{ROOT}/fc2/weight"]
    file[f"{ROOT}/fc2/weight"] = h5py.ExternalLink(str(folder / "other.h5"), "secret")


def soft_link(file: Any, folder: Path) -> None:
    del file[f"{ROOT}/fc2/weight"]
    file[f"{ROOT}/fc2/weight"] = h5py.SoftLink(f"{ROOT}/fc1/weight")


def link_in_metadata(file: Any, folder: Path) -> None:
    file["/node/metadata/more"] = h5py.ExternalLink("/etc/passwd", "x")


def external_storage(file: Any, folder: Path) -> None:
    (folder / "raw").write_bytes(np.ones(20).tobytes())
    del file[f"{ROOT}/fc2/weight"]
    file.create_dataset(f"{ROOT}/fc2/weight", (4, 5), "f8", external=[(str(folder / "raw"), 0, 160)])


def virtual_storage(file: Any, folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["w"] = np.ones((4, 5))
    layout = h5py.VirtualLayout((4, 5), "f8")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "w", (4, 5))
    del file[f"{ROOT}/fc2/weight"]
    file.create_virtual_dataset(f"{ROOT}/fc2/weight", layout)


def huge(file: Any, folder: Path) -> None:
    del file[f"{ROOT}/fc2/weight"]
    file.create_dataset(f"{ROOT}/fc2/weight", (1 << 20, 1 << 20), "f8", chunks=(64, 64), compression="gzip")


def huge_chunk(file: Any, folder: Path) -> None:
    del file[f"{ROOT}/fc2/weight"]
    file.create_dataset(
        f"{ROOT}/fc2/weight",
        (4, 5),
        "f8",
        chunks=(1 << 14, 1 << 14),
        maxshape=(None, None),
        compression="gzip",
    )


def loop_of_groups(file: Any, folder: Path) -> None:
    file["/node/nodes/fc1/again"] = file["/node/nodes"]


def deep(file: Any, folder: Path) -> None:
    file.create_group("/node/metadata/" + "/".join("abcdefghij"))


def crowd(file: Any, folder: Path) -> None:
    group = file.create_group("/node/metadata/crowd")
    one = file.create_dataset("/node/metadata/one", data=1.0)
    for index in range(nir_guard.MAX_OBJECTS):
        group[str(index)] = one


def named_badly(file: Any, folder: Path) -> None:
    file.move(f"{ROOT}/fc2", f"{ROOT}/os.system")


def null_space(file: Any, folder: Path) -> None:
    replace(file, f"{ROOT}/fc2/weight", h5py.Empty("f8"))


REFUSALS: dict[str, tuple[Callable[[Any, Path], None], str]] = {
    "external link": (external_link, "fc2/weight: is a link to another place or file"),
    "soft link": (soft_link, "fc2/weight: is a link to another place or file"),
    "link in metadata": (link_in_metadata, "metadata/more: is a link"),
    "external storage": (external_storage, "fc2/weight: its values lie in another file"),
    "virtual storage": (virtual_storage, "fc2/weight: its values lie in another file"),
    "huge": (huge, "more than the limit of 1073741824"),
    "huge chunk": (huge_chunk, "more than the limit of 1073741824"),
    "loop of groups": (loop_of_groups, "nested deeper than 8 levels"),
    "deep": (deep, "nested deeper than 8 levels"),
    "crowd": (crowd, "more than 24576 objects"),
    "null": (null_space, "fc2/weight: is empty"),
    "bool": (edited("/fc2/weight", np.ones((4, 5), bool)), "has type bool, but must be numbers or text"),
    "complex": (edited("/fc2/weight", np.ones((4, 5), complex)), "has type complex128, but must be numbers"),
    "text": (edited("/fc2/weight", "abc"), "fc2: weight is a text, but must be numbers"),
    "texts": (edited("/fc2/weight", ["a", "b"]), "fc2/weight: is object(2,), but must be one text"),
    "compound": (
        edited("/fc2/weight", np.zeros(3, [("a", "f8"), ("b", "i4")])),
        "but must be numbers or text",
    ),
    "nan": (edited("/fc2/weight", np.full((4, 5), np.nan)), "fc2: weight has values that are not finite"),
    "infinite": (
        edited("/lif1/v_threshold", np.full(5, np.inf)),
        "lif1: v_threshold has values that are not",
    ),
    "no values": (edited("/fc2/weight", np.zeros((0, 5))), "fc2: weight is empty"),
    "tau 0": (edited("/lif1/tau", np.zeros(5)), "lif1: tau goes down to 0.0 s, but must be positive"),
    "tau short": (
        edited("/lif1/tau", np.full(5, 5e-4)),
        "lif1: tau goes down to 0.0005 s, but must be at least",
    ),
    "tau stale": (edited("/lif1/tau", np.full(5, 5e-3)), "lif1: beta in avnir's metadata does not fit"),
    "tau shape": (edited("/lif1/tau", np.full(4, 1e-2)), "lif1: its parameters have different shapes"),
    "r 0": (edited("/lif1/r", np.zeros(5)), "lif1: r goes down to 0.0, but must be positive"),
    "threshold": (edited("/lif1/v_threshold", np.full(5, -1.0)), "lif1: v_threshold goes down to -1.0"),
    "v_leak": (edited("/lif1/v_leak", np.full(5, 0.1)), "lif1: v_leak is not 0"),
    "v_reset": (edited("/lif1/v_reset", np.full(5, 0.1)), "lif1: v_reset is not 0"),
    "weight shape": (edited("/fc2/weight", np.ones((4, 6))), "fc2: Linear takes (6,), but its input is (5,)"),
    "weight cube": (edited("/fc2/weight", np.ones((4, 5, 1))), "must be a matrix [out, in]"),
    "bias shape": (edited("/fc1/bias", np.ones(4)), "must be None or of shape (5,)"),
    "weight changed": (edited("/fc2/weight", np.ones((4, 5))), "the digest in avnir's metadata does not fit"),
    "shape real": (
        edited("/image/shape", np.array([6.0])),
        "image: shape has type float64, but must be whole",
    ),
    "shape negative": (
        edited("/image/shape", np.array([-6])),
        "fc1: Linear takes (6,), but its input is (-6,)",
    ),
    "output shape": (
        edited("/out/shape", np.array([5])),
        "out: shape is (5,), but what feeds it has the shape (4,)",
    ),
    "unknown type": (edited("/fc2/type", "Dropout"), "fc2: Dropout: is no type of NIR"),
    "type lost": (removed(f"{ROOT}/fc2/type"), "/node/nodes/fc2 lacks the data set 'type'"),
    "field lost": (removed(f"{ROOT}/fc2/weight"), "fc2: Linear lacks the field 'weight'"),
    "field more": (edited("/fc2/type", "Scale"), "fc2: Scale has no field 'weight' in NIR"),
    "nodes lost": (removed("/node/nodes"), "/node lacks the group 'nodes'"),
    "edges lost": (removed("/node/edges"), "/node lacks the data set 'edges'"),
    "no graph": (
        lambda file, _: replace(file, "/node/type", "LIF"),
        "/node is a LIF, but must be a NIRGraph",
    ),
    "edges of numbers": (
        lambda file, _: replace(file, "/node/edges", np.ones((3, 2))),
        "must be text [E, 2]",
    ),
    "edge to nowhere": (
        edges(lambda e: [*e, ["fc1", "fc3"]]),
        "edge runs from 'fc1' to 'fc3', but there is no",
    ),
    "edge twice": (edges(lambda e: [*e, e[0]]), "fc1: is fed twice by one node"),
    "edge lost": (edges(lambda e: e[1:]), "fc1: Affine has 0 inputs"),
    "edge into input": (edges(lambda e: [*e, ["image", "image"]]), "form a loop; a loop without a state"),
    "recurrent": (
        edges(lambda e: [*e, ["lif2", "fc2"]]),
        "fc2 form a loop; the list of loops in avnir's metadata",
    ),
    "sum of shapes": (
        edges(lambda e: [*e, ["image", "fc2"]]),
        "needs one shape, but is lif1 (5,), image (6,)",
    ),
    "bad name": (named_badly, "edge runs from 'lif1' to 'fc2', but there is no such node"),
    "record lost": (removed("/node/metadata"), "it does not say how long a time step is"),
    "record key": (
        record(f"{ROOT}/lif1", colour=1),
        "lif1/metadata/avnir is not avnir's (colour: Extra inputs",
    ),
    "record type": (record(f"{ROOT}/lif1", beta="0.9"), "lif1/metadata/avnir is not avnir's"),
    "record nan": (record("/node", dt=float("nan")), "/node/metadata/avnir is not avnir's"),
    "record format": (record("/node", format="avnir-nir-9"), "/node/metadata/avnir is not avnir's (format"),
    "dt": (record("/node", dt=-1.0), "the time step is -1.0 s, but must be positive"),
    "dt changed": (record("/node", dt=1.1e-3), "lif1: beta in avnir's metadata does not fit"),
    "order": (record("/node", order=["image"]), "the order of nodes in avnir's metadata does not fit"),
    "reset": (record(f"{ROOT}/lif1", reset="zero"), "the digest in avnir's metadata does not fit"),
    "reset unknown": (record(f"{ROOT}/lif1", reset="sideways"), "Lif.reset is 'sideways'"),
    "beta 1 ulp": (
        record(f"{ROOT}/lif1", beta=float(np.nextafter(0.9, 1))),
        "the digest in avnir's metadata",
    ),
    "beta far": (record(f"{ROOT}/lif1", beta=0.9000000001), "lif1: beta in avnir's metadata does not fit"),
    "betas": (record(f"{ROOT}/lif1", beta=[0.9, 0.9]), "lif1: the number of betas in avnir's metadata"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_reader_refuses(case: str, tmp_path: Path) -> None:
    edit, said = REFUSALS[case]
    path = tmp_path / "g.nir"
    write_nir(chain("subtract"), path)
    with h5py.File(path, "r+") as file:
        edit(file, tmp_path)
    started = time.process_time()
    with pytest.raises(InterchangeError) as caught:
        read_nir(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert time.process_time() - started < 5


CONV_REFUSALS: dict[str, tuple[Callable[[Any, Path], None], str]] = {
    "zero block filled": (
        element("/grouped/weight", (0, 3, 0, 0)),
        "the form of 'weight' in avnir's",
    ),
    "kernel": (record(f"{ROOT}/tall", kernel=[5, 1]), "tall: a kernel of 3 does not hold one of 5"),
    "padding": (
        record(f"{ROOT}/tall", padding=[0, 0]),
        "tall: a kernel of 3 does not hold one of 3 moved by 1",
    ),
    "groups": (record(f"{ROOT}/grouped", groups=4), "grouped: a weight (6, 4, 3, 3) does not hold 4 groups"),
    "bias": (edited("/tall/bias", np.ones(4)), "tall: the form of 'bias' in avnir's metadata"),
    "stride 0": (
        edited("/tall/stride", np.array([0, 1])),
        "tall: Conv2d.stride is (0, 1), but must be at least 1",
    ),
    "stride of 3": (
        edited("/tall/stride", np.array([1, 1, 1])),
        "tall: stride has 3 values, but must be one or two",
    ),
    "groups of 2": (edited("/tall/groups", np.array([1, 1])), "tall: groups has 2 values, but must be one"),
    "padding word": (edited("/tall/padding", "full"), "tall: padding is 'full' with stride (1, 2)"),
    "input_shape": (
        edited("/tall/input_shape", np.array([9, 9])),
        "tall: input_shape is (9, 9), but what feeds it",
    ),
    "scale": (
        edited("/channel/scale", np.ones((6, 9))),
        "channel: the shape of scale is (6, 9), but what feeds",
    ),
    "scale varies": (
        element("/half/scale", (5, 8, 3)),
        "half: the form of 'scale' in avnir's metadata",
    ),
    "scale shape": (
        record(f"{ROOT}/half", shape=[5, 9, 4]),
        "half: the shape in avnir's metadata does not fit",
    ),
    "axes": (
        edited("/flat/end_dim", np.array(2)),
        "flat: it merges the axes 0 to 2, but its input is (6, 10)",
    ),
    "pool": (
        edited("/sums/kernel_size", np.array([99, 1])),
        "sums: SumPool2d with a 99x1 window makes nothing",
    ),
}


@pytest.mark.parametrize("case", CONV_REFUSALS)
def test_reader_refuses_in_convolutions(case: str, tmp_path: Path) -> None:
    edit, said = CONV_REFUSALS[case]
    path = tmp_path / "g.nir"
    write_nir(convolutions(), path)
    with h5py.File(path, "r+") as file:
        edit(file, tmp_path)
    with pytest.raises(InterchangeError) as caught:
        read_nir(path)
    assert said in str(caught.value)


def test_nodes_with_our_metadata_need_the_graphs(tmp_path: Path) -> None:
    """Else the reset of a neuron would hang on which part of the metadata another program kept."""
    path = tmp_path / "g.nir"
    write_nir(chain("subtract"), path)
    with h5py.File(path, "r+") as file:
        del file["/node/metadata"]
    with pytest.raises(InterchangeError, match="lif1: a node, but not the graph, in avnir's metadata"):
        read_nir(path, dt=1e-3)


def test_heap_that_never_ends_is_refused(tmp_path: Path) -> None:
    """An entry of size 0 leads to itself: HDF5 2.0 reads it for ever."""
    path = tmp_path / "g.nir"
    write_nir(chain("zero"), path)
    data = bytearray(path.read_bytes())
    heap = data.index(nir_guard.HEAP)
    data[heap + 16 : heap + 32] = bytes(16)
    path.write_bytes(data)
    with pytest.raises(InterchangeError, match=r"the heap of texts at byte \d+ does not end"):
        read_nir(path)


def test_text_that_claims_more_than_the_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "g.nir"
    write_nir(chain("zero"), path)
    with h5py.File(path, "r") as file:
        start = file["/node/metadata/avnir"].id.get_offset()
    data = bytearray(path.read_bytes())
    data[start : start + 4] = b"\xff" * 4
    path.write_bytes(data)
    with pytest.raises(
        InterchangeError, match="/node/metadata/avnir: is text that is packed, or longer than"
    ):
        read_nir(path)


def test_all_findings_come_at_once(tmp_path: Path) -> None:
    path = tmp_path / "g.nir"
    write_nir(chain("zero"), path)
    with h5py.File(path, "r+") as file:
        replace(file, f"{ROOT}/fc1/bias", np.full(5, np.nan))
        replace(file, f"{ROOT}/lif1/tau", np.full(5, -1.0))
        replace(file, f"{ROOT}/fc2/type", "Dropout")
        replace(file, f"{ROOT}/lif2/v_reset", np.ones(4))
    with pytest.raises(InterchangeError) as caught:
        read_nir(path)
    for start in (
        "fc1: bias has values",
        "lif1: tau goes down",
        "fc2: Dropout: is no type",
        "lif2: v_reset is not 0",
    ):
        assert f"  - {start}" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04 not a NIR file at all" * 40])
def test_files_that_are_not_hdf5(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "g.nir").write_bytes(content)
    with pytest.raises(InterchangeError, match=r"g\.nir(: it is no HDF5 file| cannot be read as a NIR file)"):
        read_nir(tmp_path / "g.nir")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.nir", tmp_path):
        with pytest.raises(InterchangeError, match="cannot be read as a NIR file"):
            read_nir(path)


def damaged(data: bytes, random: Random) -> bytes:
    """The file with some bytes changed, cut out, cut off, or moved."""
    changed = bytearray(data)
    kind = random.randrange(5)
    if kind == 0:
        return bytes(changed[: random.randrange(len(data))])
    for _ in range(random.choice([1, 1, 4, 64])):
        place = random.randrange(len(changed))
        if kind == 1:
            changed[place] ^= 1 << random.randrange(8)
        elif kind == 2:
            changed[place : place + 8] = random.choice([b"\xff" * 8, b"\0" * 8, b"\x7f" * 8])
        elif kind == 3:
            start = random.randrange(len(changed))
            changed[place : place + 32] = changed[start : start + 32]
        else:
            changed[place] = random.randrange(256)
    return bytes(changed)


DAMAGED = (lambda: chain("subtract"), audio_visual, convolutions, lambda: recurrent("subtract"), sequences)


@pytest.mark.parametrize("make", DAMAGED)
def test_damaged_files_are_refused_or_read_equal(make: Callable[[], Graph], tmp_path: Path) -> None:
    graph, random, path = make(), Random(20), tmp_path / "g.nir"
    write_nir(graph, path)
    data = path.read_bytes()
    refused = 0
    for _ in range(120):
        path.write_bytes(damaged(data, random))
        started = time.process_time()
        try:
            assert read_nir(path) == graph
        except InterchangeError:
            refused += 1
        assert time.process_time() - started < 5
    assert refused > 10


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"alpha": 0.7000000001}, "lif1: alpha in avnir's metadata does not fit"),
        ({"alpha": [0.7, 0.7]}, "lif1: the number of alphas in avnir's metadata"),
        ({"alpha": float(np.nextafter(0.7, 1))}, "the digest in avnir's metadata"),
        ({"beta": 0.8}, "lif1: beta in avnir's metadata does not fit"),
    ],
)
def test_stale_decays_of_a_current(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "g.nir"
    write_nir(current("subtract"), path)
    with h5py.File(path, "r+") as file:
        record(f"{ROOT}/lif1", **change)(file, tmp_path)
    with pytest.raises(InterchangeError) as caught:
        read_nir(path)
    assert said in str(caught.value)


LOOP_REFUSALS: dict[str, tuple[Callable[[Any, Path], None], str]] = {
    "loop forgotten": (record("/node", loops={}), "form a loop; the list of loops in avnir's metadata"),
    "loop of no edge": (
        record("/node", loops={"before1": {"after": "lif1", "before": ["fc3"]}}),
        "the loop 'before1' in avnir's metadata does not fit the file's edges",
    ),
    "loop after nothing": (
        record("/node", loops={"before1": {"after": "lif9", "before": ["again1"]}}),
        "the loop 'before1' in avnir's metadata",
    ),
    "loop by a name that is taken": (
        record("/node", loops={"fc1": {"after": "lif1", "before": ["again1"]}}),
        "the loop 'fc1' in avnir's metadata",
    ),
    "delay changed": (edited("/long/delay", np.full(4, 1e-3)), "the digest in avnir's metadata"),
    "form": (record("/node", form="strict"), "the form of the graph in avnir's metadata"),
    "rows": (record("/node", rows=["lif1"]), "the form of the graph in avnir's metadata"),
}


@pytest.mark.parametrize("case", LOOP_REFUSALS)
def test_reader_refuses_in_loops(case: str, tmp_path: Path) -> None:
    edit, said = LOOP_REFUSALS[case]
    check_refused(recurrent("subtract"), "standard", edit, said, tmp_path)


def check_refused(
    graph: Graph, form: Form, edit: Callable[[Any, Path], None], said: str, folder: Path
) -> None:
    path = folder / "g.nir"
    write_nir(graph, path, form=form)
    with h5py.File(path, "r+") as file:
        edit(file, folder)
    with pytest.raises(InterchangeError) as caught:
        read_nir(path)
    assert said in str(caught.value)


STRICT_REFUSALS: dict[str, tuple[Callable[[Any, Path], None], str]] = {
    "scale": (edited("/lif1_reset/scale", np.full(5, -1.0)), "lif1_reset: the form of 'scale' in avnir's"),
    "delay": (edited("/lif1_late/delay", np.full(5, 2e-3)), "lif1_late: the form of 'delay' in avnir's"),
    "edge": (
        edges(lambda e: [["lif2_late", b] if a == "lif2_above" else [a, b] for a, b in e]),
        "the form of the graph in avnir's metadata",
    ),
    "reset": (
        record("/node", resets={"lif1": {"reset": "subtract", "nodes": ["lif1_late"]}}),
        "lif1 is no threshold of neurons of reset 'subtract'",
    ),
    "forgotten": (record("/node", resets={}), "the order of nodes in avnir's metadata"),
    "plain": (record("/node", form="standard"), "the form of the graph in avnir's metadata"),
}


@pytest.mark.parametrize("case", STRICT_REFUSALS)
def test_reader_refuses_in_the_strict_form(case: str, tmp_path: Path) -> None:
    edit, said = STRICT_REFUSALS[case]
    check_refused(chain("subtract"), "strict", edit, said, tmp_path)


ROW_REFUSALS: dict[str, tuple[Callable[[Any, Path], None], str]] = {
    "rows forgotten": (record("/node", rows=[]), "mean: the list of rows in avnir's metadata"),
    "pool weight": (element("/mean/weight", (0, 1, 0)), "mean: the form of 'weight' in avnir's metadata"),
    "pool forgotten": (record(f"{ROOT}/mean", pool="SumPool2d"), "the digest in avnir's metadata"),
    "weight cube": (edited("/conv1/weight", np.ones((6, 4))), "conv1: weight has shape (6, 4), but must be"),
    "stride of 2": (edited("/conv2/stride", np.array([1, 1])), "conv2: stride has 2 values, but must be one"),
    "length": (
        edited("/conv2/input_shape", np.array(11)),
        "conv2: input_shape is (1, 11), but what feeds",
    ),
}


@pytest.mark.parametrize("case", ROW_REFUSALS)
def test_reader_refuses_in_sequences(case: str, tmp_path: Path) -> None:
    edit, said = ROW_REFUSALS[case]
    check_refused(sequences(), "standard", edit, said, tmp_path)


def test_the_strict_form_lists_the_resets_that_it_cannot_say_with_all_else(tmp_path: Path) -> None:
    half = np.array(0.5)
    graph = around(
        real.Lif(half, half, half, "zero_next"), real.Threshold(half), real.MaxPool2d((2, 2), (2, 2))
    )
    said = [str(finding) for finding in nir_findings(graph, "strict")]
    assert [text.split(":")[0] for text in said] == ["n0 (net.py", "n2 (net.py"]
    assert "a product with its spikes" in said[0]
    assert len(nir_findings(graph)) == 1


@pytest.mark.parametrize(
    ("ops", "problem"),
    [
        ((real.Conv2d(np.ones((2, 2, 3, 3)), padding=(1, 1)),), "n1 (net.py:1): it is no 1-d layer, but"),
        (
            (real.AvgPool2d((2, 2), (1, 1), (1, 0)),),
            "n1 (net.py:1): it is no 1-d layer, but works",
        ),
        ((real.Flatten((3, 4)),), "n1 (net.py:1): Flatten makes (3, 4) of (2, 6)"),
        ((real.Delay((2, 1, 6), 1 << 17),), "n1 (net.py:1): it is a delay of 131072 steps"),
    ],
)
def test_rows_that_are_no_sequence_are_refused(
    ops: tuple[Operation, ...], problem: str, tmp_path: Path
) -> None:
    (finding,) = nir_findings(around(real.Flatten((2, 1, 6)), *ops, shape=(2, 6)))
    assert str(finding).startswith(problem)


def test_a_sum_of_rows_and_a_picture_is_refused() -> None:
    nodes = (
        Node("sound", real.Input((2, 6))),
        Node("image", real.Input((2, 1, 6))),
        Node("rows", real.Flatten((2, 1, 6)), ("sound",)),
        Node("half", real.Scale(np.array(0.5)), ("image", "rows")),
        Node("out", real.Output((2, 1, 6)), ("half",)),
    )
    (finding,) = nir_findings(verified(Graph("real", nodes)))
    assert str(finding).startswith("half: its inputs image, rows of shape (2, 1, 6) are partly (C, L) in NIR")


def test_an_alpha_neuron_with_a_reset_is_refused_with_the_reason() -> None:
    (finding,) = nir_findings(around(alpha_neuron("zero")))
    assert str(finding).startswith("n0 (net.py:0): Alpha has no form in NIR")
    assert "another reset changes one of two currents" in str(finding)
