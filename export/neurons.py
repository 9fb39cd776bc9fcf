"""snnTorch's neurons Leaky, Synaptic and Lapicque as opaque operators, and what a module says as a `Lif`.

While a model is exported, each such module answers with `avnir::leaky`, or `avnir::synaptic` where it
has a current too. They carry the module's path and nothing else: the operator owns the state, so a
neuron with `init_hidden=True` does not come out stateless. They have no kernel and exist in graphs only.

The resets are snnTorch 1.0.0's, `_neurons/{leaky,synaptic,lapicque}.py`: the state function that the
constructor chose, and `reset_delay`, which Lapicque always has. With it, reset to zero differs: Leaky
clears the potential before the next step's input comes (`zero_delayed`), the other two clear it after
(`zero_next`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from snntorch import Lapicque, Leaky, Synaptic
from snntorch._neurons.neurons import SpikingNeuron
from torch import Tensor, nn

from avnir.errors import GraphError
from avnir.ir import real
from avnir.ir.operation import Array, Shape

Problem = tuple[str, str]
"""What is wrong, and what to use instead."""

torch.library.define("avnir::leaky", "(Tensor input, Tensor? mem, str layer) -> (Tensor, Tensor)")


def _leaky(input: Tensor, mem: Tensor | None, layer: str) -> tuple[Tensor, Tensor]:
    """Spikes and the next membrane potential, both of the input's shape."""
    return torch.empty_like(input), torch.empty_like(input)


torch.library.register_fake("avnir::leaky", _leaky)
torch.library.define(
    "avnir::synaptic", "(Tensor input, Tensor? syn, Tensor? mem, str layer) -> (Tensor, Tensor, Tensor)"
)


def _synaptic(
    input: Tensor, syn: Tensor | None, mem: Tensor | None, layer: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes, the next synaptic current and the next membrane potential, all of the input's shape."""
    return torch.empty_like(input), torch.empty_like(input), torch.empty_like(input)


torch.library.register_fake("avnir::synaptic", _synaptic)

STATES: Mapping[type[nn.Module], tuple[str, ...]] = {
    Leaky: ("mem",),
    Synaptic: ("syn", "mem"),
    Lapicque: ("mem",),
}
"""The neurons that are taken, with the states that they take and return, in order."""


def kind_of(module: nn.Module) -> type[nn.Module] | None:
    """Which of STATES the module is, or derives from; None where it is no such neuron."""
    return next((kind for kind in STATES if isinstance(module, kind)), None)


def make_opaque(model: nn.Module) -> list[str]:
    """Let the neurons answer with their operators; the list returned collects whose state was cleared.

    The methods are replaced on the model's own modules, not on the class, so that other models, in
    other threads too, do not notice. The caller restores the modules (`isolated` does).
    """
    cleared: list[str] = []
    for path, module in model.named_modules():
        if kind := kind_of(module):
            module.__dict__ |= _opaque_methods(module, kind, path, cleared)
    return cleared


def _opaque_methods(
    module: Any, kind: type[nn.Module], path: str, cleared: list[str]
) -> dict[str, Callable[..., Any]]:
    def one_state(input_: Tensor, mem: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        return answer(torch.ops.avnir.leaky(input_, mem, path))

    def two_states(
        input_: Tensor, syn: Tensor | None = None, mem: Tensor | None = None
    ) -> Tensor | tuple[Tensor, ...]:
        return answer(torch.ops.avnir.synaptic(input_, syn, mem, path))

    def answer(results: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        return results[0] if module.init_hidden and not module.output else results

    def reset_mem() -> Tensor | tuple[Tensor, ...]:
        cleared.append(path)
        empty = tuple(torch.zeros(0) for _ in STATES[kind])
        return empty if len(empty) > 1 else empty[0]

    return {"forward": one_state if len(STATES[kind]) == 1 else two_states, "reset_mem": reset_mem}


_METHODS = ("fire", "mem_reset", "_base_sub", "_base_zero", "_base_int", "_base_state_function")
_SYNAPTIC_METHODS = (*_METHODS, "_base_state_reset_zero")

_STATE_FUNCTIONS = {
    getattr(kind, function): reset
    for kind in STATES
    for function, reset in (("_base_sub", "subtract"), ("_base_zero", "zero"), ("_base_int", "none"))
}


def neuron_problems(module: Any) -> list[Problem]:
    """Why a neuron module is not the `Lif` of the real level; empty for a plain one of STATES."""
    kind = kind_of(module)
    if kind is None or _overridden(module, kind):
        return [(f"the neuron {type(module).__name__}", "Use snntorch.Leaky, Synaptic or Lapicque itself")]
    problems: list[Problem] = []
    if module.inhibition:
        problems.append(("inhibition=True", "Leave it out, or take the largest count outside the model"))
    if module.state_quant:
        problems.append(("state_quant", "Leave it out: avnir quantises after training"))
    if bool((module.graded_spikes_factor != 1).any()):
        problems.append(
            ("graded_spikes_factor is not 1", "Set it to 1 and multiply the next layer's weights by it")
        )
    if bool((module.threshold < 0).any()):
        problems.append(
            ("a negative threshold", "Use thresholds of 0 and above (torch.clamp while training)")
        )
    if kind is Lapicque and not bool(((leak := _lapicque_leak(module)) >= 0).all() and (leak <= 1).all()):
        problem = f"1 - time_step / (R C), what the potential keeps in a step, is {leak.tolist()}"
        problems.append((problem, "Choose R, C and time_step so that it lies in [0, 1]: time_step <= R C"))
    return problems + _reset_problems(module) + _surrogate_problems(module)


def _overridden(module: nn.Module, kind: type[nn.Module]) -> bool:
    methods = _SYNAPTIC_METHODS if kind is Synaptic else _METHODS
    same = all(getattr(type(module), name) is getattr(kind, name) for name in (*methods, "forward"))
    return not same or any(name in module.__dict__ for name in methods)


def _reset_problems(module: Any) -> list[Problem]:
    built = _STATE_FUNCTIONS.get(getattr(module.state_function, "__func__", None))
    stored = {v: k for k, v in SpikingNeuron.reset_dict.items()}.get(int(module.reset_mechanism_val))
    if built is not None and built == stored:
        return []
    return [
        (
            f"it was built with the reset {built!r}, but its state says {stored!r}",
            "Build the neuron with the reset_mechanism that it was trained with, then load its state",
        )
    ]


_PROBES = (-3e38, -1.0, -1e-6, -1e-38, -0.0, 0.0, 1e-38, 1e-6, 1.0, 3e38)
_REPEATS = 16
"""A stochastic surrogate that answers like a step on all probes this often has odds below 2^-16."""


def _surrogate_problems(module: Any) -> list[Problem]:
    """The surrogate's forward must be the step function s = x > 0, each time."""
    probes = torch.tensor(_PROBES).repeat(_REPEATS)
    with torch.random.fork_rng(devices=()), torch.no_grad():
        answers = module.spike_grad(probes.clone())
    if torch.equal(answers, (probes > 0).to(torch.float32)):
        return []
    return [
        (
            "its spike_grad is not the step x > 0 in the forward pass",
            "Use a deterministic surrogate, e.g. snntorch.surrogate.atan()",
        )
    ]


def lif(module: Any, shape: Shape) -> real.Lif:
    """The operation of a neuron without problems, on samples of `shape`; GraphError where they do not fit."""
    kind = kind_of(module)
    leak = _lapicque_leak(module) if kind is Lapicque else module.beta.clamp(0, 1)
    operation = real.Lif(
        beta=_parameter(leak, "beta", shape),
        threshold=_parameter(module.threshold, "threshold", shape),
        gain=_input_factors(module, shape)[-1],
        reset=_reset(module),
        alpha=_parameter(module.alpha.clamp(0, 1), "alpha", shape) if kind is Synaptic else None,
    )
    operation.output_shape(shape)
    return operation


def scales(module: nn.Module, shape: Shape) -> list[Array]:
    """What multiplies the neuron's input before the gain does, in order."""
    return _input_factors(module, shape)[:-1]


def _reset(module: Any) -> str:
    reset = _STATE_FUNCTIONS[module.state_function.__func__]
    lapicque = isinstance(module, Lapicque)
    if reset == "none" or not (lapicque or module.reset_delay):
        return reset
    return "zero_next" if reset == "zero" and kind_of(module) is not Leaky else f"{reset}_delayed"


def _lapicque_leak(module: Any) -> Tensor:
    """What Lapicque's potential keeps in a step, by its `_base_state_function`; its `beta` is another."""
    leak: Tensor = 1 - module.time_step / (module.R * module.C)
    return leak


def _input_factors(module: Any, shape: Shape) -> list[Array]:
    """What multiplies the input, one factor after another, each product rounded; at least one.

    Lapicque computes `input * R * (1 / (R C)) * time_step`; a factor of 1 changes nothing.
    """
    if not isinstance(module, Lapicque):
        return [np.ones((), np.float32)]
    factors = (module.R, 1 / (module.R * module.C), module.time_step)
    arrays = [_parameter(factor, "R, C or time_step", shape) for factor in factors]
    return [array for array in arrays if np.any(array != 1)] or arrays[:1]


def _parameter(tensor: Tensor, name: str, shape: Shape) -> Array:
    """float32, 0-d or without leading axes of one: PyTorch takes a 0-d tensor of any type as float32."""
    array: Array = tensor.detach().numpy()
    if array.size == 1:
        return array.reshape(()).astype(np.float32)
    if array.dtype != np.float32:
        raise GraphError(f"{name} is {array.dtype}, but must be float32")
    while array.ndim > len(shape) and array.shape[0] == 1:
        array = array[0]
    return array.copy()


def is_neuron(module: nn.Module) -> bool:
    """Whether the module is one of snnTorch's neurons, of any kind."""
    return isinstance(module, SpikingNeuron) or type(module).__module__.startswith("snntorch._neurons")
