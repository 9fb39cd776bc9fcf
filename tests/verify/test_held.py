"""What running and comparing all stages takes, against what is told of it."""

from __future__ import annotations

import numpy as np
import pytest

from avnir import target
from avnir.compile import compile_graph
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.interpret_real import interpret_real
from avnir.testing.cases import CASES
from avnir.verify.held import output_bytes, stage_need, trace_bytes
from avnir.verify.stages import Judging, Stages
from tests.allocated import peak
from tests.networks import audio_visual, spikes

SMALL = 256 << 10
"""Bytes of objects, which belong to what a budget spares."""


@pytest.mark.parametrize("samples", [2, 150])
def test_no_more_memory_is_taken_than_was_told(samples: int) -> None:
    graph = audio_visual(0, reset="zero")
    integers = compile_graph(graph, target.load("loihi2")).program.graph
    inputs = spikes(graph, 0, 10, samples)
    need = stage_need(graph, integers, 10, reals=2, runs=2)

    def work() -> None:
        double, whole = interpret_real(graph, inputs), interpret_integer(integers, inputs)
        single, other = double.samples(range(samples)), whole.samples(range(samples))
        Judging().add(Stages(double, whole, {"cpu": other}, {"snntorch": single}), ties=(1,))

    assert SMALL < peak(work) <= need.each * samples + need.once + SMALL


@pytest.mark.parametrize("name", ["deep", "window_sum"])
def test_the_sizes_are_those_of_the_arrays(name: str) -> None:
    case = CASES[name]()
    trace = interpret_integer(case.program.graph, case.inputs)
    steps, samples = next(iter(case.inputs.values())).shape[:2]
    outputs = sum(array.nbytes for array in trace.outputs.values())
    whole = sum(array.nbytes for array in trace.named().values()) + len(trace.rehearsals) * outputs
    assert samples * trace_bytes(case.program.graph, steps) == whole
    wide = sum(array.astype(np.int64).nbytes for array in trace.outputs.values())
    assert samples * output_bytes(case.program.graph, steps) == wide
