"""Temporal attention-guided adaptive fusion: warps, attention, the balanced loss, the graph."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from avnir.decision import Decision
from avnir.errors import UserError
from avnir.export import trace
from avnir.models import build
from avnir.models.taaf import FORMS, TAAF, config_for, training_defaults
from avnir.models.taaf_layers import BandedWarp, CausalWarp, attend, confidence, gradient_scale

SMALL: Mapping[str, str] = {"width": "4", "score_hidden": "8", "coding": "rate"}
SHAPES = {"image": (1, 12, 12), "audio": (2, 9, 14)}
STEPS = 4
LABELS = torch.arange(8) % 4


def network(modality: str = "both", form: str = "deployable", **settings: str) -> TAAF:
    torch.manual_seed(0)
    shapes = {name: shape for name, shape in SHAPES.items() if modality in ("both", name)}
    model = TAAF(config_for(shapes, 4, STEPS, modality, form, {**SMALL, **settings}))
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.constant_(part.bias, 0.5)
    return model


def inputs(model: TAAF, batch: int = 8) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    sizes = [(STEPS, batch, *model.shapes[name]) for name in model.inputs]
    return [(torch.rand(size, generator=generator) < 0.4).float() for size in sizes]


def settled(model: TAAF) -> TAAF:
    """In evaluation mode, with the statistics of a few batches."""
    with torch.no_grad():
        for _ in range(10):
            model.window(*inputs(model))
    return model.eval()


@pytest.mark.parametrize("attention", ["softmax", "host", "gate", "static"])
@pytest.mark.parametrize("warp", ["banded", "causal", "none"])
def test_what_is_deployed_gives_the_scores_that_are_trained(attention: str, warp: str) -> None:
    model = settled(network(attention=attention, warp=warp))
    with torch.no_grad():
        deployed, scores = model(*inputs(model)), model.scores(*inputs(model))
    made = attend(deployed["classes"], deployed["score"]) if attention == "host" else deployed.sum(0)
    assert scores.any()
    assert torch.equal(made, scores)


@pytest.mark.parametrize("attention", ["softmax", "gate", "static"])
@pytest.mark.parametrize("modality", ["both", "audio"])
def test_it_learns_a_batch(attention: str, modality: str) -> None:
    model = network(modality, attention=attention)
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    losses = []
    for _ in range(25):
        loss, _ = model.loss(inputs(model), LABELS)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        model.before_step()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_the_banded_warp_is_row_stochastic_near_identity_and_sees_its_neighbours_only() -> None:
    matrix = BandedWarp(STEPS).matrix().detach()
    place = torch.arange(STEPS)
    assert torch.allclose(matrix.sum(1), torch.ones(STEPS))
    assert bool((matrix.diagonal() > 0.9).all())
    assert torch.equal(matrix > 0, (place[:, None] - place).abs() <= 1)


def test_the_causal_warp_takes_the_steps_before() -> None:
    layer = CausalWarp().eval()
    taps = torch.tensor([math.exp(3), 1, 1]) / (math.exp(3) + 2)
    impulse = torch.zeros(STEPS, 1, 1)
    impulse[0] = 1
    assert torch.allclose(layer(impulse).flatten(), torch.cat([taps, torch.zeros(1)]))


def test_the_causal_warp_learns_and_keeps_its_taps() -> None:
    layer = CausalWarp()
    torch.autograd.backward(layer(torch.rand(STEPS, 2, 3))[2].sum())
    assert layer.logits.grad is not None
    assert layer.logits.grad.abs().min() > 0
    with torch.no_grad():
        layer.logits.copy_(torch.tensor([0.0, 2.0, 0.0]))
    trained = layer(torch.ones(STEPS, 1, 1))
    assert torch.equal(layer.eval()(torch.ones(STEPS, 1, 1)), trained)
    again = CausalWarp().eval()
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again(torch.ones(STEPS, 1, 1)), trained)


def test_weights_of_the_steps_sum_to_one() -> None:
    model = settled(network(attention="softmax"))
    features = {name: torch.rand(STEPS, 8, 4) for name in model.inputs}
    weights = model.attention(features, lambda neuron, x: (x > 0).float())
    assert torch.allclose(weights.sum(0), torch.ones(8, 1))
    gates = settled(network(attention="gate"))
    opened = gates.attention(features, lambda neuron, x: (x > 1).float())
    assert set(opened.unique().tolist()) <= {0.0, 1.0}


def test_the_loss_is_the_formula() -> None:
    model = network(form="paper", unimodal_weight="0.5").eval()
    values = inputs(model)
    loss, scores = model.loss(values, LABELS)
    features = model.features(values, lambda neuron, x: _fire(neuron, x))
    opinions = model.opinions(features)
    shares = model.attention(features, lambda neuron, x: _fire(neuron, x))[..., 0]

    def over_steps(logits: Tensor) -> Tensor:
        entropies = [cross_entropy(step, LABELS, reduction="none") for step in logits]
        return sum((s * e).mean() for s, e in zip(shares, entropies, strict=True))  # type: ignore[return-value]

    both = opinions["image"] + opinions["audio"]
    expected = over_steps(both) + 0.5 * (over_steps(opinions["image"]) + over_steps(opinions["audio"]))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.allclose(scores, (shares[..., None] * both).sum(0), atol=1e-6)
    for name, opinion in opinions.items():
        assert model.confidences[name] == pytest.approx(confidence(opinion, LABELS, shares), rel=1e-5)


def _fire(neuron: nn.Module, current: Tensor) -> Tensor:
    neuron.reset_mem()  # type: ignore[operator]
    return torch.stack([neuron(step) for step in current])


def test_confidence_by_hand() -> None:
    logits = torch.log(torch.tensor([[[0.8, 0.2]], [[0.4, 0.6]]]))
    shares = torch.tensor([[0.75], [0.25]])
    assert confidence(logits, torch.tensor([0]), shares) == pytest.approx(0.75 * 0.8 + 0.25 * 0.4)


def test_the_surer_modality_learns_slower() -> None:
    assert gradient_scale(1.0, 0.5) == gradient_scale(0.3, 0.5) == gradient_scale(9.0, 0) == 1
    assert gradient_scale(2.0, 0.5) == pytest.approx(1 - math.tanh(1.0))
    model = network(gamma="0.5")
    torch.autograd.backward(model.loss(inputs(model), LABELS)[0])
    touched = {name: v for name, v in model.named_parameters() if v.grad is not None}
    before = {name: v.grad.clone() for name, v in touched.items() if v.grad is not None}
    model.confidences = {"image": 0.6, "audio": 0.3}
    model.before_step()
    for name, values in touched.items():
        slower = name.startswith("encoders.image") and values.ndim > 1
        assert values.grad is not None
        assert torch.equal(values.grad, before[name] * (1 - math.tanh(1.0) if slower else 1.0)), name


@pytest.mark.parametrize("encoder", ["patches", "resnet"])
def test_encoders_vectors_and_sizes(encoder: str) -> None:
    shapes = {"image": (35, 1, 1), "audio": (2, 34, 34)}
    model = TAAF(config_for(shapes, 6, STEPS, "both", "paper", {**SMALL, "encoder": encoder}))
    assert model.window(*inputs(model)).shape == (STEPS, 8, 6)


def test_large_pictures_get_four_stages() -> None:
    config = config_for({"image": (3, 128, 128)}, 6, STEPS, "image", "paper", {})
    assert config.stages == 4
    assert training_defaults(config)["epochs"] > 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("modality", ["both", "image", "audio"])
def test_a_configuration_survives_json(form: str, modality: str) -> None:
    model = network(modality, form)
    again = build("taaf", model.identity())
    assert again.config == model.config
    assert list(again.state_dict()) == list(model.state_dict())


def test_how_it_decides() -> None:
    assert network(attention="host").decision == Decision("classes", "score")
    assert network(attention="gate").decision == Decision()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": "5"}, "width is 5, must be a multiple of 2 for 2 stages"),
        ({"warp": "free"}, "warp is 'free', must be banded or causal or none"),
        ({"gamma": "-1"}, r"gamma is -1.0, must be a number in \[0, 100\]"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        network(**settings)


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(UserError, match="unknown form 'best'"):
        network(form="best")


@pytest.mark.parametrize(
    ("attention", "outputs"), [("host", ["classes", "score"]), ("gate", ["output"]), ("static", ["output"])]
)
def test_the_deployable_form_is_traced_whole(attention: str, outputs: list[str]) -> None:
    model = settled(network(attention=attention, width="16"))
    graph = trace(model, dict(zip(model.inputs, inputs(model, 2), strict=True)), time="window")
    assert [node.name for node in graph.outputs] == outputs
