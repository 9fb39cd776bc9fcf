"""What a report is made of: how many samples are costed."""

from __future__ import annotations

import numpy as np
import pytest

from avnir import target
from avnir.cli import deployment
from avnir.cli.deployment import _costed, deployment_of
from avnir.cli.source import Source
from avnir.compile import compile_graph
from tests.networks import audio_visual, spikes


def test_as_many_samples_are_costed_as_their_registers_leave_room(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = audio_visual(0)
    inputs = spikes(graph, 0)
    chip = target.load("loihi2")
    compiled = compile_graph(graph, chip)
    program = compiled.program
    neurons = sum(int(np.prod(program.graph.shapes[node.name])) for node in program.graph.neurons)
    a_sample = 20 * neurons * 2 * 4
    for room, samples in {3 * a_sample: 3, 2 * a_sample + 1: 2, a_sample - 1: 1, 1 << 40: 3}.items():
        monkeypatch.setattr(deployment, "REGISTERS", room)
        kept = _costed(program, inputs)
        assert {array.shape[1] for array in kept.values()} == {samples}
        assert all(np.array_equal(array, inputs[name][:, :samples]) for name, array in kept.items())
    monkeypatch.setattr(deployment, "REGISTERS", 2 * a_sample)
    made = deployment_of(Source("net", graph, False, {}), compiled, chip, None, inputs)
    assert made.costs is not None
    assert made.costs.samples == 2
    assert made.examples["samples"] == 3
