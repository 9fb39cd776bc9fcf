"""The fast engine equals the definition, on programs that nobody chose."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from avnir.hardware.cpu import CpuBackend, backend
from avnir.hardware.cpu import dense as cpu_dense
from avnir.hardware.cpu import engine as cpu_engine
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.loops import components
from avnir.ir.operation import Array
from avnir.ir.presentations import presentations
from avnir.numerics import fixed
from avnir.program import Program
from avnir.testing.strategies import Window, windows
from avnir.trace import Trace

# Compiling a kernel at its first use takes longer than an example.
COMPILES = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def assert_equal(got: Trace, wanted: Trace) -> None:
    assert len(got.rehearsals) == len(wanted.rehearsals)
    for rehearsal in zip(got.rehearsals, wanted.rehearsals, strict=True):
        assert_equal(*rehearsal)
    for mine, theirs in [
        (got.spikes, wanted.spikes),
        (got.outputs, wanted.outputs),
        *((got.states[layer], wanted.states[layer]) for layer in wanted.states),
    ]:
        assert mine.keys() == theirs.keys()
        for name, array in theirs.items():
            assert mine[name].dtype == array.dtype
            np.testing.assert_array_equal(mine[name], array, err_msg=name)


def without_states(trace: Trace) -> Trace:
    rehearsals = tuple(without_states(rehearsal) for rehearsal in trace.rehearsals)
    return Trace(trace.spikes, trace.outputs, rehearsals=rehearsals)


def registers(trace: Trace, name: str) -> list[Array]:
    """The registers of this name, of all layers that have one."""
    return [held[name].astype(np.int64) for held in trace.states.values() if name in held]


def current_overflows(trace: Trace) -> bool:
    """Whether some current is left outside its register by the one wrap."""
    return any(np.abs(u).max() > fixed.STATE_LIMIT for u in registers(trace, "u"))


def current_wraps(trace: Trace) -> bool:
    """Whether some current jumps by more than half of the register's range."""
    return any(bool(np.any(np.abs(np.diff(u, axis=0)) > fixed.STATE_LIMIT)) for u in registers(trace, "u"))


def potential_clips(trace: Trace) -> bool:
    return any(np.abs(v).max() == fixed.STATE_LIMIT - 1 for v in registers(trace, "v"))


def has_loop(window: Window) -> bool:
    """Whether spikes come back to the layer that sent them."""
    return any(len(nodes) > 1 for nodes in components(window.program.graph.consumers))


def has_lag_forward(window: Window) -> bool:
    """Whether a connection has a lag without being part of a loop."""
    alone = [names[0] for names in components(window.program.graph.consumers) if len(names) == 1]
    return any(window.program.graph[name].op.delayed for name in alone)


def sends_messages(window: Window) -> bool:
    """Whether a layer sends graded messages to another."""
    graph = window.program.graph
    graded = {node.name for node in graph.neurons if node.op.message_bits}  # type: ignore[attr-defined]
    return any(graded.intersection(node.inputs) for node in graph if node.op.kind != "Output")


def has_product(window: Window) -> bool:
    return any(node.op.kind == "Product" for node in window.program.graph)


def has_listed_synapses(window: Window) -> bool:
    return any(node.op.kind == "Sparse" for node in window.program.graph)


def is_shown_again(window: Window) -> bool:
    return presentations(window.program.graph) > 1


def is_shown_again_with_a_loop(window: Window) -> bool:
    return is_shown_again(window) and has_loop(window)


def is_shown_three_times(window: Window) -> bool:
    return presentations(window.program.graph) == 3


PARTS = (
    *(has_loop, has_lag_forward, sends_messages, has_product, has_listed_synapses),
    *(is_shown_again, is_shown_again_with_a_loop, is_shown_three_times),
)
OVERFLOWS = (current_overflows, current_wraps, potential_clips)


@settings(COMPILES, max_examples=200)
@given(windows())
def test_engine_equals_definition(window: Window) -> None:
    program, inputs = window.program, window.inputs
    wanted = interpret_integer(program.graph, inputs, states=True)
    for happens in OVERFLOWS:
        if happens(wanted):
            event(happens.__name__)
    for has in PARTS:
        if has(window):
            event(has.__name__)
    with backend.session(program) as session:
        assert_equal(session.run(inputs, states=True), wanted)
        assert_equal(session.run(inputs), without_states(wanted))


@pytest.mark.parametrize("happens", OVERFLOWS)
def test_programs_do_overflow(happens: Callable[[Trace], bool]) -> None:
    def reached(window: Window) -> bool:
        return happens(interpret_integer(window.program.graph, window.inputs, states=True))

    found = hypothesis.find(windows(), reached, settings=settings(COMPILES, phases=[Phase.generate]))
    with backend.session(found.program) as session:
        wanted = interpret_integer(found.program.graph, found.inputs, states=True)
        assert_equal(session.run(found.inputs, states=True), wanted)


@pytest.mark.parametrize("has", PARTS)
def test_programs_do_have(has: Callable[[Window], bool]) -> None:
    searching = settings(COMPILES, phases=[Phase.generate], max_examples=1000)
    assert has(hypothesis.find(windows(), has, settings=searching))


@pytest.mark.parametrize("threshold", [0.0, 2.0], ids=["always dense", "never dense"])
def test_either_kernel_equals_definition(threshold: float) -> None:
    @settings(COMPILES, max_examples=60)
    @given(windows())
    def check(window: Window) -> None:
        with backend.session(window.program) as session:
            wanted = interpret_integer(window.program.graph, window.inputs)
            assert_equal(session.run(window.inputs), wanted)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu_dense, "DENSE_FROM", threshold)
        check()


@pytest.mark.usefixtures("kernels")
def test_events_and_tiles_equal_the_definition() -> None:
    @settings(COMPILES, max_examples=100)
    @given(windows())
    def check(window: Window) -> None:
        with backend.session(window.program) as session:
            wanted = interpret_integer(window.program.graph, window.inputs, states=True)
            assert_equal(session.run(window.inputs, states=True), wanted)
            assert_equal(session.run(window.inputs), without_states(wanted))

    check()


def test_blocks_and_threads_change_nothing() -> None:
    @settings(COMPILES, max_examples=60)
    @given(windows(), st.integers(1, 4), st.sampled_from((1, 300, 3000)))
    def check(window: Window, threads: int, block_bytes: int) -> None:
        program, inputs = window.program, window.inputs
        with pytest.MonkeyPatch.context() as patch, CpuBackend(threads=threads).session(program) as session:
            patch.setattr(cpu_engine, "BLOCK_BYTES", block_bytes)
            assert_equal(session.run(inputs), interpret_integer(program.graph, inputs))

    check()


@settings(COMPILES, max_examples=40)
@given(windows())
def test_a_saved_program_reads_back_equal(window: Window) -> None:
    program, inputs = window.program, window.inputs
    with tempfile.TemporaryDirectory() as folder:
        program.save(Path(folder) / "program")
        again = Program.load(Path(folder) / "program")
    assert again == program
    assert again.digest == program.digest
    with backend.session(again) as session:
        assert_equal(session.run(inputs), interpret_integer(program.graph, inputs))
