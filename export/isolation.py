"""Running somebody's model without leaving a trace in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from snntorch._neurons.neurons import SpikingNeuron
from torch import Tensor, nn

from avnir.export.neurons import STATES, kind_of


@contextmanager
def isolated(model: nn.Module) -> Iterator[None]:
    """The model in eval mode with fresh neuron states; afterwards all is as it was, after errors too.

    Every module gets its attributes, its tables of parameters and buffers, and the values of its
    buffers back. snnTorch's list of all neurons in the process holds only this model's meanwhile, so
    that `Leaky.reset_hidden` in a `forward` does not reach the neurons of other models.
    """
    saved = [(module, _snapshot(module)) for module in model.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    instances = SpikingNeuron.instances
    try:
        SpikingNeuron.instances = [m for m in model.modules() if isinstance(m, SpikingNeuron)]
        model.eval()
        forget(model)
        with torch.no_grad():
            yield
    finally:
        SpikingNeuron.instances = instances
        for module, attributes in saved:
            _restore(module, attributes)
        for buffer, value in buffers:
            _restore_value(buffer, value)


def forget(model: nn.Module) -> None:
    """Give every neuron that is taken the empty states that it is made with."""
    for module in model.modules():
        if kind := kind_of(module):
            for name in STATES[kind]:
                setattr(module, name, torch.zeros(0))


_TABLES = ("_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks")


def _snapshot(module: nn.Module) -> dict[str, Any]:
    return {k: dict(v) if k in _TABLES else v for k, v in module.__dict__.items()}


def _restore(module: nn.Module, attributes: dict[str, Any]) -> None:
    for name in module.__dict__.keys() - attributes.keys():
        del module.__dict__[name]
    for name, value in attributes.items():
        if name in _TABLES:
            table = module.__dict__[name]
            table.clear()
            table.update(value)
        else:
            module.__dict__[name] = value


def _restore_value(buffer: Tensor, value: Tensor) -> None:
    if buffer.shape != value.shape or not torch.equal(buffer, value):
        buffer.data = value
