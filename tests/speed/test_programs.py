"""The programs: activity, synapses one by one, and the same inputs each time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from avnir.ir.interpret_integer import interpret_integer
from avnir.speed.programs import CASES, KEEP, Case


@pytest.mark.parametrize("name", CASES)
def test_hidden_neurons_are_as_active_as_said(name: str) -> None:
    case = CASES[name]().resized(1, 60)
    activity = [sent.mean() for sent in interpret_integer(case.program.graph, case.inputs).spikes.values()]
    assert all(0.05 < share < 0.15 for share in activity[:-1] or activity)
    assert 0.01 < activity[-1] < 0.3


@pytest.mark.parametrize("name", ["dense", "conv"])
def test_listed_synapses_are_the_connections(name: str) -> None:
    case = CASES[name]()
    listed, shape = case.synapses(), case.shape
    for number, layer in enumerate(case.layers, start=1):
        spikes = np.random.default_rng(number).random(shape) < 0.2
        expected = layer.connection.step(spikes[None].astype(np.int64), {})[0]
        total = np.zeros(math.prod(expected.shape), np.int64)
        source, target, value = (listed[f"{what}{number}"] for what in ("source", "target", "value"))
        np.add.at(total, target, value.astype(np.int64) * spikes.ravel()[source])
        np.testing.assert_array_equal(total.reshape(expected.shape), expected)
        shape = expected.shape


def test_a_record_says_what_a_simulator_needs() -> None:
    case = CASES["conv"]()
    record, arrays = case.record(), case.resized(1, 2).arrays()
    assert (record["shape"], record["keep"]) == ((2, 32, 32), KEEP)
    assert [layer["shape"] for layer in record["layers"]] == [(8, 32, 32), (16, 16, 16), (10,)]
    assert [layer["stride"] for layer in record["layers"]] == [1, 2, 1]
    assert list(arrays) == ["spikes", "weight1", "weight2", "weight3"]


def test_the_same_spikes_each_time() -> None:
    def made() -> Case:
        return CASES["single"]()

    np.testing.assert_array_equal(made().spikes, made().spikes)
    assert 0.04 < made().spikes.mean() < 0.06
    assert made().resized(3, 7).spikes.shape == (7, 3, 784)
