"""The GPU engine: integer programs as PyTorch tensors, the whole batch at once, equal to the definition."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from avnir.backend import Session
from avnir.errors import BackendError
from avnir.program import Program


class GpuBackend:
    """Runs any program on a device of PyTorch's."""

    name = "gpu"
    summary = "exact integers on a GPU (PyTorch with CUDA), the whole batch at once"

    def __init__(self, device: str = "cuda") -> None:
        """`device` as PyTorch calls it; "cpu" runs the same code where there is no GPU, slowly."""
        self.device = device

    def missing(self) -> str | None:
        """Why it cannot run here: PyTorch, or its GPU. PyTorch is imported only for that."""
        if find_spec("torch") is None:
            return 'PyTorch is not installed; pip install "avnir[torch]"'
        import torch

        if torch.device(self.device).type == "cuda" and not torch.cuda.is_available():
            return (
                f"PyTorch {torch.__version__} sees no CUDA device; it needs an NVIDIA GPU and a PyTorch "
                "built for CUDA. The backend cpu gives the same integers"
            )
        return None

    @contextmanager
    def session(self, program: Program) -> Iterator[Session]:
        """Open the program: its weights go to the device.

        Raises BackendError where `missing` says why not, or where the device has too little memory left.
        """
        if reason := self.missing():
            raise BackendError(f"the backend {self.name} cannot run: {reason}")
        import torch

        from avnir.hardware.gpu.engine import GpuSession

        try:
            yield GpuSession(program, self.device)
        except torch.OutOfMemoryError as error:
            raise BackendError(
                f"{self.device} has too little memory left for the backend {self.name}; end what else runs "
                "there, or use the backend cpu"
            ) from error


backend = GpuBackend()
