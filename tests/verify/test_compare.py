"""Comparison finds the first difference and counts every one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from avnir.errors import DataError, GateError
from avnir.trace import Trace
from avnir.verify.compare import compare
from avnir.verify.stages import Stages, judge, layer_table


def trace(seed: int = 0) -> Trace:
    rng = np.random.default_rng(seed)
    a = (rng.random((6, 4, 2, 3)) < 0.4).astype(np.uint8)
    b = (rng.random((6, 4, 5)) < 0.4).astype(np.uint8)
    return Trace({"first": a, "last": b}, {"out": b})


def flipped(original: Trace, layer: str, place: tuple[int, ...]) -> Trace:
    changed = {name: array.copy() for name, array in original.spikes.items()}
    changed[layer][place] ^= 1
    return Trace(changed, {"out": changed["last"]})


def stages(
    snntorch: Trace, graph: Trace, integer: Trace, backends: dict[str, Trace], model: Trace | None = None
) -> Stages:
    floats = {"snntorch": snntorch} if model is None else {"model": model, "snntorch": snntorch}
    return Stages(graph, integer, backends, floats)


def test_a_trace_equals_itself() -> None:
    found = compare(trace(), trace(), ("a", "b"))
    assert found.identical
    assert found.agreement == 1.0
    assert found.divergence is None


def test_rehearsals_are_compared_where_both_have_them() -> None:
    first = dataclasses.replace(trace(), rehearsals=(trace(1), trace(2)))
    second = dataclasses.replace(first, rehearsals=(trace(1), flipped(trace(2), "last", (3, 1, 2))))
    assert compare(first, first, ("a", "b")).identical
    found = compare(first, second, ("a", "b"))
    assert not found.identical
    assert found.divergence is not None
    assert (found.divergence.layer, found.divergence.step) == ("last", 6 + 3)
    alone = compare(first, trace(), ("a", "b"))
    assert alone.identical
    assert alone.layers[0].slots == trace().spikes["first"].size


def test_one_flipped_spike_is_found_where_it_is() -> None:
    changed = flipped(trace(), "first", (4, 2, 1, 0))
    found = compare(trace(), changed, ("a", "b"))
    assert not found.identical
    assert found.layers[0].equal == found.layers[0].slots - 1
    where = found.divergence
    assert where is not None
    assert (where.layer, where.step, where.sample, where.neuron) == ("first", 4, 2, (1, 0))
    assert str(where).startswith("first, neuron (1, 0), step 4, sample 2: ")


def test_first_is_first_in_time_then_in_depth() -> None:
    changed = flipped(flipped(trace(), "first", (4, 0, 0, 0)), "last", (3, 1, 2))
    divergence = compare(trace(), changed, ("a", "b")).divergence
    assert divergence is not None
    assert divergence.layer == "last"
    both = flipped(flipped(trace(), "last", (4, 0, 0)), "first", (4, 3, 1, 1))
    divergence = compare(trace(), both, ("a", "b")).divergence
    assert divergence is not None
    assert divergence.layer == "first"


def test_outputs_count_too() -> None:
    original = trace()
    swapped = Trace(original.spikes, {"out": original.outputs["out"][..., ::-1]})
    assert not compare(original, swapped, ("a", "b")).identical


def test_unlike_traces_are_refused() -> None:
    with pytest.raises(DataError, match="no layer in common"):
        compare(trace(), Trace({"other": np.zeros((1, 1, 1))}, {}), ("a", "b"))
    with pytest.raises(DataError, match=r"is \(6, 4, 5\) in a, but \(6, 4, 4\) in b"):
        compare(trace(), Trace({"last": trace().spikes["last"][..., :4]}, {}), ("a", "b"))


def test_the_verdict() -> None:
    good, off = trace(), flipped(trace(), "last", (5, 3, 4))
    labels = good.decisions()
    passed = judge(stages(good, good, off, {"cpu": off}, good), labels)
    assert passed.equal
    assert passed.accuracy["snntorch"] == 1.0
    assert passed.record()["exact"][2]["second"] == "cpu"
    passed.gate()
    with pytest.raises(
        GateError, match=r"cpu differs from integer, first at last, neuron \(4,\), step 5, sample 3"
    ):
        judge(stages(good, good, good, {"cpu": off})).gate()


def test_ties_are_named_and_left_out_of_the_float_comparison_alone() -> None:
    good, off = trace(), flipped(trace(), "last", (5, 3, 4))
    assert not judge(stages(good, off, off, {"cpu": off})).equal
    found = judge(stages(good, off, off, {"cpu": off}), ties=(3,))
    assert found.equal
    assert found.record()["rounding_ties"] == [3]
    assert found.exact[0].layers[0].slots == 3 * found.exact[1].layers[0].slots // 4
    with pytest.raises(GateError, match="nothing could be compared"):
        judge(stages(good, off, off, {}), ties=(0, 1, 2, 3)).gate()


def test_without_a_model_the_graph_is_the_reference() -> None:
    good, off = trace(), flipped(trace(), "last", (5, 3, 4))
    found = judge(Stages(good, off, {"cpu": off}), good.decisions())
    assert found.equal
    assert (found.quantisation.first, found.quantisation.second) == ("graph", "integer")
    assert set(found.accuracy) == {"graph", "integer", "cpu"}


def test_a_percentage_of_100_means_all() -> None:
    big = Trace({"l": np.zeros((1000, 10, 100), np.uint8)}, {"o": np.zeros((1000, 10, 100), np.uint8)})
    spikes = big.spikes["l"].copy()
    spikes[999, 9, 99] = 1
    off = Trace({"l": spikes}, {"o": spikes})
    row = layer_table(judge(stages(big, off, big, {})))[0]
    assert row[1] == "99.999 %"


def test_traces_are_saved_and_read(tmp_path) -> None:  # type: ignore[no-untyped-def]
    original = Trace(trace().spikes, trace().outputs, {"first": {"v": np.ones((6, 4, 2, 3), np.int32)}})
    original.save(tmp_path / "a.npz")
    again = Trace.load(tmp_path / "a.npz")
    assert compare(original, again, ("a", "b")).identical
    np.testing.assert_array_equal(again.states["first"]["v"], original.states["first"]["v"])
    original.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with pytest.raises(DataError, match="cannot be read"):
        Trace.load(tmp_path / "missing.npz")
    np.savez(tmp_path / "foreign.npz", x=np.ones(3))
    with pytest.raises(DataError, match="not a trace of format"):
        Trace.load(tmp_path / "foreign.npz")
