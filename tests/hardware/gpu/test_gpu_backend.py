"""Where the GPU engine cannot run it says why, and what to do."""

from __future__ import annotations

import sys

import pytest

from avnir.errors import BackendError
from avnir.hardware.gpu import GpuBackend, backend
from avnir.testing.cases import CASES


def test_without_torch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert backend.missing() == 'PyTorch is not installed; pip install "avnir[torch]"'


def test_without_a_gpu_it_names_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert GpuBackend("cpu").missing() is None
    with (
        pytest.raises(BackendError, match=r"gpu cannot run: PyTorch .* sees no CUDA device"),
        backend.session(CASES["dense"]().program),
    ):
        pass


def test_a_full_device_is_said_to_be_full() -> None:
    torch = pytest.importorskip("torch")
    with (
        pytest.raises(BackendError, match="cpu has too little memory left"),
        GpuBackend("cpu").session(CASES["dense"]().program),
    ):
        raise torch.OutOfMemoryError
