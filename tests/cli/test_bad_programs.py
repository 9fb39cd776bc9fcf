"""Programs that no chip can run: each is one named error, before any backend is started."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avnir import target
from avnir.cli import main
from avnir.compile import compile_graph
from avnir.errors import LimitError
from avnir.ir import integer
from avnir.ir.graph import Graph, Node, verified
from avnir.ir.operation import Array, digest
from avnir.ir.real import Input, Lif, Linear, Output
from avnir.place import place
from avnir.program import ARRAYS, STRUCTURE, Program
from tests.place.networks import Dense, chain

LOIHI1, LOIHI2 = target.load("loihi1"), target.load("loihi2")
Record = dict[str, Any]


def values(record: Record, node: str) -> Record:
    found: Record = next(entry["values"] for entry in record["nodes"] if entry["name"] == node)
    return found


def replaced(node: str, name: str, array: Array) -> Callable[[Record, dict[str, Array]], None]:
    """Put another array into a node."""

    def change(record: Record, arrays: dict[str, Array]) -> None:
        arrays[digest(array)] = array
        values(record, node)[name] = {"array": digest(array)}

    return change


def set_to(node: str, name: str, value: int) -> Callable[[Record, dict[str, Array]], None]:
    return lambda record, arrays: values(record, node).update({name: value})


def unknown(record: Record, arrays: dict[str, Array]) -> None:
    next(entry for entry in record["nodes"] if entry["name"] == "l0")["op"] = "Izhikevich"


def resealed(folder: Path, change: Callable[[Record, dict[str, Array]], None]) -> Path:
    """A saved program with a change in it, and digests that are right again."""
    chain((4,), Dense(3, 8)).save(folder)
    record = json.loads((folder / STRUCTURE).read_text())
    del record["digest"]
    with np.load(folder / ARRAYS) as file:
        arrays = dict(file)
    change(record, arrays)
    text = json.dumps(record, indent=1, sort_keys=True) + "\n"
    record["digest"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / STRUCTURE).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    np.savez_compressed(folder / ARRAYS, **arrays)  # type: ignore[arg-type]
    return folder


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            replaced("c0", "weight", np.full((3, 4), 200, np.int16)),
            "Dense.weight is values in [200, 200], but must be an int8 array",
        ),
        (
            replaced("l0", "threshold", np.array(1 << 17, np.int32)),
            "Lif.threshold is values in [131072, 131072], but must be in [0, 131071]",
        ),
        (set_to("c0", "delay", 63), "Dense.delay is 63, but must be in [0, 62]"),
        (set_to("c0", "exponent", 8), "Dense.exponent is 8, but must be in [0, 7]"),
        (unknown, "Izhikevich"),
    ],
    ids=["weight", "threshold", "delay", "exponent", "operation"],
)
@pytest.mark.parametrize("backend", ["cpu", "lava"])
def test_what_the_chip_cannot_hold_is_named_before_a_backend_starts(
    change: Callable[[Record, dict[str, Array]], None],
    named: str,
    backend: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AVNIR_LAVA_ENV", str(tmp_path / "nowhere"))
    folder = resealed(tmp_path / "program", change)
    np.savez(tmp_path / "x.npz", x=np.ones((2, 1, 4), np.uint8))
    with pytest.raises(SystemExit) as stop:
        main(["run", str(folder), "--inputs", str(tmp_path / "x.npz"), "--backend", backend])
    told = capsys.readouterr()
    assert stop.value.code == 2
    assert named in told.err
    assert "lava setup" not in told.err
    assert not told.out


def test_the_seal_of_the_other_programs_is_right(tmp_path: Path) -> None:
    folder = resealed(tmp_path / "program", set_to("c0", "exponent", 7))
    assert Program.load(folder).graph["c0"].op.exponent == 7  # type: ignore[attr-defined]


def test_values_beyond_the_target_are_found_together() -> None:
    nodes = (
        Node("x", integer.Input((4,), 8)),
        Node("c", integer.Dense(np.full((3, 4), -128, np.int8)), ("x",)),
        Node(
            "l",
            chain((4,), Dense(3, 8)).graph["l0"].op.replace(threshold=np.array(1 << 16, np.int32)),
            ("c",),
        ),
        Node("out", integer.Output((3,)), ("l",)),
    )
    program = Program(verified(Graph("integer", nodes)), "loihi1")
    narrow = {
        name: getattr(LOIHI1.limits, name).model_copy(update={"value": bits})
        for name, bits in (("weight_bits", 7), ("threshold_bits", 16))
    }
    limits = LOIHI1.limits.model_copy(update=narrow)
    with pytest.raises(LimitError) as caught:
        place(program, LOIHI1.model_copy(update={"limits": limits}))
    found = {finding.place: finding.problem for finding in caught.value.findings}
    assert found["x"].startswith("message bits: 8, more than the limit of 0")
    assert found["c"].startswith("weight bits: 8, more than the limit of 7")
    assert found["l"].startswith("threshold bits: 17, more than the limit of 16")


def test_a_layer_too_large_for_the_chip_stops_the_pipeline() -> None:
    weight = np.random.default_rng(0).normal(size=(3, 12_000))
    neuron = Lif(beta=np.array(0.5), threshold=np.array(1.0), gain=np.array(1.0), reset="zero")
    nodes = (
        Node("x", Input((12_000,))),
        Node("fc", Linear(weight), ("x",)),
        Node("wide", neuron, ("fc",), "wide (net.py:3)"),
        Node("out", Output((3,)), ("wide",)),
    )
    with pytest.raises(LimitError, match=r"wide \(net.py:3\): one neuron alone takes .* at most \d+ inputs"):
        compile_graph(verified(Graph("real", nodes)), LOIHI1)
