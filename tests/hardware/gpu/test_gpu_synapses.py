"""Products in floating point are exact up to their bounds, and beyond them in the next wider form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avnir.ir.integer import Conv, Dense
from avnir.ir.integer_graded import InverseRoot, Relay
from avnir.ir.integer_sparse import Sparse
from avnir.ir.operation import Array
from avnir.numerics import fixed

torch = pytest.importorskip("torch")
neurons = pytest.importorskip("avnir.hardware.gpu.neurons")
connections = pytest.importorskip("avnir.hardware.gpu.synapses")

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA device")
DEVICES = ("cpu", pytest.param("cuda", marks=NO_GPU))


def given(op: Any, x: Array, peak: int, device: str) -> tuple[Any, Array]:
    """A connection, and what it gives for `x` `[B, *shape]`."""
    synapses = connections.Synapses.plan(op, x.shape[1:], peak, device)
    with connections.full_precision():
        sums = synapses(torch.tensor(x)[None].to(device))
    return synapses, sums[0].cpu().numpy()


def modulo32(values: Array) -> Array:
    return fixed.wrap32(values).astype(np.int32)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("inputs", "peak", "dtype"),
    [
        (1, (1 << 17) - 1, torch.float32),  # 128 times this is 2^24 - 128
        (1, 1 << 17, torch.float64),
        (1 << 15, (1 << 31) - 1, torch.float64),  # just below 2^53
        (1 << 15, 1 << 31, torch.float64),
    ],
)
def test_the_largest_sum_is_exact(inputs: int, peak: int, dtype: Any, device: str) -> None:
    op = Dense(np.full((3, inputs), -128, np.int8), exponent=1)
    x = np.full((2, inputs), -peak, np.int64)
    x[0] += 1
    synapses, sums = given(op, x.astype(np.int32), peak, device)
    assert (synapses.dtype, synapses.halved) == (dtype, 128 * inputs * peak >= 1 << 53)
    np.testing.assert_array_equal(sums, modulo32(op.step(x, {})))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["dense", "sparse", "conv", "grouped"])
@pytest.mark.parametrize("bits", [1, 16, 32])
def test_messages_of_any_width_are_exact(kind: str, bits: int, device: str) -> None:
    rng = np.random.default_rng(bits)

    def weight(*shape: int) -> Array:
        return rng.integers(-128, 128, shape).astype(np.int8)

    op = {
        "dense": Dense(weight(7, 4 * 6 * 5), exponent=7),
        "sparse": Sparse.of(weight(7, 4 * 6 * 5) * (rng.random((7, 120)) < 0.2).astype(np.int8), exponent=7),
        "conv": Conv(weight(5, 4, 3, 2), 7, stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
        "grouped": Conv(weight(6, 2, 3, 3), 7, stride=(1, 2), padding=(2, 0), groups=2),
    }[kind]
    x = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), (3, 4, 6, 5)).astype(np.int32)
    sums = given(op, x, 1 << (bits - 1), device)[1]
    np.testing.assert_array_equal(sums, modulo32(op.step(x.astype(np.int64), {})))


def test_what_the_user_allows_is_not_used_and_comes_back() -> None:
    setting: Any = torch.backends.cuda.matmul
    before = setting.fp32_precision
    setting.fp32_precision = "tf32"
    try:
        with connections.full_precision():
            assert setting.fp32_precision == "ieee"
        assert setting.fp32_precision == "tf32"
    finally:
        setting.fp32_precision = before


def test_before_pytorch_2_9_the_one_setting_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cuda, "matmul", object())
    torch.set_float32_matmul_precision("medium")
    try:
        with connections.full_precision():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("device", DEVICES)
def test_edges_of_neurons_without_memory(device: str) -> None:
    edges = np.array([0, 1, 2, 3, 4095, 4096, 2**23, 2**24 - 1, 2**24, 2**31 - 1], np.int64)
    x = np.concatenate([edges, -edges, [-(2**31)]])
    for op in (InverseRoot(x.shape), Relay(x.shape, message_bits=32), Relay(x.shape, 3, positive=True)):
        sent = neurons.STEPS[op.kind](op, device)(torch.tensor(x)[None, None].int().to(device), {})
        np.testing.assert_array_equal(sent[0].cpu().numpy(), op.step(x[None], {}))
