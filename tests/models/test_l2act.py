"""L2-ActSpikeNet with audio and fusion: its options, its L2 layer, its stages, its graph."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from avnir.errors import UserError
from avnir.export import trace
from avnir.models import build
from avnir.models.l2act import (
    FORMS,
    Discrimination,
    L2Act,
    L2ActConfig,
    config_for,
    discrimination,
    training_defaults,
)
from avnir.models.l2act_layers import L2Layer

SMALL: Mapping[str, str] = {
    "width": "4",
    "audio_width": "4",
    "embedding": "16",
    "hidden": "16",
    "coding": "rate",
}
SHAPES = {"image": (1, 16, 16), "audio": (2, 17, 12)}
STEPS = 3


def network(modality: str = "both", form: str = "deployable", **settings: str) -> L2Act:
    """With normalisations shifted up, so that so few channels are not silent."""
    torch.manual_seed(0)
    shapes = {name: shape for name, shape in SHAPES.items() if modality in ("both", name)}
    model = L2Act(config_for(shapes, 4, STEPS, modality, form, {**SMALL, **settings}))
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.constant_(part.bias, 0.5)
    return model


def inputs(model: L2Act, batch: int = 8) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    sizes = [(STEPS, batch, *model.shapes[name]) for name in model.inputs]
    return [(torch.rand(size, generator=generator) < 0.4).float() for size in sizes]


def settled(model: L2Act) -> L2Act:
    """In evaluation mode, with the statistics of a few batches."""
    with torch.no_grad():
        for _ in range(10):
            model.window(*inputs(model))
    return model.eval()


LABELS = torch.arange(8) % 4


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("modality", ["both", "image", "audio"])
def test_what_is_deployed_decides_as_what_is_trained(modality: str, form: str) -> None:
    model = settled(network(modality, form))
    with torch.no_grad():
        deployed, trained = model(*inputs(model)), model.window(*inputs(model))
    assert deployed.shape == (STEPS, 8, 4)
    assert torch.equal(deployed, trained) != model.config.drop_l2
    assert torch.equal(deployed.sum(0).argmax(1), trained.sum(0).argmax(1))


@pytest.mark.parametrize("fusion", ["smlp", "concat", "add"])
@pytest.mark.parametrize("training", ["two_stage", "end_to_end"])
def test_every_fusion_learns_a_batch(fusion: str, training: str) -> None:
    model = network(fusion=fusion, training=training)
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    values = inputs(model)
    losses = []
    for _ in range(15):
        loss, _ = model.loss(values, LABELS)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_in_two_stages_the_encoders_do_not_feel_the_fusion() -> None:
    model = network()
    model.enter("fusion")
    loss, _ = model.loss(inputs(model), LABELS)
    torch.autograd.backward(loss)
    moved = {name.split(".")[0] for name, values in model.named_parameters() if values.grad is not None}
    assert moved == {"fusion"}
    assert not model.encoders.training
    model.enter("unimodal")
    loss, _ = model.loss(inputs(model), LABELS)
    model.zero_grad()
    torch.autograd.backward(loss)
    moved = {name.split(".")[0] for name, values in model.named_parameters() if values.grad is not None}
    assert moved == {"encoders", "classifiers"}
    assert model.encoders.training


def test_both_stages_together_are_the_sum_of_each() -> None:
    model = network()
    losses = []
    for stage in ("unimodal", "all"):
        model.enter(stage)  # type: ignore[arg-type]
        losses.append(model.loss(inputs(model), LABELS)[0].item())
    model.stage = "fusion"
    losses.append(model.loss(inputs(model), LABELS)[0].item())
    assert losses[1] == pytest.approx(losses[0] + losses[2])


def test_stages_are_refused_where_there_are_none() -> None:
    with pytest.raises(UserError, match="both modalities with training=two_stage"):
        network("image").enter("unimodal")
    with pytest.raises(UserError, match="nothing to train"):
        network(fusion="add").enter("fusion")


def test_end_to_end_the_fusion_reaches_the_encoders() -> None:
    model = network(training="end_to_end")
    loss, _ = model.loss(inputs(model), LABELS)
    torch.autograd.backward(loss)
    assert model.encoders["image"].trunk.stem.conv.weight.grad.abs().sum() > 0
    assert model.classifiers["image"].weight.grad is None


@pytest.mark.parametrize(("mode", "axes"), [("rate", (0,)), ("step", ())])
def test_an_l2_layer_gives_one_length(mode: str, axes: tuple[int, ...]) -> None:
    spikes = (torch.rand(STEPS, 50, 16, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    lengths = L2Layer(mode, 16.0)(spikes).norm(dim=-1)
    assert torch.allclose(lengths, torch.tensor(16.0), rtol=1e-4)


@pytest.mark.parametrize("mode", ["rate", "step", "static"])
def test_silence_stays_silence_and_has_a_gradient(mode: str) -> None:
    silence = torch.zeros(STEPS, 2, 5, requires_grad=True)
    made = L2Layer(mode, 16.0)(silence)
    torch.autograd.backward(made.sum())
    assert not made.any()
    assert silence.grad is not None
    assert bool(torch.isfinite(silence.grad).all())


def test_the_static_length_is_the_training_mean_and_stays() -> None:
    layer = L2Layer("static", 6.0)
    ones = torch.ones(STEPS, 2, 9)
    for _ in range(200):
        layer(ones)
    assert layer.mean_norm == pytest.approx(3.0, rel=1e-3)
    before = layer.eval().factor.clone()
    assert torch.allclose(layer(2 * ones), torch.tensor(4.0), rtol=1e-3)
    assert torch.equal(layer.factor, before)


def test_weights_trained_with_one_l2_layer_serve_another() -> None:
    trained = settled(network(l2="rate"))
    static = network(l2="static")
    static.load_state_dict(trained.state_dict())
    assert static.l2["audio"].mean_norm == trained.l2["audio"].mean_norm != 1.0


def test_vectors_and_odd_sizes_are_taken() -> None:
    shapes = {"image": (35, 1, 1), "audio": (1, 34, 34)}
    model = L2Act(config_for(shapes, 6, STEPS, "both", "deployable", SMALL))
    assert model.window(*inputs(model)).shape == (STEPS, 8, 6)


def test_output_neurons_give_spikes() -> None:
    made = network(readout="spikes").window(*inputs(network()))
    assert set(made.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("form", FORMS)
def test_a_configuration_survives_json(form: str) -> None:
    model = network(form=form)
    again = build("l2act", model.identity())
    assert again.config == model.config
    assert [v.shape for v in again.state_dict().values()] == [v.shape for v in model.state_dict().values()]


def test_the_paper_form_has_the_sizes_of_resnet18() -> None:
    config = config_for({"image": (3, 32, 32)}, 10, 4, "image", "paper", {})
    weights = sum(values.numel() for values in L2Act(config).parameters())
    assert weights == 11_173_962 - 10  # ResNet18 for 32 x 32, its classifier without bias
    assert training_defaults(config)["epochs"] > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"l2": "step", "image_embedding": "pooled"}, "set image_embedding=spikes"),
        ({"drop_l2": "true"}, "drop_l2 leaves out a factor"),
        ({"l2": "L2", "scale": "0"}, "l2 is 'L2', must be rate or step or static or none; scale is 0.0"),
        ({"width": "two"}, "width is 'two', must be an integer of at least 1"),
        ({"depth": "3"}, r"unknown keys \['depth'\]"),
        ({"audio_shape": "1x4x9"}, "must be at least 8"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        network(**settings)


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(UserError, match="unknown form 'best'"):
        network(form="best")
    with pytest.raises(UserError, match="classes is 0, must be an integer of at least 1"):
        L2ActConfig(classes=0)


def test_angles_by_hand() -> None:
    embeddings = torch.tensor([[1.0, 0.0], [2.0, 2.0], [0.0, 3.0], [0.0, 0.0]])
    found = discrimination(embeddings, torch.tensor([0, 0, 1, 1]))
    assert found == pytest.approx(Discrimination(within=45, between=(90 + 45) / 2))
    with pytest.raises(UserError, match="two of one class and two classes"):
        discrimination(embeddings, torch.tensor([0, 1, 2, 3]))


def test_angles_know_no_length() -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings, labels = torch.rand(20, 8, generator=generator), torch.arange(20) % 3
    layer = L2Layer("rate", 16.0).eval()
    plain, normalised = (discrimination(e, labels) for e in (embeddings, layer(embeddings[None])[0]))
    assert math.isclose(plain.within, normalised.within, rel_tol=1e-4)


@pytest.mark.parametrize(
    ("modality", "settings"),
    [("both", {"l2": "static"}), ("both", {"l2": "step"}), ("both", {"l2": "none"}), ("image", {})],
)
def test_the_deployable_form_is_traced_whole(modality: str, settings: dict[str, str]) -> None:
    model = settled(network(modality, **settings))
    graph = trace(model, dict(zip(model.inputs, inputs(model, 2), strict=True)), time="window")
    assert [node.name for node in graph.inputs] == list(model.inputs)
    assert len(graph.outputs) == 1
