"""Every demand that is not kept is named, with value, limit and what to do; those that are kept pass."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avnir.trace import Trace
from avnir.verify.gate import GATE, GATES, STAGES, Check, Measures, Verdict, checks, failures
from avnir.verify.stages import Stages, Verification, divergence_table, judge

MEASURES = Measures(0.9, 0.8, 0.05, 7, 1000.5, 2.5e-6)
KEPT = {
    "min_agreement": 0.9,
    "min_accuracy": 0.8,
    "max_accuracy_drop": 0.05,
    "max_cores": 7,
    "max_synops": 1000.5,
    "max_latency": 2.5e-6,
}
"""Limits that the measures just keep."""


def trace() -> Trace:
    spikes = (np.random.default_rng(0).random((6, 4, 5)) < 0.4).astype(np.uint8)
    return Trace({"last": spikes}, {"out": spikes})


def flipped() -> Trace:
    spikes = trace().spikes["last"].copy()
    spikes[5, 3, 4] ^= 1
    return Trace({"last": spikes}, {"out": spikes})


def verified(cpu: Trace | None = None, ties: tuple[int, ...] = ()) -> Verification:
    good = trace()
    return judge(Stages(good, good, {"cpu": cpu or good}, {"snntorch": good}), good.decisions(), ties)


def verdict(*found: Check, model: str = "m.pt") -> Verdict:
    return Verdict(model, "loihi2", "0" * 64, verified(), MEASURES, found)


def test_limits_that_are_just_kept_pass() -> None:
    assert set(KEPT) == {gate.name for gate in GATES}
    found = checks(verified(), MEASURES, KEPT, "m.pt")
    assert [check.name for check in found] == ["snntorch = graph", "integer = cpu", *KEPT]
    assert all(check.passed for check in found)


@pytest.mark.parametrize("name", KEPT)
def test_a_limit_that_is_missed_by_the_least_fails(name: str) -> None:
    beyond = float(np.nextafter(KEPT[name], 1e9 if name.startswith("min_") else -1))
    [check] = [c for c in checks(verified(), MEASURES, {name: beyond}, "my.pt") if c.kind == GATE]
    assert check.problem is not None
    assert f"({name}). `avnir " in check.problem
    assert "my.pt" in check.problem
    assert (check.value, check.bound) == (KEPT[name], beyond)


@given(st.sampled_from(GATES), st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_gate_is_its_name(gate, value, limit) -> None:  # type: ignore[no-untyped-def]
    measures = dataclasses.replace(MEASURES, **{gate.measure: value})
    wanted = value >= limit if gate.name.startswith("min_") else value <= limit
    assert gate.check(measures, limit, "m").passed == wanted


def test_a_failing_value_and_its_limit_read_differently() -> None:
    [*_, check] = checks(
        verified(), dataclasses.replace(MEASURES, agreement=0.94999999), {"min_agreement": 0.95}, "m"
    )
    assert check.problem is not None
    assert "0.94999999, below 0.95 " in check.problem


def test_without_labels_accuracies_fail_with_what_to_do() -> None:
    measures = dataclasses.replace(MEASURES, accuracy=None, accuracy_drop=None)
    found = checks(verified(), measures, {"min_accuracy": 0.1, "max_accuracy_drop": 0.9}, "m.pt")
    assert [check.found for check in found if not check.passed] == ["no labels", "no labels"]
    assert all("labels=" in str(check.problem) for check in found if not check.passed)


def test_stages_that_differ_fail_with_the_place() -> None:
    verification = verified(flipped())
    [_, check] = checks(verification, MEASURES, {}, "m.pt")
    first, second = (t.spikes["last"][5, 3, 4] for t in (trace(), flipped()))
    assert (check.kind, check.name) == (STAGES, "integer = cpu")
    where = f"first at last, neuron (4,), step 5, sample 3: {first} against {second}"
    assert where in check.found
    assert where in str(check.problem)
    row = ("integer = cpu", "last", "4", "5", "3", str(first), str(second))
    assert divergence_table(verification) == [row]
    assert divergence_table(verified()) == []


def test_nothing_that_could_be_compared_fails() -> None:
    found = checks(verified(ties=(0, 1, 2, 3)), MEASURES, {}, "m.pt")
    assert any("nothing could be compared" in str(check.problem) for check in found)


def test_measures_of_a_verification() -> None:
    good = trace()
    off = Trace(good.spikes, {"out": good.outputs["out"][..., ::-1]})
    found = Measures.of(judge(Stages(good, off, {}, {}), good.decisions()), 3, 10.0)
    assert (found.cores, found.synops, found.latency) == (3, 10.0, None)
    assert found.accuracy is not None
    assert found.accuracy_drop == 1.0 - found.accuracy > 0
    unlabelled = Measures.of(judge(Stages(good, off, {}, {})), 3, 10.0)
    assert (unlabelled.accuracy, unlabelled.accuracy_drop) == (None, None)


def test_a_verdict_names_what_failed_and_its_model_if_there_are_several() -> None:
    good, bad = Check(GATE, "a", "1", "2"), Check(GATE, "b", "3", "2", "b is 3, above 2")
    assert verdict(good).passed
    assert not verdict(good, bad).passed
    assert failures({"m.pt": verdict(good, bad)}, named=False) == ["  - b is 3, above 2"]
    both = {"m.pt": verdict(good, bad), "n.pt": verdict(good, model="n.pt")}
    assert failures(both, named=True) == ["  - m.pt: b is 3, above 2"]
    record = verdict(good, bad).record()
    assert record["passed"] is False
    assert [gate["passed"] for gate in record["gates"]] == [True, False]
    assert verdict(good, bad).row()[:3] == ("m.pt", "FAILED", "b")
