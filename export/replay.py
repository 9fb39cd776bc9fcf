"""The proof that a trace says what the model does: run both on the same inputs, compare every spike.

Three runs, and no tolerance:
- the model itself, float32, its own forward;
- `reference`, the graph in snnTorch, float32: must give the same outputs and spikes, or the trace is wrong;
- `interpret_real`, the graph's definition, float64: must give the same spikes, or an example drives a
  potential so close to its threshold that float32's rounding decides, and the spike means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from avnir.errors import DataError, ReplayError, UserError
from avnir.export.capture import output_names
from avnir.export.examples import Examples
from avnir.export.isolation import forget, isolated
from avnir.export.torch_reference import reference
from avnir.ir.graph import Graph
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array
from avnir.trace import Trace
from avnir.verify.ties import output_bound


class TieError(ReplayError):
    """A potential meets its threshold to float32's rounding; `samples` are those of the batch affected."""

    def __init__(self, message: str, samples: tuple[int, ...]) -> None:
        self.samples = samples
        super().__init__(message)

    def __reduce__(self) -> tuple[type, tuple[str, tuple[int, ...]]]:
        return type(self), (str(self), self.samples)


@dataclass(frozen=True)
class Recording:
    """What the model did: outputs `[T, B, ...]` by name, and each neuron's spikes, one `[B, ...]` a call."""

    outputs: Mapping[str, Array]
    spikes: Mapping[str, list[Tensor]]

    def trace(self, layers: Mapping[str, str], examples: Examples) -> Trace:
        """The same as a trace under the graph's names; ReplayError where a layer did not run once a step."""
        return Trace({name: self.layer(name, path, examples) for name, path in layers.items()}, self.outputs)

    def layer(self, name: str, path: str, examples: Examples) -> Array:
        calls = self.spikes[path]
        if len(calls) != examples.steps or any(len(call) != examples.batch for call in calls):
            shapes = sorted({tuple(call.shape) for call in calls})
            raise ReplayError(
                f"{name}: the model called this neuron {len(calls)} times with spikes {shapes}, but "
                f"{examples.steps} steps of a batch of {examples.batch} need one call a step. "
                "Loop over the steps in forward and call each neuron once in each"
            )
        return np.stack([call.numpy() for call in calls]).astype(np.uint8)


def record(model: nn.Module, examples: Examples) -> Recording:
    """Run the model on the examples from a fresh state (UserError where it fails on them)."""
    spikes: dict[str, list[Tensor]] = {}
    with isolated(model):
        handles = [
            module.register_forward_hook(_recorder(spikes.setdefault(path, [])))
            for path, module in model.named_modules()
            if hasattr(module, "spike_grad")
        ]
        try:
            outputs = _window(model, examples) if examples.time == "window" else _steps(model, examples)
        except DataError:
            raise
        except Exception as error:  # whatever the user's forward raises
            raise UserError(
                f"the model fails on the example inputs ({type(error).__name__}: {error}); "
                f"with time={examples.time!r} it is called with {_called_with(examples)}"
            ) from error
        finally:
            for handle in handles:
                handle.remove()
            forget(model)
    return Recording(outputs, spikes)


def _called_with(examples: Examples) -> str:
    skip = 0 if examples.time == "window" else 1
    shown = [f"{name} {tuple(tensor.shape[skip:])}" for name, tensor in examples.inputs.items()]
    return ", ".join([*shown, *(f"state {tuple(state.shape)}" for state in examples.states)])


def _recorder(calls: list[Tensor]) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        spikes = output[0] if isinstance(output, tuple) else output
        calls.append(spikes.detach().clone())

    return hook


def _window(model: nn.Module, examples: Examples) -> dict[str, Array]:
    return _named(model(*(tensor.clone() for tensor in examples.inputs.values())), examples)


def _steps(model: nn.Module, examples: Examples) -> dict[str, Array]:
    states: list[Any] = [state.clone() for state in examples.states]
    history: list[dict[str, Array]] = []
    for t in range(examples.steps):
        result = model(*(tensor[t].clone() for tensor in examples.inputs.values()), *states)
        history.append(_named(result, examples))
        if states:
            states = pytree.tree_leaves(result)[-len(states) :]
    return {name: np.stack([step[name] for step in history]) for name in history[0]}


def _named(result: Any, examples: Examples) -> dict[str, Array]:
    names = output_names(result, len(examples.states))
    leaves = dict(zip(names, pytree.tree_leaves(result), strict=False))
    kept = {name: leaves[name] for name in examples.kept(names)}
    return {name: leaf.detach().clone().numpy() for name, leaf in kept.items() if _is_tensor(leaf)}


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, torch.Tensor)


def check(graph: Graph, model: Trace, inputs: Mapping[str, Array]) -> Trace:
    """Compare the model's trace with both runs of the graph; the model's trace with every layer in it.

    A product of two spike trains is a layer of the graph, but no module of the model, so that the model's
    trace lacks it. It is a function of layers that were found equal: the reference's spikes are added.
    Raises ReplayError where the graph is not the model, TieError where float32's rounding decides.
    """
    in_float32 = reference(graph, inputs, states=True)
    in_float64 = interpret_real(graph, inputs, states=True)
    rounded = _without_roundings(graph, inputs, model, in_float32, in_float64)
    if where := _first_difference(graph, rounded, in_float32):
        raise ReplayError(
            f"the traced graph is not the model: {where}. Nothing was exported. Check that forward does the "
            "same in every step (no step counter, no state outside the neurons, no reset inside the window); "
            "a model that loops over the steps itself may also be traced with time='step'"
        )
    if where := _first_difference(graph, in_float32, in_float64):
        samples = _samples(graph, in_float32, in_float64)
        shown = ", ".join(map(str, samples[:10])) + (", ..." if len(samples) > 10 else "")
        raise TieError(
            f"float32 rounding decides a spike: {where}. The trace itself is right, but the model and exact "
            f"arithmetic part here, in {len(samples)} of {_batch(inputs)} samples ({shown}). Leave these "
            "samples out of the example inputs, or move the layer's threshold a little (say by 0.1 %) so "
            "that no potential meets it",
            samples,
        )
    spikes = {node.name: in_float32.spikes[node.name] for node in graph.neurons}
    return Trace({**spikes, **model.spikes}, model.outputs)


def _without_roundings(
    graph: Graph, inputs: Mapping[str, Array], model: Trace, single: Trace, double: Trace
) -> Trace:
    """The model's trace, with the reference's numbers where outputs of real numbers differ by rounding alone.

    PyTorch sums a batch of another shape in another order, so that such an output may differ in its last
    bits. What rounding can make of the same spikes (`output_bound`) is no difference.
    """
    outputs = dict(model.outputs)
    for name, given in model.outputs.items():
        other = single.outputs[name]
        if given.shape != other.shape or np.array_equal(given, other) or np.all(given == np.round(given)):
            continue
        bound = output_bound(graph, inputs, double, name)
        if bound is not None:
            apart = np.abs(given.astype(np.float64) - other)
            outputs[name] = np.where(apart <= bound, other, given)
    return Trace(model.spikes, outputs, model.states)


def _batch(inputs: Mapping[str, Array]) -> int:
    return int(next(iter(inputs.values())).shape[1])


def _compared(graph: Graph, trace: Trace) -> dict[str, Array]:
    """What must be equal: the spikes of every layer that was recorded, then the outputs."""
    recorded = (node.name for node in graph.neurons if node.name in trace.spikes)
    return {name: trace.spikes[name] for name in recorded} | dict(trace.outputs)


def _different(graph: Graph, a: Trace, b: Trace) -> dict[str, Array]:
    """For each layer and output, where they differ `[T, B, ...]`; real values only in one precision."""
    left, right = _compared(graph, a), _compared(graph, b)
    skipped = {
        n for n in a.outputs if left[n].dtype != right[n].dtype and not np.all(left[n] == np.round(left[n]))
    }
    return {n: np.asarray(left[n] != right[n]) for n in left if n not in skipped}


def _samples(graph: Graph, a: Trace, b: Trace) -> tuple[int, ...]:
    differences = [d.any(axis=(0, *range(2, d.ndim))) for d in _different(graph, a, b).values()]
    return tuple(int(i) for i in np.flatnonzero(np.any(differences, axis=0)))


def _first_difference(graph: Graph, a: Trace, b: Trace) -> str | None:
    """The earliest step, in it the layer nearest to the inputs, in it the first sample and neuron."""
    others = _compared(graph, b)
    for name, array in _compared(graph, a).items():
        other = others[name]
        if array.shape != other.shape:
            return f"{name} is {array.shape} in the model, but {other.shape} in the graph"
    first = [(np.argwhere(d)[0], name) for name, d in _different(graph, a, b).items() if d.any()]
    if not first:
        return None
    where, name = min(first, key=lambda item: int(item[0][0]))
    step, sample, *neuron = (int(i) for i in where)
    left, right = _compared(graph, a)[name][tuple(where)], _compared(graph, b)[name][tuple(where)]
    text = (
        f"layer {name}, neuron ({', '.join(map(str, neuron))}), step {step}, sample {sample}: "
        f"the model gives {left:g}, the graph {right:g}"
    )
    return text + _margin(graph, name, tuple(where), a if left < right else b)


def _margin(graph: Graph, name: str, where: tuple[Any, ...], silent: Trace) -> str:
    """How far below its threshold the side without a spike stands, where that side kept its potential."""
    if name not in silent.states:
        return ""
    potential = float(silent.states[name]["v"][where])
    thresholds = getattr(graph[name].op, "threshold")  # noqa: B009 - only layers with a state come here
    threshold = float(np.broadcast_to(thresholds, graph.shapes[name])[where[2:]])
    return f" (the silent side's potential is {potential!r}, its threshold {threshold!r})"
