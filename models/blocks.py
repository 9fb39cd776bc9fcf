"""The parts that the audio-visual systems share, over whole windows of maps `[T, B, C, H, W]`.

A block is plain PyTorch around `snntorch.Leaky`. Layers without state take the T * B maps of a window at
once, so batch normalisation sees the statistics of all steps; the neurons are run by `fire`, which the
caller chooses: `looped`, step by step, for tracing, or `fused`, for training (`avnir.models.neuron`).

Tokens stay maps: N tokens of C channels are `[T, B, C, h, w]` with N = h w, and a linear layer on tokens is a
1x1 convolution, which a chip shares among the tokens as it does any convolution.

`neuron` makes the neurons of a block; each layer calls it once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import snntorch as snn
from torch import Tensor, nn

from avnir.models.neuron import Fire

MakeNeuron = Callable[[], snn.Leaky]


def per_step(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`layer`, which knows no time, over each step of `[T, B, ...]`: all T * B samples in one call."""
    made = layer(x.flatten(0, 1))
    return made.view(*x.shape[:2], *made.shape[1:])


class ConvUnit(nn.Module):
    """Convolution, batch normalisation, neuron: `[T, B, inputs, H, W]` -> spikes `[T, B, outputs, h, w]`.

    The padding keeps H and W at stride 1 for the odd sizes `kernel`; `bias` is that of the convolution.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        neuron: MakeNeuron,
        kernel: int = 3,
        stride: int = 1,
        bias: bool = False,
        normalise: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=bias)
        self.norm = nn.BatchNorm2d(outputs) if normalise else nn.Identity()
        self.lif = neuron()

    def forward(self, x: Tensor, fire: Fire) -> Tensor:
        return fire(self.lif, self.current(x))

    def current(self, x: Tensor) -> Tensor:
        """What the neurons get: `[T, B, outputs, h, w]`."""
        return per_step(lambda maps: self.norm(self.conv(maps)), x)


class PatchSplitting(nn.Module):
    """Spiking patch splitting: `[T, B, inputs, H, W]` -> tokens `[T, B, widths[-1], h, w]` of 0, 1 and 2.

    One stage for each of `widths`: a 3x3 unit, then a 3x3 max-pool of stride 2, so h = ceil(H / 2^stages). At
    the end `x + unit(x)`: two spike trains, added (Zhou et al., "Spikformer", arXiv 2209.15425, as S-CMRL
    uses it).
    """

    def __init__(self, inputs: int, widths: Sequence[int], neuron: MakeNeuron) -> None:
        super().__init__()
        self.stages = nn.ModuleList(ConvUnit(a, b, neuron) for a, b in pairwise((inputs, *widths)))
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.residual = ConvUnit(widths[-1], widths[-1], neuron)

    def forward(self, x: Tensor, fire: Fire) -> Tensor:
        for stage in self.stages:
            x = per_step(self.pool, stage(x, fire))
        return x + self.residual(x, fire)


class VectorStem(nn.Module):
    """A vector `[T, B, features, 1, 1]` as tokens: Linear, batch normalisation, neuron.

    Gives spikes `[T, B, channels, *grid]`; each feature reaches each token by a weight of its own.
    """

    def __init__(self, features: int, channels: int, grid: tuple[int, int], neuron: MakeNeuron) -> None:
        super().__init__()
        self.shape = (channels, *grid)
        size = channels * grid[0] * grid[1]
        self.fc = nn.Linear(features, size, bias=False)
        self.norm = nn.BatchNorm1d(size)
        self.lif = neuron()

    def forward(self, x: Tensor, fire: Fire) -> Tensor:
        current = per_step(lambda vectors: self.norm(self.fc(vectors)), x.flatten(2))
        return fire(self.lif, current).view(*x.shape[:2], *self.shape)


class SpikingMLP(nn.Module):
    """Two layers on each token by itself, with biases: `[T, B, C, h, w]` -> spikes of the same shape."""

    def __init__(self, channels: int, hidden: int, neuron: MakeNeuron) -> None:
        super().__init__()
        self.fc1 = ConvUnit(channels, hidden, neuron, kernel=1, bias=True)
        self.fc2 = ConvUnit(hidden, channels, neuron, kernel=1, bias=True)

    def forward(self, x: Tensor, fire: Fire) -> Tensor:
        return self.fc2(self.fc1(x, fire), fire)


class ActAfterAddition(nn.Module):
    """A residual block whose activation comes after the addition, so that its outputs are spikes.

    `s' = LIF(BN(conv2(LIF(BN(conv1 s)))) + shortcut(s))`; the shortcut is the identity, or a 1x1 convolution
    and batch normalisation where width or stride change. `[T, B, inputs, H, W]` -> `[T, B, outputs, h, w]`.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, neuron: MakeNeuron) -> None:
        super().__init__()
        self.first = ConvUnit(inputs, outputs, neuron, stride=stride)
        self.second = ConvUnit(outputs, outputs, neuron)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor, fire: Fire) -> Tensor:
        current = self.second.current(self.first(x, fire)) + per_step(self.shortcut, x)
        return fire(self.second.lif, current)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNetTrunk(nn.Module):
    """A 3x3 stem unit and stages of residual blocks, no pooling: maps -> spikes `[T, B, widths[-1], h, w]`.

    Stage i has `blocks[i]` blocks of `widths[i]` channels, the first of them with stride `strides[i]`; the
    stem has `widths[0]` channels. The defaults are those of a ResNet18.
    """

    def __init__(
        self,
        inputs: int,
        neuron: MakeNeuron,
        widths: Sequence[int] = (64, 128, 256, 512),
        blocks: Sequence[int] = (2, 2, 2, 2),
        strides: Sequence[int] = (1, 2, 2, 2),
    ) -> None:
        super().__init__()
        self.stem = ConvUnit(inputs, widths[0], neuron)
        self.blocks = nn.ModuleList()
        before = widths[0]
        for width, count, stride in zip(widths, blocks, strides, strict=True):
            for index in range(count):
                self.blocks.append(ActAfterAddition(before, width, 1 if index else stride, neuron))
                before = width

    def forward(self, x: Tensor, fire: Fire) -> Tensor:
        x = self.stem(x, fire)
        for block in self.blocks:
            x = block(x, fire)
        return x
