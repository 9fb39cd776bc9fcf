"""All costs of a run: from a trace, and from a run of the engine."""

from __future__ import annotations

import numpy as np
import pytest

from avnir import target
from avnir.compile import compile_graph
from avnir.cost.costs import costs_of
from avnir.errors import DataError
from avnir.ir.interpret_integer import interpret_integer
from tests.networks import audio_visual, spikes

LOIHI1 = target.load("loihi1")


@pytest.mark.parametrize("balance", [False, True])
def test_the_engine_runs_where_no_trace_is_given(balance: bool) -> None:
    graph = audio_visual(1, "zero")
    compiled, inputs = compile_graph(graph, LOIHI1), spikes(graph, 0, 6, 2)
    trace = interpret_integer(compiled.program.graph, inputs, states=True)
    given = costs_of(compiled, LOIHI1, inputs, trace, balance)
    found = costs_of(compiled, LOIHI1, inputs, balance=balance)
    assert (found.samples, found.steps, found.presentations) == (2, 6, 1)
    assert found.synops == given.synops
    assert found.energy.record() == given.energy.record()
    assert (found.worst is None) is not balance
    np.testing.assert_array_equal(found.timed.steps, given.timed.steps)


def test_a_trace_without_states_is_refused() -> None:
    graph = audio_visual(1, "zero")
    compiled, inputs = compile_graph(graph, LOIHI1), spikes(graph, 0, 6, 2)
    with pytest.raises(DataError, match="no states"):
        costs_of(compiled, LOIHI1, inputs, interpret_integer(compiled.program.graph, inputs))
