"""snnTorch's Leaky neuron as one opaque operator, and what its module says as a `Lif`.

While a model is exported, each of its Leaky modules answers with `avnir::leaky`, which carries the
module's path and nothing else: the operator owns the membrane potential, so a neuron with
`init_hidden=True` does not come out stateless. The operator has no kernel; it exists in graphs only.

The five resets are snnTorch 1.0.0's, `_neurons/leaky.py`: the state function that the constructor
chose, and `reset_delay`.
"""

from __future__ import annotations

import numpy as np
import torch
from snntorch import Leaky
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


def make_opaque(model: nn.Module) -> list[str]:
    """Let Leaky modules answer with `avnir::leaky`; the list returned collects whose state was cleared.

    The methods are replaced on the model's own modules, not on the class, so that other models, in
    other threads too, do not notice. The caller restores the modules (`isolated` does).
    """
    cleared: list[str] = []
    for path, module in model.named_modules():
        if isinstance(module, Leaky):
            _replace_methods(module, path, cleared)
    return cleared


def _replace_methods(module: Leaky, path: str, cleared: list[str]) -> None:
    def forward(input_: Tensor, mem: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        spikes, potential = torch.ops.avnir.leaky(input_, mem, path)
        return spikes if module.init_hidden and not module.output else (spikes, potential)

    def reset_mem() -> Tensor:
        cleared.append(path)
        return torch.zeros(0)

    module.__dict__ |= {"forward": forward, "reset_mem": reset_mem}


_METHODS = ("fire", "mem_reset", "_base_sub", "_base_zero", "_base_int", "_base_state_function")

_STATE_FUNCTIONS = {Leaky._base_sub: "subtract", Leaky._base_zero: "zero", Leaky._base_int: "none"}


def neuron_problems(module: nn.Module) -> list[Problem]:
    """Why a neuron module is not the `Lif` of the real level; empty for a plain Leaky."""
    if not isinstance(module, Leaky) or _overridden(module):
        return [(f"the neuron {type(module).__name__}", "Use snntorch.Leaky")]
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
    return problems + _reset_problems(module) + _surrogate_problems(module)


def _overridden(module: Leaky) -> bool:
    kind = type(module)
    same = all(getattr(kind, name) is getattr(Leaky, name) for name in (*_METHODS, "forward"))
    return not same or any(name in module.__dict__ for name in _METHODS)


def _reset_problems(module: Leaky) -> list[Problem]:
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


def _surrogate_problems(module: Leaky) -> list[Problem]:
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


def lif(module: Leaky, shape: Shape) -> real.Lif:
    """The operation of a Leaky without problems, for samples of `shape`; GraphError where they do not fit."""
    reset = _STATE_FUNCTIONS[module.state_function.__func__]
    delayed = module.reset_delay and reset != "none"
    operation = real.Lif(
        beta=_parameter(module.beta.clamp(0, 1), "beta", shape),
        threshold=_parameter(module.threshold, "threshold", shape),
        gain=np.ones((), np.float32),
        reset=f"{reset}_delayed" if delayed else reset,
    )
    operation.output_shape(shape)
    return operation


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
