"""The digit network: its definition by steps, its window, its configuration."""

from __future__ import annotations

import json
from typing import cast

import pytest
import snntorch as snn
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from avnir.errors import UserError
from avnir.models import build
from avnir.models.av_digits import AVDigits, AVDigitsConfig, DigitNetwork, av_digits

SMALL = AVDigitsConfig(channels=(4, 4), hidden=16)


def dyadic_network(config: AVDigitsConfig, seed: int = 0) -> DigitNetwork:
    """A network whose sums are exact in float32: its weights are multiples of 1/64, its norms identities.

    Convolutions of different batch sizes add in different orders; here no order rounds.
    """
    torch.manual_seed(seed)
    network = av_digits(config).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.data = (4 * module.weight.data * 64).round() / 64
        if isinstance(module, nn.Linear):
            module.bias.data = (module.bias.data * 64).round() / 64
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0
    return network


def random_spikes(network: DigitNetwork, steps: int, batch: int, seed: int = 1) -> tuple[Tensor, ...]:
    torch.manual_seed(seed)
    return tuple((torch.rand(steps, batch, 1, 16, 16) < 0.4).float() for _ in network.inputs)


def by_steps(network: DigitNetwork, inputs: tuple[Tensor, ...]) -> Tensor:
    network.reset_state()
    return torch.stack([network(*step) for step in zip(*inputs, strict=True)])


@pytest.mark.parametrize("modality", ["both", "image", "audio"])
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("delay", [False, True])
def test_window_equals_the_steps(modality: str, reset: str, delay: bool) -> None:
    config = AVDigitsConfig.from_json({"modality": modality, "reset_mechanism": reset, "reset_delay": delay})
    network = dyadic_network(config)
    inputs = random_spikes(network, steps=7, batch=3)
    with torch.no_grad():
        stepped, windowed = by_steps(network, inputs), network.window(*inputs)
    assert torch.equal(stepped, windowed)
    assert 0 < stepped.mean() < 1, "a silent or saturated network would prove nothing"


@given(steps=st.integers(1, 6), batch=st.integers(1, 5), seed=st.integers(0, 2**16))
@settings(max_examples=15, deadline=None)
def test_window_equals_the_steps_for_any_size(steps: int, batch: int, seed: int) -> None:
    network = dyadic_network(SMALL, seed)
    inputs = random_spikes(network, steps, batch, seed)
    with torch.no_grad():
        assert torch.equal(by_steps(network, inputs), network.window(*inputs))


def test_gradients_flow_through_every_layer() -> None:
    network = av_digits(SMALL).train()
    network.window(*random_spikes(network, 4, 8)).sum().backward()
    assert [name for name, weight in network.named_parameters() if not weight.grad.abs().sum()] == []


def test_reset_forgets_the_past_of_this_network_alone() -> None:
    network, other = dyadic_network(SMALL), dyadic_network(SMALL)
    inputs = random_spikes(network, 4, 2)
    with torch.no_grad():
        first = by_steps(network, inputs)
        by_steps(other, inputs)
        memory = other.lif_out.mem.clone()
        assert torch.equal(by_steps(network, inputs), first)
    assert torch.equal(other.lif_out.mem, memory)
    assert memory.any()


def test_branches_have_different_depth() -> None:
    network = cast(AVDigits, av_digits(AVDigitsConfig()))
    depth = [
        sum(isinstance(module, snn.Leaky) for module in branch.modules())
        for branch in (network.image_branch, network.audio_branch)
    ]
    assert depth == [3, 2]


def test_the_default_network_stays_small() -> None:
    network = av_digits(AVDigitsConfig()).eval()
    network.window(*random_spikes(network, 1, 1))
    neurons = sum(module.mem.numel() for module in network.modules() if isinstance(module, snn.Leaky))
    assert neurons == 5706
    assert sum(weight.numel() for weight in network.parameters()) < 100_000


def test_configuration_survives_json() -> None:
    config = AVDigitsConfig(channels=(4, 12), beta=0.5, reset_mechanism="subtract", modality="audio")
    assert AVDigitsConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_build_gives_a_network_that_takes_the_weights() -> None:
    network = av_digits(SMALL)
    again = build("av-digits", network.config.to_json())
    again.load_state_dict(network.state_dict())
    inputs = random_spikes(network, 3, 2)
    with torch.no_grad():
        assert torch.equal(network.eval().window(*inputs), cast(DigitNetwork, again.eval()).window(*inputs))


def test_build_refuses_an_unknown_name() -> None:
    with pytest.raises(UserError, match=r"'resnet'.*av-digits"):
        build("resnet", {})


def test_build_refuses_an_unknown_key() -> None:
    with pytest.raises(UserError, match=r"unknown keys.*'betta'.*beta"):
        build("av-digits", {"betta": 0.5})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image_shape", [1, 15, 16]),
        ("audio_shape", "large"),
        ("channels", [8]),
        ("channels", [8, 0]),
        ("hidden", 0),
        ("hidden", True),
        ("classes", 2.5),
        ("steps", -1),
        ("beta", 1.5),
        ("beta", float("nan")),
        ("beta", "0.5"),
        ("threshold", 0),
        ("dropout", 1),
        ("reset_mechanism", "hard"),
        ("reset_delay", 1),
        ("surrogate", {}),
        ("modality", {"both": 1}),
    ],
)
def test_build_refuses_a_bad_value(key: str, value: object) -> None:
    with pytest.raises(UserError, match=f"configuration: {key} is .*, must be"):
        build("av-digits", {key: value})


def test_all_bad_values_are_named_at_once() -> None:
    with pytest.raises(UserError, match=r"hidden is 0.*beta is 2"):
        build("av-digits", {"beta": 2, "hidden": 0})
