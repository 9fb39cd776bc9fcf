"""The inputs that a model is traced and replayed with, after every check."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor, nn

from avnir.errors import DataError
from avnir.ir.operation import Array

Time = Literal["step", "window"]
"""`step`: the model is called once per time step; `window`: once, and holds the time loop itself."""

ExampleInputs = Tensor | Sequence[Tensor] | Mapping[str, Tensor]

Outputs = str | int | Sequence[str | int]
"""Outputs of forward, each by its name or its position, from 0."""

MESSAGE_BITS = range(2, 25)
"""Signed integers of these widths travel as graded spikes: 24 bits are Lava's and Loihi 2's message."""


@dataclass(frozen=True)
class Examples:
    """Named inputs `[T, B, ...]` in the order of `forward`, and the initial states `[B, ...]` after them.

    `outputs`: the names or positions of those that are kept, None for all.
    """

    inputs: Mapping[str, Tensor]
    states: tuple[Tensor, ...]
    time: Time
    outputs: tuple[str | int, ...] | None = None

    @property
    def steps(self) -> int:
        return next(iter(self.inputs.values())).shape[0]

    @property
    def batch(self) -> int:
        return next(iter(self.inputs.values())).shape[1]

    def kept(self, names: Sequence[str]) -> tuple[str, ...]:
        """Which of the model's outputs are kept, in its order; DataError where it has not what was asked."""
        if self.outputs is None:
            return tuple(names)
        known: dict[str | int, str] = {**dict(enumerate(names)), **{name: name for name in names}}
        if unknown := [str(wanted) for wanted in self.outputs if wanted not in known]:
            listed = ", ".join(f"{index} ({name})" for index, name in enumerate(names))
            raise DataError(f"the model has no output {', '.join(unknown)}; choose among {listed}")
        wanted = {known[output] for output in self.outputs}
        return tuple(name for name in names if name in wanted)

    def arrays(self) -> dict[str, Array]:
        """The inputs as numpy arrays of their own dtype."""
        return {name: np.asarray(tensor.detach().numpy()) for name, tensor in self.inputs.items()}


def examples_for(
    model: nn.Module,
    example_inputs: ExampleInputs,
    time: Time,
    states: Sequence[Tensor] | None,
    outputs: Outputs | None,
) -> Examples:
    """The examples under `forward`'s parameter names; DataError with everything that does not fit."""
    if time not in get_args(Time):
        raise DataError(f"time is {time!r}, but must be one of {', '.join(get_args(Time))}")
    if states and time == "window":
        raise DataError("states are given, but a model with time='window' holds them itself; leave them out")
    inputs = _named(model, example_inputs)
    if problems := [*_input_problems(inputs), *_state_problems(states or (), inputs)]:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise DataError(f"the example inputs cannot be used:\n{listed}")
    return Examples(inputs, tuple(states or ()), time, _listed(outputs))


def _listed(outputs: Outputs | None) -> tuple[str | int, ...] | None:
    if outputs is None or isinstance(outputs, str | int):
        return None if outputs is None else (outputs,)
    if not outputs:
        raise DataError("outputs is empty, but a network gives something; name an output, or leave it out")
    return tuple(outputs)


def message_bits(tensor: Tensor) -> int | None:
    """0 for spikes (all 0 or 1), the smallest signed width for integers, None for real numbers."""
    values = tensor.detach().to(torch.float64)
    if bool(((values == 0) | (values == 1)).all()):
        return 0
    if not bool((values == values.round()).all()):
        return None
    low, high = float(values.min()), float(values.max())
    return next((n for n in MESSAGE_BITS if -(2.0 ** (n - 1)) <= low and high < 2.0 ** (n - 1)), None)


def _named(model: nn.Module, example_inputs: ExampleInputs) -> dict[str, Tensor]:
    if isinstance(example_inputs, Mapping):
        given = {str(name): torch.as_tensor(value) for name, value in example_inputs.items()}
        names = _forward_names(model, tuple(given))
        if unknown := sorted(given.keys() - set(names)):
            raise DataError(f"forward has no parameter {', '.join(unknown)}; it takes {', '.join(names)}")
        return {name: given[name] for name in names if name in given}
    single = isinstance(example_inputs, Tensor | np.ndarray)
    values = cast(Sequence[Any], (example_inputs,) if single else example_inputs)
    names = _forward_names(model, tuple(f"input_{i}" for i in range(len(values))))
    if not values or len(names) < len(values):
        takes = ", ".join(names) or "none"
        raise DataError(f"{len(values)} example inputs are given, but forward takes {takes}")
    return {name: torch.as_tensor(value) for name, value in zip(names, values, strict=False)}


def _forward_names(model: nn.Module, rest: Sequence[str]) -> list[str]:
    """Names of forward's positional parameters; what a `*parameter` takes is called like `rest`."""
    names: list[str] = []
    for parameter in inspect.signature(model.forward).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [name for name in rest if name not in names]
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    return names


def _input_problems(inputs: Mapping[str, Tensor]) -> list[str]:
    problems = []
    for name, tensor in inputs.items():
        if tensor.ndim < 3 or 0 in tensor.shape:
            problems.append(f"{name} has shape {tuple(tensor.shape)}, but must be [T, B, ...], time first")
        elif tensor.device.type != "cpu":
            problems.append(f"{name} is on {tensor.device}; use {name}.cpu()")
        elif tensor.is_complex() or not bool(torch.isfinite(tensor).all()):
            problems.append(f"{name} has values that are not finite real numbers")
        elif tensor.is_floating_point() and tensor.dtype != torch.float32:
            problems.append(f"{name} is {tensor.dtype}; use {name}.float()")
    if not problems and next(iter(inputs.values())).shape[0] < 2:
        problems.append(
            "the inputs have one time step, but a state shows from the second on; give two or more"
        )
    heads = {tuple(tensor.shape[:2]) for tensor in inputs.values()}
    if not problems and len(heads) > 1:
        problems.append(f"the inputs have different [T, B]: {', '.join(map(str, sorted(heads)))}")
    return problems


def _state_problems(states: Sequence[Tensor], inputs: Mapping[str, Tensor]) -> list[str]:
    batch = next(iter(inputs.values())).shape[1]
    problems = []
    for index, state in enumerate(states):
        if state.numel() and (state.ndim < 2 or state.shape[0] != batch):
            problems.append(f"state {index} has shape {tuple(state.shape)}, but must be [{batch}, ...]")
        if bool((state != 0).any()):
            problems.append(f"state {index} does not start at zero; a network on the chip does: use zeros")
    return problems
