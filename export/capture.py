"""One time step of a model as a graph of PyTorch's own operations (torch.export)."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from avnir.errors import Finding, UnsupportedError
from avnir.export.examples import Examples
from avnir.export.isolation import isolated
from avnir.export.neurons import make_opaque

TITLE = "the model cannot be taken exactly:"
_LIBRARIES = tuple(str(Path(p).resolve()) for p in (Path(torch.__file__).parent, Path(__file__).parent))
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
_SYMBOLS = logging.getLogger("torch.fx.experimental.symbolic_shapes")


@dataclass(frozen=True)
class Capture:
    """The exported step, the batch it was exported with, and the neurons whose state forward cleared."""

    program: ExportedProgram
    batch: int
    cleared: frozenset[str]

    def output_names(self, states: int) -> tuple[str, ...]:
        """The outputs' names, without the last `states` of them; empty where forward returns too few."""
        spec = self.program.call_spec.out_spec
        return output_names(pytree.tree_unflatten(list(range(spec.num_leaves)), spec), states)


def capture(model: nn.Module, examples: Examples) -> Capture:
    """Export one time step with neurons as opaque operators.

    The batch is a prime that no axis of the examples has, so that an axis of that size is the batch.
    Raises UnsupportedError with PyTorch's reason where the model does not export.
    """
    batch = _unlike(examples)
    inputs = [_one_step(tensor, batch, examples.time == "window") for tensor in examples.inputs.values()]
    states = [
        state.new_zeros((batch, *state.shape[1:]) if state.numel() else state.shape)
        for state in examples.states
    ]
    with isolated(model), _undisturbed(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cleared = make_opaque(model)
        try:
            program = torch.export.export(model, (*inputs, *states), strict=False)
        except Exception as error:  # whatever the user's forward or the exporter raises
            raise UnsupportedError(TITLE, [_export_finding(error)]) from error
    return Capture(program, batch, frozenset(cleared))


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Keeps from stderr what PyTorch adds to an error of export that is told as a finding.

    Where forward branches on values it prints the graph traced so far, which the error carries as
    `partial_fx_graph` (torch/export/_trace.py, 2.13), and warns that a symbol has no user code. What
    forward itself prints, and what other threads do, comes through.
    """
    thread = threading.get_ident()

    def wanted(record: logging.LogRecord) -> bool:
        return record.thread != thread or record.levelno != logging.WARNING

    _SYMBOLS.addFilter(wanted)
    try:
        with contextlib.redirect_stderr(sys.stderr and cast(TextIO, _Undumped(sys.stderr))):
            yield
    finally:
        _SYMBOLS.removeFilter(wanted)


class _Undumped:
    """A stream that takes nothing while the thread handles an error that carries a graph."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return len(text) if hasattr(sys.exception(), "partial_fx_graph") else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def output_names(result: Any, states: int) -> tuple[str, ...]:
    """What forward's result is called: a dict's keys, `output` for a single tensor, else `output_0`, ..."""
    count = len(pytree.tree_leaves(result)) - states
    if isinstance(result, dict) and count + states == len(result):
        return tuple(identifier(str(key)) for key in result)[: max(count, 0)]
    return ("output",) if count == 1 else tuple(f"output_{i}" for i in range(count))


def identifier(text: str) -> str:
    """Letters, digits and underscores, not starting with a digit: a node's name."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", text)
    return name if re.match(r"[A-Za-z_]", name) else f"_{name}"


def _unlike(examples: Examples) -> int:
    sizes = {size for t in (*examples.inputs.values(), *examples.states) for size in t.shape}
    return next(p for p in (7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53) if p not in sizes)


def _one_step(tensor: Tensor, batch: int, window: bool) -> Tensor:
    shape = (batch, *tensor.shape[2:])
    return tensor.new_zeros((1, *shape) if window else shape)


def _export_finding(error: Exception) -> Finding:
    frames = traceback.extract_tb(error.__traceback__)
    users = [frame for frame in frames if not _is_library(frame.filename)]
    place = f"forward ({Path(users[-1].filename).name}:{users[-1].lineno})" if users else "forward"
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return Finding(
        place,
        f"one time step does not export: {reason.rstrip('.')}",
        "Let the same operations run whatever the values, the batch size and earlier calls are: no `if` on "
        "values, no fixed batch size, no state kept outside the neurons",
    )


def _is_library(file: str) -> bool:
    return str(Path(file).resolve()).startswith(_LIBRARIES) or "snntorch" in Path(file).parts


@dataclass(frozen=True)
class Place:
    """Where in the model an operation stands: module path, whether it is the module's own, source line."""

    path: str
    leaf: bool
    line: str

    def __str__(self) -> str:
        path = self.path or "forward"
        return f"{path} ({self.line})" if self.line else path


def place_of(node: fx.Node) -> Place:
    """The module and the line of the user's code (base name of the file only) behind an operation."""
    stack: Sequence[tuple[str, Any]] = list((node.meta.get("nn_module_stack") or {}).values())
    path, kind = stack[-1] if stack else ("", "")
    name = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    frames = [m for m in _FRAME.finditer(node.meta.get("stack_trace") or "") if not _is_library(m["file"])]
    line = f"{Path(frames[-1]['file']).name}:{frames[-1]['line']}" if frames else ""
    return Place(re.sub(r"@\d+", "", path), name.startswith(("torch.nn.", "snntorch.")), line)
