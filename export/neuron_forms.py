"""What a neuron module of snnTorch says, as operations of the real level.

The resets are snnTorch 1.0.0's, `_neurons/{leaky,rleaky,synaptic,rsynaptic,lapicque}.py`: the state
function that the constructor chose, and `reset_delay`, which Lapicque always has. With it, reset to
zero differs: Leaky clears the potential before the next step's input comes (`zero_delayed`), the others
clear it after (`zero_next`). Alpha's resets are its own (`real.Alpha`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from snntorch import Alpha, Lapicque, Leaky, RSynaptic, Synaptic
from torch import Tensor, nn

from avnir.errors import GraphError
from avnir.export.neurons import STATES, kind_of
from avnir.ir import real
from avnir.ir.operation import Array, Shape

STATE_FUNCTIONS: Mapping[Any, str] = {
    getattr(kind, function): reset
    for kind in STATES
    for function, reset in (("_base_sub", "subtract"), ("_base_zero", "zero"), ("_base_int", "none"))
}
"""The reset that each state function computes."""


def operation(module: Any, shape: Shape) -> real.Lif | real.Alpha:
    """The operation of a neuron without problems, on samples of `shape`; GraphError where they do not fit."""
    made = _alpha(module, shape) if kind_of(module) is Alpha else _lif(module, shape)
    made.output_shape(shape)
    return made


def integrator(module: Any, shape: Shape) -> real.Li | None:
    """What the neuron's potential is by itself: of a Leaky, Synaptic or Lapicque that nothing resets."""
    if kind_of(module) not in (Leaky, Synaptic, Lapicque) or reset_of(module) != "none":
        return None
    whole = _lif(module, shape)
    return real.Li(whole.beta, whole.gain, whole.alpha)


def recurrence(module: Any, shape: Shape) -> real.Linear | real.Conv2d | real.Scale:
    """What brings the spikes of an RLeaky or RSynaptic back to it."""
    return _RECURRENCES.get(type(module.recurrent), _one_to_one)(module.recurrent, shape)


def scales(module: nn.Module, shape: Shape) -> list[Array]:
    """What multiplies the neuron's input before the gain does, in order."""
    return _input_factors(module, shape)[:-1]


def reset_of(module: Any) -> str:
    """The real level's name of its reset."""
    reset = STATE_FUNCTIONS[module.state_function.__func__]
    if reset == "none" or not getattr(module, "reset_delay", isinstance(module, Lapicque)):
        return reset
    return "zero_next" if reset == "zero" and kind_of(module) is not Leaky else f"{reset}_delayed"


def lapicque_leak(module: Any) -> Tensor:
    """What Lapicque's potential keeps in a step, by its `_base_state_function`; its `beta` is another."""
    leak: Tensor = 1 - module.time_step / (module.R * module.C)
    return leak


def tau_alpha(alpha: Tensor, beta: Tensor) -> Tensor:
    """Alpha's tau as its `_base_state_function` computes it, in the parameters' own precision."""
    a, b = alpha.clamp(0, 1), beta.clamp(0, 1)
    return torch.log(a) / (torch.log(b) - torch.log(a)) + 1


def _lif(module: Any, shape: Shape) -> real.Lif:
    kind = kind_of(module)
    current = kind in (Synaptic, RSynaptic)
    leak = lapicque_leak(module) if kind is Lapicque else module.beta.clamp(0, 1)
    return real.Lif(
        beta=_parameter(leak, "beta", shape),
        threshold=_parameter(module.threshold, "threshold", shape),
        gain=_input_factors(module, shape)[-1],
        reset=reset_of(module),
        alpha=_parameter(module.alpha.clamp(0, 1), "alpha", shape) if current else None,
    )


def _alpha(module: Any, shape: Shape) -> real.Alpha:
    return real.Alpha(
        alpha=_parameter(module.alpha.clamp(0, 1), "alpha", shape),
        beta=_parameter(module.beta.clamp(0, 1), "beta", shape),
        tau=_parameter(tau_alpha(module.alpha, module.beta), "tau", shape),
        threshold=_parameter(module.threshold, "threshold", shape),
        reset=reset_of(module),
    )


def _linear(recurrent: Any, shape: Shape) -> real.Linear:
    return real.Linear(_array(recurrent.weight), _bias(recurrent))


def _conv2d(recurrent: Any, shape: Shape) -> real.Conv2d:
    return real.Conv2d(
        _array(recurrent.weight),
        _bias(recurrent),
        padding=recurrent.padding,
    )


def _one_to_one(recurrent: Any, shape: Shape) -> real.Scale:
    return real.Scale(_parameter(recurrent.V, "V", shape))


_RECURRENCES: Mapping[type[nn.Module], Callable[[Any, Shape], real.Linear | real.Conv2d]] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv2d,
}


def _bias(layer: Any) -> Array | None:
    return None if layer.bias is None else _array(layer.bias)


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.detach().numpy().copy()
    return array


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
