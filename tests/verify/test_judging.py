"""Stages that are compared some samples after others give the verdict on all of them together."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from avnir.decision import Decision
from avnir.ir.operation import Array
from avnir.trace import Trace
from avnir.verify.compare import Comparison, added, agreements, compare
from avnir.verify.stages import GRAPH, INTEGER, REFERENCE, Judging, Stages, judge

STEPS, SAMPLES = 3, 7
SLOW: dict[str, Any] = {"deadline": None}


def sent(dice: np.random.Generator, base: Array, share: float) -> Array:
    """The same spikes, but for a share of them."""
    return np.where(dice.random(base.shape) < share, 1 - base, base).astype(np.uint8)


def stages(seed: int, share: float, real: bool, rehearsed: bool) -> Stages:
    """Runs that differ in a share of their spikes; if `real`, floats put out real numbers in one sample."""
    dice = np.random.default_rng(seed)
    layers = {
        "first": (dice.random((STEPS, SAMPLES, 2, 3)) < 0.4).astype(np.uint8),
        "last": (dice.random((STEPS, SAMPLES, 4)) < 0.4).astype(np.uint8),
    }

    def ran(dtype: type, rehearsals: int = 0) -> Trace:
        spikes = {name: sent(dice, array, share) for name, array in layers.items()}
        out = spikes["last"].astype(dtype)
        if real and dtype != np.uint8:
            out[:, dice.integers(SAMPLES)] += dtype(0.25)
        before = tuple(Trace(ran(np.uint8).spikes, {}) for _ in range(rehearsals))
        return Trace(spikes, {"out": out}, {}, before)

    shown = 2 if rehearsed else 0
    backends = {"cpu": ran(np.uint8, shown), "lava": ran(np.uint8)}
    floats = {"model": ran(np.float32), REFERENCE: ran(np.float32)}
    return Stages(ran(np.float64), ran(np.uint8, shown), backends, floats)


def some(whole: Stages, samples: range) -> Stages:
    def of(traces: Any) -> dict[str, Trace]:
        return {name: trace.samples(samples) for name, trace in traces.items()}

    graph, integer = whole.graph.samples(samples), whole.integer.samples(samples)
    return Stages(graph, integer, of(whole.backends), of(whole.floats))


@settings(**SLOW, max_examples=60)
@given(
    st.integers(0, 999),
    st.sampled_from([0.0, 0.02, 0.5]),
    st.booleans(),
    st.booleans(),
    st.sets(st.integers(0, SAMPLES - 1)),
    st.sets(st.integers(1, SAMPLES - 1)),
)
def test_in_turn_as_together(
    seed: int, share: float, real: bool, rehearsed: bool, ties: set[int], cuts: set[int]
) -> None:
    whole, labels = stages(seed, share, real, rehearsed), np.arange(SAMPLES) % 4
    judging, decision = Judging(), Decision()
    edges = [0, *sorted(cuts), SAMPLES]
    for first, last in pairwise(edges):
        judging.add(some(whole, range(first, last)), [t - first for t in sorted(ties) if first <= t < last])
    found = judging.verification(labels, decision, {})
    assert found == judge(whole, labels, tuple(sorted(ties)), decision, {})
    if not ties:
        assert list(found.exact) == [
            *(compare(trace, whole.graph, (name, GRAPH)) for name, trace in whole.floats.items()),
            *(compare(whole.integer, trace, (INTEGER, name)) for name, trace in whole.backends.items()),
        ]
        assert found.quantisation == compare(whole.floats[REFERENCE], whole.integer, (REFERENCE, INTEGER))


def test_a_sample_is_called_by_its_number_where_others_are_left_out() -> None:
    whole = stages(0, 0.0, real=False, rehearsed=False)
    spikes = {name: array.copy() for name, array in whole.graph.spikes.items()}
    spikes["last"][1, 5, 2] ^= 1
    changed = Stages(Trace(spikes, whole.graph.outputs), whole.integer, whole.backends, whole.floats)
    where = judge(changed, ties=(0, 3)).exact[0].divergence
    assert where is not None
    assert (where.layer, where.step, where.sample, where.neuron) == ("last", 1, 5, (2,))


def test_agreements_add_up() -> None:
    whole = stages(3, 0.3, real=False, rehearsed=False)
    parts = [range(2), range(2, SAMPLES)]
    pairs = [(whole.graph.samples(part), whole.integer.samples(part), part) for part in parts]
    layers = added([agreements(one, other, ("a", "b"), part) for one, other, part in pairs])
    found = Comparison("a", "b", layers, outputs_equal=False)
    assert found == compare(whole.graph, whole.integer, ("a", "b"))
