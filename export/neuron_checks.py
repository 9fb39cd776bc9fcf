"""Why a neuron module cannot be taken exactly, with what to use instead."""

from __future__ import annotations

from typing import Any

import torch
from snntorch import Alpha, Lapicque, RSynaptic
from snntorch._neurons.neurons import SpikingNeuron
from torch import nn

from avnir.export.neuron_forms import STATE_FUNCTIONS, lapicque_leak, tau_alpha
from avnir.export.neurons import ONE_TO_ONE, RECURRENT, kind_of

Problem = tuple[str, str]
"""What is wrong, and what to use instead."""

_METHODS = (
    "forward",
    "fire",
    "mem_reset",
    "_base_sub",
    "_base_zero",
    "_base_int",
    "_base_state_function",
    "_base_state_reset_zero",
    "_base_state_reset_sub_function",
)
"""What a neuron computes with; a class that replaces one of these is another neuron."""

RECURRENCES = (nn.Linear, nn.Conv2d, *ONE_TO_ONE)
_PLAIN = {"stride": (1, 1), "dilation": (1, 1), "groups": 1, "padding_mode": "zeros"}
"""What snnTorch makes to bring a layer's spikes back, and what its convolutions are."""


def neuron_problems(module: Any) -> list[Problem]:
    """Why a neuron module has no operation of the real level; empty for a plain one of STATES."""
    kind = kind_of(module)
    if kind is None or _overridden(module, kind):
        remedy = "Use snntorch.Leaky, RLeaky, Synaptic, RSynaptic, Lapicque or Alpha itself"
        return [(f"the neuron {type(module).__name__}", remedy)]
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
    if kind is Lapicque and not bool(((leak := lapicque_leak(module)) >= 0).all() and (leak <= 1).all()):
        problem = f"1 - time_step / (R C), what the potential keeps in a step, is {leak.tolist()}"
        problems.append((problem, "Choose R, C and time_step so that it lies in [0, 1]: time_step <= R C"))
    if kind is Alpha:
        problems += _alpha_problems(module)
    if kind in RECURRENT:
        problems += _recurrence_problems(module.recurrent)
    return problems + _reset_problems(module) + _surrogate_problems(module)


def crash_problems(module: nn.Module) -> list[Problem]:
    """Why a neuron of snnTorch 1.0.0 cannot even run.

    RSynaptic without a reset delay reads names that its forward has not, `_neurons/rsynaptic.py`: it
    raises with hidden states, and with explicit ones resets the potential it was given, not its own.
    """
    if not isinstance(module, RSynaptic) or module.reset_delay:
        return []
    return [
        (
            "reset_delay=False of RSynaptic does not work in snnTorch 1.0.0: its reset is lost or raises",
            "Use reset_delay=True, or RLeaky, which has both",
        )
    ]


def _overridden(module: nn.Module, kind: type[nn.Module]) -> bool:
    methods = [name for name in _METHODS if hasattr(kind, name)]
    same = all(getattr(type(module), name) is getattr(kind, name) for name in methods)
    return not same or any(name in module.__dict__ for name in methods)


def _alpha_problems(module: Any) -> list[Problem]:
    """snnTorch's constructor asks for alpha > beta; training may have brought them together since."""
    if module.alpha.dtype != torch.float32 or module.beta.dtype != torch.float32:
        problem = f"alpha is {module.alpha.dtype} and beta {module.beta.dtype}"
        return [(problem, "Give both as Python floats or float32 tensors")]
    if bool(torch.isfinite(tau_alpha(module.alpha, module.beta)).all()):
        return []
    return [("its tau, log(alpha) / (log(beta) - log(alpha)) + 1, is not finite", "Keep alpha above beta")]


def _recurrence_problems(recurrent: Any) -> list[Problem]:
    own = type(recurrent) in RECURRENCES and "forward" not in recurrent.__dict__
    if own and all(getattr(recurrent, name, value) == value for name, value in _PLAIN.items()):
        return []
    return [
        (
            f"its spikes come back through {recurrent}, which snnTorch did not make",
            "Use linear_features, conv2d_channels with kernel_size, or all_to_all=False with V",
        )
    ]


def _reset_problems(module: Any) -> list[Problem]:
    built = STATE_FUNCTIONS.get(getattr(module.state_function, "__func__", None))
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
