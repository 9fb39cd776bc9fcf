"""Small networks that the tests of the front end trace."""

from __future__ import annotations

import itertools
import math
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn

RESETS = {
    "zero": {"reset_mechanism": "zero", "reset_delay": False},
    "subtract": {"reset_mechanism": "subtract", "reset_delay": False},
    "none": {"reset_mechanism": "none"},
    "zero_delayed": {"reset_mechanism": "zero"},
    "subtract_delayed": {"reset_mechanism": "subtract"},
}
"""The real level's name of each reset, and snnTorch's options for it."""


def spikes(*shape: int, rate: float = 0.4, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(shape, generator=generator) < rate).float()


def seeded(model: nn.Module, seed: int = 0, gain: float = 3.0) -> nn.Module:
    """Weights from a seed, large enough that every layer spikes; running statistics of no round numbers."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            bound = gain / module.weight[0].numel() ** 0.5
            module.weight.data.uniform_(-bound * 0.7, bound, generator=generator)
            if module.bias is not None:
                module.bias.data.uniform_(-0.1, 0.2, generator=generator)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.uniform_(-0.1, 0.3, generator=generator)
    return model


class Gate(nn.Module):
    """A learned factor, `shape` as it broadcasts in forward."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.linspace(0.6, 1.7, math.prod(shape)).reshape(shape))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class Hidden(nn.Module):
    """Two layers whose neurons keep their own state; one step a call."""

    def __init__(self, beta: Any = 0.9, threshold: Any = 1.0, **options: Any) -> None:
        super().__init__()
        self.fc1 = nn.Linear(6, 9)
        self.lif1 = snn.Leaky(beta, threshold, init_hidden=True, **options)
        self.fc2 = nn.Linear(9, 4)
        self.lif2 = snn.Leaky(0.75, init_hidden=True, **options)

    def forward(self, x: Tensor) -> Tensor:
        return self.lif2(self.fc2(self.lif1(self.fc1(x))))


class Explicit(nn.Module):
    """The same, with states handed in and back."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.fc1 = nn.Linear(6, 9)
        self.lif1 = snn.Leaky(0.9, **options)
        self.fc2 = nn.Linear(9, 4)
        self.lif2 = snn.Leaky(0.75, **options)

    def forward(self, x: Tensor, mem1: Tensor, mem2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        spk, mem1 = self.lif1(self.fc1(x), mem1)
        spk, mem2 = self.lif2(self.fc2(spk), mem2)
        return spk, mem1, mem2


class ExplicitWindow(Explicit):
    """The time loop inside, states from `reset_mem`, outputs from a list."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        out = []
        for step in range(x.size(0)):
            spk, mem1 = self.lif1(self.fc1(x[step]), mem1)
            spk, mem2 = self.lif2(self.fc2(spk), mem2)
            out.append(spk)
        return torch.stack(out)


class HiddenWindow(Hidden):
    """The time loop inside, over the tensor itself, hidden states."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([super(HiddenWindow, self).forward(step) for step in x], dim=0)


class AudioVisual(nn.Module):
    """Two inputs, convolutions with batch norm, both poolings, a residual addition, paths of two depths."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding="same", bias=False)
        self.norm1 = nn.BatchNorm2d(4)
        self.lif1 = snn.Leaky(torch.linspace(0.5, 0.95, 4).reshape(1, 4, 1, 1), init_hidden=True, **options)
        self.pool = nn.MaxPool2d(2)
        self.block = nn.Sequential(
            nn.Conv2d(4, 4, 3, padding=1, groups=2),
            nn.BatchNorm2d(4),
            snn.Leaky(0.8, init_hidden=True, **options),
        )
        self.mean = nn.AvgPool2d(2, padding=1)
        self.drop = nn.Dropout(0.5)
        self.see = nn.Linear(36, 12)
        self.hear = nn.Sequential(
            nn.Linear(5, 7), nn.BatchNorm1d(7), snn.Leaky(0.7, init_hidden=True, **options)
        )
        self.listen = nn.Linear(7, 12, bias=False)
        self.lif2 = snn.Leaky(torch.linspace(0.6, 0.99, 12), 0.8, init_hidden=True, **options)
        self.head = nn.Linear(12, 3)
        self.lif3 = snn.Leaky(0.9, init_hidden=True, **options)

    def forward(self, image: Tensor, audio: Tensor) -> Tensor:
        x = self.pool(self.lif1(self.norm1(self.conv1(image))))
        x = x + self.block(x)
        fused = self.see(self.drop(self.mean(x).flatten(1))) + self.listen(self.hear(audio))
        return self.lif3(self.head(self.lif2(fused)))


def av_inputs(steps: int = 12, batch: int = 3, seed: int = 0) -> dict[str, Tensor]:
    return {
        "image": spikes(steps, batch, 1, 8, 8, seed=seed),
        "audio": spikes(steps, batch, 5, seed=seed + 1),
    }


def random_net(seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    """A sequential network of random layers and resets, and the shape of its samples."""
    generator = torch.Generator().manual_seed(seed)

    def pick(*choices: Any) -> Any:
        return choices[int(torch.randint(len(choices), (), generator=generator))]

    def neuron(size: int) -> nn.Module:
        beta = pick(0.5, 0.93, torch.rand(size, generator=generator))
        if isinstance(beta, Tensor) and size in (4, 6):
            beta = beta.reshape(size, 1, 1)
        threshold = pick(0.7, 1.0)
        return snn.Leaky(beta, threshold, init_hidden=True, **pick(*RESETS.values()))

    channels = pick(4, 6)
    layers: list[nn.Module] = [nn.Conv2d(2, channels, 3, stride=pick(1, 2), padding=pick(0, 1))]
    layers += [nn.BatchNorm2d(channels)] if pick(True, False) else []
    layers += [neuron(channels), pick(nn.AvgPool2d(2), nn.MaxPool2d(2), nn.Identity()), nn.Flatten()]
    size = nn.Sequential(
        *itertools.takewhile(lambda m: not isinstance(m, snn.Leaky), layers), *layers[-2:]
    ).eval()(torch.zeros(1, 2, 9, 9))
    layers += [nn.Linear(size.shape[1], 11), neuron(11), nn.Linear(11, 5), neuron(5)]
    return seeded(nn.Sequential(*layers), seed), (2, 9, 9)
