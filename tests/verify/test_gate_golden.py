"""Golden traces: read back bit for bit, every difference found, damaged and foreign files refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from avnir import target
from avnir.compile import compile_graph
from avnir.errors import DataError
from avnir.files import read_npz
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array
from avnir.program import Program
from avnir.trace import Trace
from avnir.verify.compare import compare
from avnir.verify.gate import GOLDEN
from avnir.verify.golden import Golden, check_golden
from tests.networks import audio_visual, spikes

PATH = Path("golden.npz")
Ran = tuple[Program, dict[str, Array], Trace]


@pytest.fixture(scope="module")
def ran() -> Ran:
    """A program, inputs, and what it makes of them."""
    graph = audio_visual(0, reset="zero")
    program = compile_graph(graph, target.load("loihi2")).program
    inputs = spikes(graph, 0, steps=6)
    return program, inputs, interpret_integer(program.graph, inputs)


@pytest.fixture
def golden(ran: Ran) -> Golden:
    return Golden.of(*ran)


def equal(first: Golden, second: Golden) -> bool:
    same = {
        n: np.array_equal(a, second.spikes[n]) and a.dtype == second.spikes[n].dtype
        for n, a in first.spikes.items()
    }
    return (
        first.program == second.program
        and np.array_equal(first.inputs, second.inputs)
        and first.spikes.keys() == second.spikes.keys()
        and all(same.values())
    )


def test_what_is_written_is_read_and_the_same_bytes_again(golden: Golden, tmp_path: Path) -> None:
    golden.save(tmp_path / "a.npz")
    again = Golden.load(tmp_path / "a.npz")
    assert equal(golden, again)
    again.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_messages_and_rehearsals_are_kept(tmp_path: Path, ran: Ran) -> None:
    program, inputs, _ = ran
    rng = np.random.default_rng(1)
    shown = [
        Trace(
            {
                "sums": rng.integers(-(2**31), 2**31, (6, 3, 4), np.int32),
                "l": rng.integers(0, 2, (6, 3, 7), np.uint8),
            },
            {},
        )
        for _ in range(3)
    ]
    found = Golden.of(program, inputs, dataclasses.replace(shown[2], rehearsals=tuple(shown[:2])))
    assert found.spikes["sums"].shape == (18, 3, 4)
    found.save(tmp_path / "a.npz")
    assert equal(found, Golden.load(tmp_path / "a.npz"))


def test_an_equal_trace_passes_and_a_changed_program_is_told(golden: Golden) -> None:
    check, comparison = check_golden(golden, golden, PATH, "m.pt")
    assert (check.kind, check.passed, check.found) == (GOLDEN, True, "equal in 3 of 3 samples")
    assert comparison is not None
    assert comparison.identical
    other = dataclasses.replace(golden, program="f" * 64)
    check, _ = check_golden(golden, other, PATH, "m.pt")
    assert check.passed
    assert check.found.endswith(f"; the program changed from {golden.program[:12]} to ffffffffffff")


def test_the_samples_that_both_hold_are_compared(golden: Golden) -> None:
    check, _ = check_golden(golden, golden.first(2), PATH, "m.pt")
    assert check.found == "equal in 2 of 3 samples"
    check, _ = check_golden(golden.first(1), golden, PATH, "m.pt")
    assert check.found == "equal in 1 of 1 samples"


def test_one_spike_less_is_found(golden: Golden) -> None:
    layer = list(golden.spikes)[-1]
    changed = golden.spikes[layer].copy()
    changed[(4, 2, *[0] * (changed.ndim - 2))] ^= 1
    now = dataclasses.replace(golden, spikes={**golden.spikes, layer: changed})
    check, comparison = check_golden(golden, now, PATH, "m.pt")
    neuron = tuple([0] * (changed.ndim - 2))
    assert f"first at {layer}, neuron {neuron}, step 4, sample 2: " in str(check.problem)
    assert "avnir verify m.pt --record golden.npz" in str(check.problem)
    assert comparison is not None
    assert [found.layer for found in comparison.layers if found.divergence] == [layer]


def test_a_changed_weight_fails_at_the_layer_neuron_and_step_it_first_shows(ran: Ran, golden: Golden) -> None:
    program, inputs, before = ran
    [node] = [n for n in program.graph if n.op.kind == "Dense" and n.name.endswith("lif_out")]
    weight = node.op.weight.copy()  # type: ignore[attr-defined]
    weight[0] = -weight[0]
    changed = dataclasses.replace(node, op=node.op.replace(weight=weight))
    mutant = program.graph.with_nodes(changed if n is node else n for n in program.graph)
    after = interpret_integer(mutant, inputs)
    check, _ = check_golden(
        golden, Golden.of(dataclasses.replace(program, graph=mutant), inputs, after), PATH, "m"
    )
    where = compare(before, after, ("a", "b")).divergence
    assert where is not None
    assert (where.layer, where.neuron) == ("lif_out", (0,))
    assert f"first at {where}" in str(check.problem)


def test_other_inputs_are_refused(golden: Golden, ran: Ran) -> None:
    program, inputs, trace = ran
    other = {name: array.copy() for name, array in inputs.items()}
    other["audio"][0, 1] = 1 - other["audio"][0, 1]
    with pytest.raises(DataError, match=r"golden.npz was recorded on other inputs: sample 1 is the first"):
        check_golden(golden, Golden.of(program, other, trace), PATH, "m.pt")


def test_other_layers_fail_by_name(golden: Golden) -> None:
    first, *rest = golden.spikes
    now = {name: golden.spikes[name] for name in rest} | {"new": golden.spikes[first]}
    now[rest[0]] = now[rest[0]][..., :1]
    check, comparison = check_golden(golden, dataclasses.replace(golden, spikes=now), PATH, "m.pt")
    assert comparison is None
    assert not check.passed
    assert all(name in str(check.problem) for name in (first, "new", rest[0]))


def test_files_that_are_no_golden_trace_are_refused(golden: Golden, ran: Ran, tmp_path: Path) -> None:
    golden.save(tmp_path / "good.npz")
    arrays = read_npz(tmp_path / "good.npz")
    layer = next(iter(golden.spikes))
    head = json.loads(str(arrays["golden"]))

    def without(name: str) -> dict[str, Array]:
        return {key: array for key, array in arrays.items() if key != name}

    def headed(**changes: object) -> dict[str, Array]:
        return {**arrays, "golden": np.array(json.dumps({**head, **changes}))}

    def shaped(shape: object, kind: str = "uint8") -> dict[str, Array]:
        return headed(layers={**head["layers"], layer: {"shape": shape, "type": kind}})

    wrong = {
        "no head": without("golden"),
        "no layer": without(f"spikes/{layer}"),
        "no inputs": without("inputs"),
        "surplus": {**arrays, "spikes/other": np.zeros(3, np.uint8)},
        "no json": {**arrays, "golden": np.array("{")},
        "a list": {**arrays, "golden": np.array("[]")},
        "format": headed(format="avnir-golden-0"),
        "layers": headed(layers={}),
        "huge": shaped([10**9, 10**9, 10**9]),
        "negative": shaped([-1, 3, 2]),
        "nested": shaped([[1], 2]),
        "scalar": shaped([]),
        "type": shaped(head["layers"][layer]["shape"], "float64"),
        "messages": shaped(head["layers"][layer]["shape"], "int32"),
        "samples": {**arrays, "inputs": arrays["inputs"][:1]},
        "digests": {**arrays, "inputs": arrays["inputs"].astype(np.int16)},
    }
    for name, content in wrong.items():
        path = tmp_path / f"{name}.npz"
        np.savez(path, **content)  # type: ignore[arg-type]
        with pytest.raises(DataError, match="is not a golden trace") as refusal:
            Golden.load(path)
        assert str(path) in str(refusal.value)
    interpret_integer(ran[0].graph, ran[1]).save(tmp_path / "trace.npz")
    with pytest.raises(DataError, match="is not a golden trace"):
        Golden.load(tmp_path / "trace.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:-100])
    for name in ("cut.npz", "nothing.npz"):
        with pytest.raises(DataError, match="cannot be read"):
            Golden.load(tmp_path / name)
