"""The GPU engine equals the definition: on PyTorch's CPU device always, on a GPU where there is one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avnir.errors import DataError
from avnir.hardware.gpu import GpuBackend
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array
from avnir.testing import CHECKS, run_check
from avnir.testing.cases import CASES
from avnir.testing.strategies import Window, windows
from avnir.trace import Trace

torch = pytest.importorskip("torch")
engine = pytest.importorskip("avnir.hardware.gpu.engine")

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA device")
DEVICES = ("cpu", pytest.param("cuda", marks=NO_GPU))


def assert_equal(got: Trace, wanted: Trace) -> None:
    mine, theirs = got.named(), wanted.named()
    assert mine.keys() == theirs.keys()
    for name, array in theirs.items():
        assert mine[name].dtype == array.dtype
        np.testing.assert_array_equal(mine[name], array, err_msg=name)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("device", DEVICES)
def test_it_conforms(device: str, check: str) -> None:
    result = run_check(GpuBackend(device), check)
    assert result.ok, result.detail


@pytest.mark.parametrize("device", DEVICES)
def test_random_programs_in_blocks_of_any_size(device: str) -> None:
    @settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
    @given(windows(), st.sampled_from((1, 3000, engine.BLOCK_BYTES)), st.booleans())
    def check(window: Window, block_bytes: int, states: bool) -> None:
        program, inputs = window.program, window.inputs
        wanted = interpret_integer(program.graph, inputs, states)
        with pytest.MonkeyPatch.context() as patch, GpuBackend(device).session(program) as session:
            patch.setattr(engine, "BLOCK_BYTES", block_bytes)
            assert_equal(session.run(inputs, states), wanted)

    check()


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float32])
def test_any_dtype_layout_and_protection_of_inputs(dtype: type) -> None:
    case = CASES["deep"]()
    turned: Array = np.asfortranarray(case.inputs["input"].astype(dtype))
    turned.flags.writeable = False
    wanted = interpret_integer(case.program.graph, case.inputs)
    with GpuBackend("cpu").session(case.program) as session:
        assert_equal(session.run({"input": turned}), wanted)
        assert_equal(session.run({"input": turned}), wanted)


def test_sessions_run_side_by_side() -> None:
    case = CASES["deep"]()
    wanted = interpret_integer(case.program.graph, case.inputs)
    with GpuBackend("cpu").session(case.program) as session, ThreadPoolExecutor(4) as pool:
        for trace in pool.map(lambda _: session.run(case.inputs), range(8)):
            assert_equal(trace, wanted)


def test_inputs_that_do_not_fit_are_refused() -> None:
    with (
        GpuBackend("cpu").session(CASES["dense"]().program) as session,
        pytest.raises(DataError, match="has values in"),
    ):
        session.run({"input": np.full((2, 1, 10), 3)})
