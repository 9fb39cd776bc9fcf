"""The same entries through snnTorch's own exporter and importer, to NIR and back.

It needs nirtorch, which avnir itself does not. To be fair to it: scalar decays and thresholds are first
written out to each neuron's shape, without which every model fails, and of a model with several
outputs the first that the round trip returns is compared. What the two networks return is compared
step by step, from fresh states.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from avnir.ir.operation import Array
from tests.corpus.examine import outputs_of, sample_of
from tests.corpus.model import EXACT, Entry, Sample

MISSING = "not run: nirtorch is not installed"
PARAMETERS = ("alpha", "beta", "threshold")


def round_trip(entry: Entry) -> str:
    """EXACT, the share of output entries that differ, or where it failed and how."""
    if find_spec("nirtorch") is None:
        return MISSING
    stage = "export"
    unread = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(unread), contextlib.redirect_stderr(unread):
        warnings.simplefilter("ignore")
        from snntorch.export_nir import export_to_nir
        from snntorch.import_nir import import_from_nir

        try:
            wanted = next(iter(outputs_of(sample_of(entry, 0)).values()))
            sample = _widened(entry)
            first, *others = _arguments(sample)
            graph = export_to_nir(
                sample.model,
                first,
                model_fwd_args=others,
                ignore_dims=[0, 1][: 1 + (sample.time == "window")],
            )
            stage = "import"
            again = import_from_nir(graph)
            stage = "run"
            return _compared(wanted, _run(again, sample))
        except Exception as error:  # whatever another library raises
            return f"{stage} fails: {type(error).__name__}"


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
        return f"differs: shape {found.shape[2:]} for {wanted.shape[2:]}"
    share = 100 * float(np.mean(wanted != found))
    return f"differs: {share:.1f} % of entries" if share else EXACT
