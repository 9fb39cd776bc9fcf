"""A torch module with snnTorch neurons as a real graph, proved by replay before it is handed out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avnir.errors import Finding, UnsupportedError
from avnir.export.capture import TITLE, capture
from avnir.export.examples import ExampleInputs, Examples, Outputs, Time, examples_for
from avnir.export.neuron_checks import crash_problems
from avnir.export.replay import check, record
from avnir.export.walk import graph_of
from avnir.ir.graph import Graph
from avnir.trace import Trace


@dataclass(frozen=True)
class Traced:
    """A graph that gave the model's spikes, its own trace (see `check`), and the examples."""

    graph: Graph
    recorded: Trace
    examples: Examples


def trace(
    model: nn.Module,
    example_inputs: ExampleInputs,
    time: Time = "step",
    states: Sequence[Tensor] | None = None,
    outputs: Outputs | None = None,
) -> Graph:
    """The real graph of `model`, in eval mode, with its parameters in float32 as they are.

    `example_inputs`: float32 (or integer) tensors `[T, B, ...]`, one for each of forward's parameters
    in order, or a dict by their names. With `time="step"` the model is called once per step with
    `[B, ...]`; its neurons keep their potentials, or forward takes `states` (zeros `[B, ...]`) after the
    inputs and returns them after the outputs. With `time="window"` it is called once with `[T, B, ...]`
    and loops over the steps itself. The model is left as it was, its neurons' states included.

    `outputs`: the outputs of forward to keep, by name or position, where not all: membrane potentials that
    only training looks at are left out so.

    Values of the examples that are all 0 or 1 declare a spike input, integers a graded one.

    Raises UnsupportedError with everything that cannot be taken exactly, ReplayError where the graph
    does not repeat the model's spikes on the examples, TieError where float32's rounding decides one,
    DataError where the examples do not fit.
    """
    return traced(model, example_inputs, time, states, outputs).graph


def traced(
    model: nn.Module,
    example_inputs: ExampleInputs,
    time: Time = "step",
    states: Sequence[Tensor] | None = None,
    outputs: Outputs | None = None,
) -> Traced:
    """`trace`, with the model's own run on the examples."""
    if findings := (*_parameter_findings(model), *_crash_findings(model)):
        raise UnsupportedError(TITLE, findings)
    examples = examples_for(model, example_inputs, time, states, outputs)
    recording = record(model, examples)
    graph, layers = graph_of(model, capture(model, examples), examples)
    recorded = check(graph, recording.trace(layers, examples), examples.arrays())
    return Traced(graph, recorded, examples)


def _parameter_findings(model: nn.Module) -> Iterator[Finding]:
    for name, parameter in model.named_parameters():
        if parameter.device.type != "cpu":
            yield Finding(name, f"it is on {parameter.device}", "Call model.cpu() first")
        elif parameter.dtype != torch.float32 and parameter.numel() > 1:
            yield Finding(name, f"it is {parameter.dtype}", "Call model.float() first")
        elif not bool(torch.isfinite(parameter).all()):
            yield Finding(name, "it has values that are not finite", "Train again, or load a sound state")


def _crash_findings(model: nn.Module) -> Iterator[Finding]:
    for path, module in model.named_modules():
        yield from (Finding(path, problem, remedy) for problem, remedy in crash_problems(module))
