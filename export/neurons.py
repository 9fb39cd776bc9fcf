"""snnTorch's neurons as one opaque operator, while a model is exported.

Each such module answers with `avnir::neuron`, which carries the module's path and nothing else: the
operator owns the state, so a neuron with `init_hidden=True` does not come out stateless. It has no
kernel and exists in graphs only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from snntorch import Alpha, Lapicque, Leaky, RLeaky, RSynaptic, Synaptic
from snntorch._neurons import rleaky, rsynaptic
from snntorch._neurons.neurons import SpikingNeuron
from torch import Tensor, nn

OPERATOR = "avnir.neuron.default"

torch.library.define("avnir::neuron", "(Tensor input, Tensor? spk, Tensor?[] states, str layer) -> Tensor[]")


def _neuron(input: Tensor, spk: Tensor | None, states: Sequence[Tensor | None], layer: str) -> list[Tensor]:
    """Spikes and the next states, all of the input's shape."""
    return [torch.empty_like(input) for _ in range(1 + len(states))]


torch.library.register_fake("avnir::neuron", _neuron)

SPIKES = "spk"
"""A recurrent neuron's own spikes: a state that it takes, and returns as its spikes."""

STATES: Mapping[type[nn.Module], tuple[str, ...]] = {
    Leaky: ("mem",),
    Synaptic: ("syn", "mem"),
    Lapicque: ("mem",),
    RLeaky: (SPIKES, "mem"),
    RSynaptic: (SPIKES, "syn", "mem"),
    Alpha: ("syn_exc", "syn_inh", "mem"),
}
"""The neurons that are taken, with the states that they take and return, in order."""

RECURRENT = (RLeaky, RSynaptic)
ONE_TO_ONE = (rleaky.RecurrentOneToOne, rsynaptic.RecurrentOneToOne)
"""snnTorch's layers in which each neuron's spikes come back to itself."""


def kind_of(module: nn.Module) -> type[nn.Module] | None:
    """Which of STATES the module is, or a user's class derives from; None where it is no such neuron."""
    if type(module) not in STATES and _is_snntorchs(module):
        return None
    return next((kind for kind in STATES if isinstance(module, kind)), None)


def inner_states(kind: type[nn.Module]) -> tuple[str, ...]:
    """The states beside the spikes, in order."""
    return tuple(name for name in STATES[kind] if name != SPIKES)


def is_neuron(module: nn.Module) -> bool:
    """Whether the module is one of snnTorch's neurons, of any kind."""
    return isinstance(module, SpikingNeuron) or (_is_snntorchs(module) and not isinstance(module, ONE_TO_ONE))


def _is_snntorchs(module: nn.Module) -> bool:
    return type(module).__module__.startswith("snntorch._neurons")


def make_opaque(model: nn.Module) -> list[str]:
    """Let the neurons answer with the operator; the list returned collects whose state was cleared.

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
    def forward(input_: Tensor, *states: Tensor, **named: Tensor) -> Tensor | tuple[Tensor, ...]:
        given = dict(zip(STATES[kind], states, strict=False)) | named
        inner = [given.get(name) for name in inner_states(kind)]
        results = torch.ops.avnir.neuron(input_, given.get(SPIKES), inner, path)
        return results[0] if module.init_hidden and not module.output else tuple(results)

    def reset_mem() -> Tensor | tuple[Tensor, ...]:
        cleared.append(path)
        empty = tuple(torch.zeros(0) for _ in STATES[kind])
        return empty if len(empty) > 1 else empty[0]

    return {"forward": forward, "reset_mem": reset_mem}
