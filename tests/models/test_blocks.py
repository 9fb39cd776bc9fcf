"""The shared blocks: their shapes, what values they give, and that steps meet in the neurons only."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from avnir.models.blocks import (
    ActAfterAddition,
    ConvUnit,
    PatchSplitting,
    ResNetTrunk,
    SpikingMLP,
    VectorStem,
    per_step,
)
from avnir.models.neuron import fused, leaky, looped


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def spikes(*shape: int) -> Tensor:
    return (torch.rand(shape) < 0.5).float()


def lively(block: nn.Module) -> nn.Module:
    """In evaluation mode, with so large a bias in each normalisation that neurons fire now and then."""
    for module in block.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.bias, 0, 1.5)
    return block.eval()


BLOCKS = {
    "unit": (lambda: ConvUnit(2, 6, leaky), (2, 7, 5), (6, 7, 5)),
    "strided unit": (lambda: ConvUnit(2, 6, leaky, stride=2), (2, 7, 5), (6, 4, 3)),
    "patches": (lambda: PatchSplitting(2, (4, 8), leaky), (2, 9, 8), (8, 3, 2)),
    "deep patches": (lambda: PatchSplitting(1, (1, 2, 4, 8), leaky), (1, 17, 16), (8, 2, 1)),
    "vector": (lambda: VectorStem(5, 4, (3, 2), leaky), (5, 1, 1), (4, 3, 2)),
    "mlp": (lambda: SpikingMLP(4, 16, leaky), (4, 3, 2), (4, 3, 2)),
    "residual": (lambda: ActAfterAddition(4, 4, 1, leaky), (4, 5, 5), (4, 5, 5)),
    "residual, other width": (lambda: ActAfterAddition(4, 6, 2, leaky), (4, 5, 5), (6, 3, 3)),
    "trunk": (lambda: ResNetTrunk(2, leaky, (4, 8), (1, 2), (1, 2)), (2, 8, 8), (8, 4, 4)),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_gives_the_shape_it_says_and_whole_numbers_by_either_run(name: str) -> None:
    make, shape, expected = BLOCKS[name]
    block, x = lively(make()), spikes(3, 2, *shape)
    with torch.no_grad():
        made = block(x, looped)
        assert made.shape == (3, 2, *expected)
        assert torch.equal(made, block(x, fused))
    assert set(made.unique().tolist()) <= ({0.0, 1.0, 2.0} if "patches" in name else {0.0, 1.0})
    assert len(made.unique()) > 1, "a silent or saturated block would prove nothing"


@pytest.mark.parametrize("name", BLOCKS)
def test_no_block_looks_ahead(name: str) -> None:
    make, shape, _ = BLOCKS[name]
    block, x = lively(make()), spikes(3, 2, *shape)
    with torch.no_grad():
        assert torch.equal(block(x, looped)[:2], block(x[:2], looped))


def test_per_step_is_the_layer_step_by_step() -> None:
    layer, x = nn.Conv2d(2, 3, 3), spikes(4, 2, 2, 5, 5)
    assert torch.equal(per_step(layer, x)[3], per_step(layer, x[3:])[0])
    assert per_step(layer, x).shape == (4, 2, 3, 3, 3)


def test_normalisation_sees_all_steps() -> None:
    unit, x = ConvUnit(2, 3, leaky), spikes(4, 5, 2, 6, 6)
    current = unit.current(x)
    assert torch.allclose(current.mean((0, 1, 3, 4)), torch.zeros(3), atol=1e-5)


def test_the_residual_activation_comes_after_the_addition() -> None:
    block, x = lively(ActAfterAddition(4, 6, 2, leaky)), spikes(3, 2, 4, 5, 5)
    inner = looped(block.first.lif, per_step(lambda y: block.first.norm(block.first.conv(y)), x))
    main = per_step(lambda y: block.second.norm(block.second.conv(y)), inner)
    shortcut = per_step(block.shortcut, x)
    assert torch.equal(block(x, looped), looped(block.second.lif, main + shortcut))
    assert shortcut.abs().sum() > 0


def test_a_trunk_of_the_default_sizes_is_a_resnet18() -> None:
    trunk = ResNetTrunk(3, leaky)
    strides = [block.first.conv.stride[0] for block in trunk.blocks]
    widths = [block.first.conv.out_channels for block in trunk.blocks]
    assert strides == [1, 1, 2, 1, 2, 1, 2, 1]
    assert widths == [64, 64, 128, 128, 256, 256, 512, 512]
    convolutions = [m for m in trunk.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert len(convolutions) == 17
