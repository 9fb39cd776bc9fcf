"""What an entry of the corpus is: a small model, inputs to run it on, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn

from avnir.export.examples import Time

STEPS, BATCH = 200, 8
"""Every entry runs this many steps on this many samples."""

EXACT = "exact"


@dataclass(frozen=True)
class Sample:
    """A model, inputs `[STEPS, BATCH, ...]` by forward's parameters, and `states` as `trace` takes them."""

    model: nn.Module
    inputs: Mapping[str, Tensor]
    time: Time = "step"
    states: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A function that builds a sample from torch's random state, and what is expected of it today.

    `graph`: EXACT, or part of the message with which tracing or NIR refuses the model.
    `chip`: EXACT, or part of the message with which the compiler refuses it; as `graph` where not given.
    """

    build: Callable[[], Sample]
    graph: str = EXACT
    chip: str = ""

    @property
    def on_chip(self) -> str:
        return self.chip or self.graph

    @property
    def name(self) -> str:
        return self.build.__name__

    @property
    def shows(self) -> str:
        """The first line of what the entry says of itself."""
        return (self.build.__doc__ or "").partition("\n")[0]


class Net(nn.Module):
    """A model whose forward is the function that an entry wrote."""

    def __init__(self, written: Callable[..., Any], modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.written = written
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Any:
        return self.written(self, x)


class PairNet(Net):
    """The same with two inputs."""

    def forward(self, x: Tensor, y: Tensor) -> Any:  # type: ignore[override]
        return self.written(self, x, y)


def net(written: Callable[..., Any], shape: tuple[int, ...] = (6,), **modules: nn.Module) -> Sample:
    """A model of one input of spikes, one step a call."""
    return Sample(excited(Net(written, modules)), {"x": spikes(*shape)})


def window(written: Callable[..., Any], shape: tuple[int, ...] = (6,), **modules: nn.Module) -> Sample:
    """A model that gets the whole window at once."""
    return Sample(excited(Net(written, modules)), {"x": spikes(*shape)}, "window")


def between(*layers: nn.Module, shape: tuple[int, ...] = (6,)) -> Sample:
    """The layers, then a Leaky, in a Sequential."""
    return Sample(excited(nn.Sequential(*layers, leaky())), {"input": spikes(*shape)})


def spikes(*shape: int) -> Tensor:
    """Random spikes `[STEPS, BATCH, *shape]` from torch's random state."""
    return (torch.rand(STEPS, BATCH, *shape) < 0.4).float()


def leaky(beta: Any = 0.8, threshold: Any = 1.0, **options: Any) -> snn.Leaky:
    """A Leaky with hidden state and the chip's own reset, unless `options` say otherwise."""
    chosen = {"init_hidden": True, "reset_mechanism": "zero", "reset_delay": False, **options}
    return snn.Leaky(beta, threshold, **chosen)


def excited(model: nn.Module, gain: float = 3.0) -> nn.Module:
    """The model with weights large enough that every layer spikes, and statistics of no round numbers."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            bound = gain / module.weight[0].numel() ** 0.5
            module.weight.data.uniform_(-bound * 0.7, bound)
            if module.bias is not None:
                module.bias.data.uniform_(-0.1, 0.2)
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.1, 0.3)
    return model
