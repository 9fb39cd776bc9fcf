from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

from avnir.backend import find
from avnir.errors import DataError
from avnir.hardware.cpu import CpuBackend, backend
from avnir.hardware.interpreter import backend as interpreter
from avnir.ir.integer import Dense, Input, Output
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array
from avnir.program import Program
from avnir.testing.cases import CASES, lif, program_of
from avnir.trace import Trace


def assert_equal(got: Trace, wanted: Trace) -> None:
    assert got.spikes.keys() == wanted.spikes.keys()
    for name, array in wanted.spikes.items():
        np.testing.assert_array_equal(got.spikes[name], array)
    for name, array in wanted.outputs.items():
        np.testing.assert_array_equal(got.outputs[name], array)


def assert_runs(program: Program, **inputs: Array) -> None:
    with backend.session(program) as session:
        assert_equal(session.run(inputs), interpret_integer(program.graph, inputs))


def weights(*shape: int) -> Array:
    return np.random.default_rng(7).integers(-128, 127, shape, np.int8, endpoint=True)


def spikes(*shape: int, density: float = 0.3) -> Array:
    return (np.random.default_rng(8).random(shape) < density).astype(np.uint8)


def test_backends_are_found() -> None:
    assert find("cpu") is backend
    assert find("interpreter") is interpreter
    assert backend.missing() is None
    assert interpreter.missing() is None


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_any_dtype_layout_and_protection_of_inputs(dtype: type) -> None:
    case = CASES["deep"]()
    plain = spikes(10, 6, 2, 6, 6)
    wanted = interpret_integer(case.program.graph, {"input": plain})
    turned: Array = np.asfortranarray(plain.astype(dtype))
    turned.flags.writeable = False
    with backend.session(case.program) as session:
        assert_equal(session.run({"input": turned}), wanted)


def test_inputs_are_not_changed_and_runs_start_at_rest() -> None:
    case = CASES["deep"]()
    before = {name: array.copy() for name, array in case.inputs.items()}
    with backend.session(case.program) as session:
        first, second = session.run(case.inputs), session.run(case.inputs)
    assert_equal(second, first)
    for name, array in case.inputs.items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("value", [2, 128, 255])
@pytest.mark.parametrize("place", [0, -1])
def test_a_byte_that_is_no_spike_is_refused_wherever_it_is(value: int, place: int) -> None:
    """The engine sees it when it packs the spikes: in whole words, and in what is left of the last."""
    program = program_of(
        ("input", Input((70,)), ""),
        ("synapses", Dense(np.ones((3, 70), np.int8)), "input"),
        ("layer", lif((3,)), "synapses"),
        ("output", Output((3,)), "layer"),
    )
    spikes = np.ones((4, 5, 70), np.uint8)
    spikes[2, 3, place] = value
    with backend.session(program) as session, pytest.raises(DataError, match=rf"values in \[1, {value}\]"):
        session.run({"input": spikes})


def test_inputs_that_do_not_fit_are_refused() -> None:
    with (
        backend.session(CASES["dense"]().program) as session,
        pytest.raises(DataError, match="has values in"),
    ):
        session.run({"input": np.full((2, 1, 10), 3)})


@pytest.mark.parametrize("batch", [1, 2, 7, 33])
def test_any_batch_and_number_of_threads(batch: int) -> None:
    program = CASES["deep"]().program
    inputs = {"input": spikes(20, batch, 2, 6, 6)}
    wanted = interpret_integer(program.graph, inputs)
    for threads in (1, 2, 5):
        with CpuBackend(threads).session(program) as session:
            assert_equal(session.run(inputs), wanted)


def test_sessions_run_side_by_side() -> None:
    case = CASES["deep"]()
    wanted = interpret_integer(case.program.graph, case.inputs)
    with backend.session(case.program) as session, ThreadPoolExecutor(4) as pool:
        for trace in pool.map(lambda _: session.run(case.inputs), range(16)):
            assert_equal(trace, wanted)


def test_leaving_a_session_ends_its_threads() -> None:
    case = CASES["dense"]()
    with CpuBackend(3).session(case.program) as session:
        session.run(case.inputs)
        assert any(t.name.startswith("avnir-cpu") for t in threading.enumerate())
    assert not any(t.name.startswith("avnir-cpu") for t in threading.enumerate())


def test_a_loop_that_nothing_feeds() -> None:
    """Its bias makes it spike, and its spikes come back and inhibit it."""
    program = program_of(
        ("input", Input((2,)), ""),
        ("synapses", Dense(weights(4, 2)), "input"),
        ("other", lif((4,)), "synapses"),
        ("back", Dense(np.full((3, 3), -50, np.int8), lag=1), "layer"),
        ("layer", lif((3,), bias=[100, 2000, 4000], bias_exponent=2), "back"),
        ("rhythm", Output((3,)), "layer"),
        ("output", Output((4,)), "other"),
    )
    inputs = {"input": spikes(30, 5, 2)}
    assert 0 < interpret_integer(program.graph, inputs).outputs["rhythm"].mean() < 1
    assert_runs(program, **inputs)


def test_every_kernel_is_compiled_once() -> None:
    """A second version would mean an array of another dtype or layout, and a slow loop."""
    for check in CASES.values():
        case = check()
        with backend.session(case.program) as session:
            session.run(case.inputs)
            session.run(case.inputs, states=True)
    kernels = [
        found
        for found in gc.get_objects()
        if issubclass(type(found), Dispatcher)
        and found.py_func.__module__.startswith("avnir.hardware.cpu")
        and not found.targetoptions.get("forceinline")
    ]
    used = {(kernel.py_func, len(kernel.signatures)) for kernel in kernels if kernel.signatures}
    assert len(used) > 10
    assert {count for _, count in used} == {1}
