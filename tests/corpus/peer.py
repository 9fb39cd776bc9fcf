"""The same entries through snnTorch's own exporter and importer, to NIR and back.

It needs nirtorch, which avnir itself does not. To be fair to it: scalar decays and thresholds are first
written out to each neuron's shape, without which every model fails, and of a model with several
outputs the first that the round trip returns is compared. What the two networks return is compared
step by step, from fresh states.

nirtorch orders edges by Python's hashes, fills some biases at random, and may search for an order
without end. So `verdicts` runs in a process of its own with fixed hashes, each entry from a fixed seed
and for at most SECONDS. `python -m tests.corpus.peer` prints what came of each, as JSON.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from avnir.ir.operation import Array
from tests.corpus.examine import ENTRIES, outputs_of, sample_of
from tests.corpus.model import EXACT, Entry, Sample

PARAMETERS = ("alpha", "beta", "threshold")
DIFFERS, FAILS = "differs", "fails"
SECONDS = 15
"""For one entry; the slowest takes one."""
ROOT = Path(__file__).resolve().parent.parent.parent


def verdicts() -> dict[str, str]:
    """What came of each entry by its name: EXACT, `differs: ...`, or `fails at ...`."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.corpus.peer"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise RuntimeError(f"snnTorch's round trip ended with status {done.returncode}:\n{done.stderr}")
    found: dict[str, str] = json.loads(done.stdout)
    return found


def round_trip(entry: Entry) -> str:
    """EXACT, the share of output entries that differ, or where it failed and how."""
    from snntorch.export_nir import export_to_nir
    from snntorch.import_nir import import_from_nir

    try:
        wanted = next(iter(outputs_of(sample_of(entry, 0)).values()))
    except Exception as error:  # a model that does not run in snnTorch itself
        return f"{FAILS} at model: {type(error).__name__}"
    sample = _widened(entry)
    first, *others = _arguments(sample)
    axes = [0, 1][: 1 + (sample.time == "window")]
    stage = "export"
    try:
        with _at_most(SECONDS), torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            graph = export_to_nir(sample.model, first, model_fwd_args=others, ignore_dims=axes)
            stage = "import"
            again = import_from_nir(graph)
            stage = "run"
            return _compared(wanted, _run(again, sample))
    except Exception as error:  # whatever another library raises
        return f"{FAILS} at {stage}: {type(error).__name__}"


@contextlib.contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    """TimeoutError in the main thread once they are over."""

    def end(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _arguments(sample: Sample) -> list[Tensor]:
    """What one call of the model gets."""
    inputs = list(sample.inputs.values())
    return inputs if sample.time == "window" else [*(x[0] for x in inputs), *sample.states]


def _widened(entry: Entry) -> Sample:
    """The sample with fresh states, its neurons' parameters of their full shape."""
    shapes: dict[str, torch.Size] = {}
    probe = sample_of(entry, 0)
    neurons = {path: m for path, m in probe.model.named_modules() if hasattr(m, "spike_grad")}
    for path, module in neurons.items():
        module.register_forward_pre_hook(lambda m, args, path=path: shapes.update({path: args[0].shape[1:]}))
    with torch.no_grad():
        probe.model.eval()(*_arguments(probe))
    sample = sample_of(entry, 0)
    sample.model.eval().requires_grad_(False)
    for path, shape in shapes.items():
        _widen(sample.model.get_submodule(path), shape)
    return sample


def _widen(neuron: nn.Module, shape: torch.Size) -> None:
    for name in PARAMETERS:
        value = getattr(neuron, name, None)
        if isinstance(value, Tensor):
            full = value.detach().expand(1, *shape)[0].clone()
            setattr(neuron, name, nn.Parameter(full, False) if isinstance(value, nn.Parameter) else full)


def _run(network: Any, sample: Sample) -> Array:
    """The first output of what was imported, `[T, B, ...]`."""
    state, steps = None, []
    with torch.no_grad():
        for step in zip(*sample.inputs.values(), strict=True):
            result = network(*step, state)
            result, state = result if isinstance(result, tuple) else (result, None)
            steps.append(pytree.tree_leaves(result)[0].numpy().copy())
    return np.stack(steps)


def _compared(wanted: Array, found: Array) -> str:
    if wanted.shape != found.shape:
        return f"{DIFFERS}: shape {found.shape[2:]} for {wanted.shape[2:]}"
    share = 100 * float(np.mean(wanted != found))
    return f"{DIFFERS}: {share:.1f} % of entries" if share else EXACT


def main() -> None:
    """Print what came of each entry."""
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(io.StringIO()):
        found = {entry.name: round_trip(entry) for entry in ENTRIES}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
