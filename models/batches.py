"""Data on the way into a network: which samples, moved and encoded, and what the network makes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from avnir.errors import DataError
from avnir.models.classifier import Classifier
from avnir.models.data.encoding import encode
from avnir.models.data.pairs import PairedData, Split

EVALUATION_BATCH = 500


def accuracy(network: Classifier, split: Split) -> float:
    """The fraction of samples whose label has the highest score (of equals, the lowest class).

    Computed where the network is; leaves it in evaluation mode, its state reset.
    """
    network.eval()
    inputs, labels = tensors(network, split)
    correct = torch.zeros((), dtype=torch.int64, device=device_of(network))
    with torch.no_grad():
        for chosen in torch.split(torch.arange(len(labels)), EVALUATION_BATCH):
            scores = network.scores(*encoded(network, [values[chosen] for values in inputs]))
            correct += (scores.argmax(1) == labels[chosen].to(scores.device)).sum()
    network.reset_state()
    return int(correct) / len(labels)


def example_inputs(network: Classifier, split: Split, count: int) -> tuple[tuple[Tensor, ...], Tensor]:
    """Encoded inputs [T, count, c, h, w], one per input of the network, and labels [count] int64."""
    inputs, labels = tensors(network, split.take(count))
    return tuple(encoded(network, inputs)), labels


def tensors(network: Classifier, split: Split) -> tuple[list[Tensor], Tensor]:
    """The arrays of the network's inputs, not copied, and the labels; `DataError` where they do not fit."""
    if unknown := sorted(set(network.inputs) - set(split.inputs)):
        raise DataError(f"the network takes {', '.join(unknown)}, the data are {' and '.join(split.inputs)}")
    for name in network.inputs:
        shape = split.inputs[name].shape[-3:]
        if shape != tuple(network.shapes[name]):
            raise DataError(f"{name} data is {shape}, the network takes {tuple(network.shapes[name])}")
    return [torch.from_numpy(split.inputs[name]) for name in network.inputs], torch.from_numpy(split.labels)


def encoded(network: Classifier, values: list[Tensor]) -> list[Tensor]:
    """A batch of the data's own form -> [T, B, c, h, w], one per input, where the network is."""
    device = device_of(network)
    return [encode(value.to(device), network.coding, network.steps) for value in values]


def device_of(network: Classifier) -> torch.device:
    """Where its weights are; the CPU without any."""
    return next((values.device for values in network.parameters()), torch.device("cpu"))


def training_batch(
    network: Classifier, inputs: list[Tensor], chosen: Tensor, reach: int, noise: float = 0.0
) -> list[Tensor]:
    """The chosen samples, images moved at random; spectrograms start and end with the clip, and stay.

    Then every value has normal `noise` of this standard deviation; `DataError` for noise on events.
    """
    moves = {"image": reach}
    moved = [
        shifted(values[chosen], moves.get(name, 0))
        for name, values in zip(network.inputs, inputs, strict=True)
    ]
    return [_noisy(values, noise) for values in moved] if noise else moved


def _noisy(values: Tensor, deviation: float) -> Tensor:
    if values.dtype == torch.uint8:
        raise DataError("noise is added to values in [0, 1], the data are events: leave it out")
    return (values + deviation * torch.randn_like(values)).clamp(0, 1)


def shifted(values: Tensor, reach: int) -> Tensor:
    """Each picture of [B, ..., h, w] moved by its own random offset within `reach`, zeros moving in.

    All channels and time bins of a sample move together. A vector, h = w = 1, stays.
    """
    height, width = values.shape[-2:]
    if not reach or height == width == 1:
        return values
    batch = len(values)
    padded = torch.nn.functional.pad(values.view(batch, -1, height, width), (reach,) * 4)
    rows = torch.randint(2 * reach + 1, (batch, 1)) + torch.arange(height)
    columns = torch.randint(2 * reach + 1, (batch, 1)) + torch.arange(width)
    picture = torch.arange(batch).view(-1, 1, 1, 1)
    channel = torch.arange(padded.shape[1]).view(1, -1, 1, 1)
    return padded[picture, channel, rows[:, None, :, None], columns[:, None, None, :]].view_as(values)


def subset(data: PairedData, pairs: int) -> PairedData:
    """`data` with the first `pairs` training pairs only (they are in random order), all test pairs."""
    return replace(data, train=data.train.take(pairs))


def divided(split: Split, fraction: float, seed: int) -> tuple[Split, Split | None]:
    """Those to learn from and those to validate on, `fraction` of all, drawn from `seed`; None where 0.

    Raises `DataError` where a part would be empty.
    """
    if not fraction:
        return split, None
    count = round(fraction * len(split))
    if not 0 < count < len(split):
        raise DataError(f"of {len(split)} training pairs, {fraction:.1%} for validation leaves a part empty")
    order = np.random.default_rng(seed).permutation(len(split))
    return split.at(np.sort(order[count:])), split.at(np.sort(order[:count]))
