"""S-CMRL against its source: neuron, attention, loss and sizes; the two forms give the same numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial

import pytest
import snntorch as snn
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import avnir.export
from avnir.errors import UserError
from avnir.models import attention as attend
from avnir.models import build
from avnir.models.neuron import fused, looped
from avnir.models.scmrl import SCMRL, config_for, lattice_neuron, neuron, scmrl, semantic_alignment
from avnir.models.scmrl_config import SCMRLConfig

SMALL: Mapping[str, object] = {
    "image_shape": (1, 8, 8),
    "audio_shape": (1, 8, 8),
    "channels": 32,
    "attention_threshold": 0.5,
    "steps": 3,
    "classes": 4,
}
VARIANTS: list[dict[str, object]] = [
    {},
    {"attention": "spatial"},
    {"attention": "temporal"},
    {"attention": "temporal", "temporal": "causal"},
    {"temporal": "causal"},
    {"attention": "qk"},
    {"query": "other"},
    {"project": "none"},
    {"project": "normalised"},
    {"fires": "gt"},
    {"fusion": "replace"},
    {"fusion": "weight", "alignment": 0.0},
    {"fusion": "add", "alignment": 0.0},
    {"fusion": "concat", "alignment": 0.0},
    {"modality": "image", "alignment": 0.0},
    {"modality": "audio", "alignment": 0.0},
    {"image_shape": (5, 1, 1)},
    {"image_shape": (5, 1, 1), "audio_shape": (3, 1, 1)},
]


def network(**options: object) -> SCMRL:
    """In evaluation mode, with weights and biases that let all layers fire, and their inputs matter."""
    torch.manual_seed(0)
    made = scmrl(SCMRLConfig(**{**SMALL, **options})).eval()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.bias, 0.0, 2.0)
        if isinstance(module, nn.Conv2d):
            module.weight.data *= 4
    return made


def inputs_of(made: SCMRL, steps: int = 3, batch: int = 5) -> tuple[Tensor, ...]:
    torch.manual_seed(1)
    return tuple(torch.randint(0, 128, (steps, batch, *made.shapes[name])).float() for name in made.inputs)


def as_published(current: Tensor) -> Tensor:
    """`v <- v/2 + I/2`, a spike and `v <- 0` where v >= 1, the potential detached after each step."""
    v, spikes = torch.zeros_like(current[0]), []
    for step in current:
        v = v / 2 + step / 2
        hard, soft = (v >= 1).float(), torch.sigmoid(4 * (v - 1))
        spikes.append(hard + (soft - soft.detach()))
        v = (v * (1 - hard)).detach()
    return torch.stack(spikes)


def test_the_neuron_is_the_published_one_with_its_gradient() -> None:
    torch.manual_seed(0)
    current = (3 * torch.randn(6, 4, 50)).requires_grad_()
    weight = torch.randn(6, 4, 50)
    spikes, expected = fused(neuron(), current, detach=True), as_published(current)
    assert torch.equal(spikes, expected.detach())
    assert 0.1 < spikes.mean() < 0.9
    (gradient,) = torch.autograd.grad((spikes * weight).sum(), current)
    (published,) = torch.autograd.grad((expected * weight).sum(), current)
    assert torch.allclose(gradient, published, rtol=1e-5, atol=1e-7)


@given(st.integers(1, 20).flatmap(lambda t: st.lists(st.integers(0, 9), min_size=t, max_size=t)))
def test_attention_neurons_fire_at_the_threshold(quarters: list[int]) -> None:
    current = torch.tensor(quarters).float().view(-1, 1) / 4
    fires = lattice_neuron(SCMRLConfig(steps=len(quarters)))
    assert torch.equal(looped(fires, current), as_published(current).detach())


def test_above_and_at_the_threshold_differ_on_the_lattice() -> None:
    current = torch.tensor([[2.0]])
    assert looped(lattice_neuron(SCMRLConfig(fires="ge")), current).item() == 1
    assert looped(lattice_neuron(SCMRLConfig(fires="gt")), current).item() == 0


def spike_tensors(count: int) -> Iterator[Tensor]:
    yield from ((torch.rand(3, 2, attend.HEADS, 2, 6) < 0.5).float() for _ in range(count))


def in_one_sum(q: Tensor, k: Tensor, v: Tensor, where: str) -> Tensor:
    """The definition, by indices: steps t and u, tokens n and m, channels of a head c and e."""
    return torch.einsum(where, q, k, v)


@pytest.mark.parametrize("seed", range(5))
def test_both_orders_of_attention_are_the_definition(seed: int) -> None:
    torch.manual_seed(seed)
    q, k, v = spike_tensors(3)
    spatial = in_one_sum(q, k, v, "tbhcn,tbhcm,tbhem->tbhen")
    temporal = in_one_sum(q, k, v, "tbhcn,ubhcn,ubhen->tbhen")
    causal = torch.stack(
        [in_one_sum(q[: t + 1], k[: t + 1], v[: t + 1], "tbhcn,ubhcn,ubhen->tbhen")[t] for t in range(3)]
    )
    assert torch.equal(attend.spatial_scores(q, k, v), spatial)
    assert torch.equal(attend.spatial_memory(q, k, v), spatial)
    assert torch.equal(attend.temporal_scores(q, k, v), temporal)
    assert torch.equal(attend.temporal_memory(q, k, v), temporal)
    assert torch.equal(attend.causal_scores(q, k, v), causal)
    assert torch.equal(attend.causal_memory(q, k, v), causal)
    assert not torch.equal(temporal, causal)


def test_heads_are_neighbouring_channels() -> None:
    x = torch.arange(32.0).view(1, 1, 32, 1, 1)
    assert attend.heads(x)[0, 0, 3].flatten().tolist() == [6, 7]


@pytest.mark.parametrize("temporal", ["window", "causal"])
@pytest.mark.parametrize("attention", ["full", "spatial", "temporal"])
def test_the_two_forms_give_the_same_numbers(attention: str, temporal: str) -> None:
    options = {"attention": attention, "temporal": temporal, "project": "none"}
    deployable, paper = network(**options), network(**options, product="matmul")
    inputs = inputs_of(paper)
    with torch.no_grad():
        logits, residuals = paper.run(looped, inputs)
        assert torch.equal(deployable(*inputs), logits)
    assert all(len(r.unique()) > 1 for r in residuals), "silent residuals would prove nothing"


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_every_variant_steps_as_it_trains_and_learns_everywhere(options: dict[str, object]) -> None:
    made = network(**options)
    inputs, labels = inputs_of(made), torch.tensor([0, 1, 2, 3, 0])
    with torch.no_grad():
        assert torch.equal(made(*inputs), made.window(*inputs))
    loss, scores = made.train().loss(inputs, labels)
    loss.backward()
    assert scores.shape == (5, 4)
    missing = [n for n, p in made.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not missing


@pytest.mark.parametrize(("options", "ahead"), [({}, True), ({"temporal": "causal"}, False)])
def test_only_the_window_form_looks_ahead(options: dict[str, object], ahead: bool) -> None:
    made = network(**options, project="none")
    inputs = inputs_of(made)
    changed = tuple(torch.cat([x[:2], 127 - x[2:]]) for x in inputs)
    with torch.no_grad():
        before, after = made(*inputs)[:2], made(*changed)[:2]
    assert torch.equal(before, after) is not ahead


def test_the_mean_over_the_window_decides() -> None:
    made = network()
    inputs = inputs_of(made)
    with torch.no_grad():
        assert torch.equal(made.scores(*inputs), made(*inputs).mean(0))


def test_queries_of_the_other_modality_swap_the_attention_only() -> None:
    own, other = (network(query=q, project="none").exchange["image"] for q in ("own", "other"))
    torch.manual_seed(0)
    x, y = ((torch.rand(3, 2, 32, 2, 2) < 0.5).float() for _ in range(2))
    assert torch.equal(own(x, y, looped), other(y, x, looped))
    assert not torch.equal(own(x, y, looped), own(y, x, looped))


def test_alignment_is_the_published_sum() -> None:
    torch.manual_seed(0)
    audio, image = torch.rand(4, 6), torch.rand(4, 6)
    labels, tau = torch.tensor([0, 1, 0, 2]), 0.1
    total = 0.0
    for i in range(4):
        row = [math.exp(float(audio[i] @ image[j]) / tau) for j in range(4)]
        total += sum(math.log(row[j] / sum(row)) for j in range(4) if labels[i] == labels[j])
    assert semantic_alignment(audio, image, labels, tau).item() == pytest.approx(-total / 16, rel=1e-5)


def test_the_loss_adds_the_alignment_of_audio_to_image() -> None:
    made, plain = network(alignment=0.5), network(alignment=0.0)
    inputs, labels = inputs_of(made), torch.tensor([0, 1, 2, 3, 0])
    with torch.no_grad():
        _, (image, audio) = made.run(made.fire, inputs)
        aligned = semantic_alignment(audio.mean((0, 3, 4)), image.mean((0, 3, 4)), labels, 0.1)
        loss = made.loss(inputs, labels)[0] - plain.loss(inputs, labels)[0]
    assert loss.item() == pytest.approx(0.5 * aligned.item(), rel=1e-4)


LARGE = {"image_shape": (3, 128, 128), "audio_shape": (1, 128, 128)}
DIGITS = {"image_shape": (2, 28, 28), "audio_shape": (1, 28, 28), "steps": 16}


@pytest.mark.parametrize(
    ("options", "parameters", "neurons", "mega_macs"),
    [
        ({**LARGE, "channels": 256, "classes": 6}, 4_204_038, 2_523_136, 694.4),
        ({**LARGE, "channels": 64}, 267_146, 630_784, 47.8),
        ({**DIGITS, "channels": 32}, 65_594, 90_944, 5.2),
        ({**DIGITS, "channels": 64}, 256_106, 181_888, 19.2),
    ],
    ids=["CREMA-D", "UrbanSound8K-AV", "digits 32", "digits 64"],
)
def test_sizes(options: dict[str, object], parameters: int, neurons: int, mega_macs: float) -> None:
    made = scmrl(SCMRLConfig(**options, product="matmul")).eval()
    counts: list[int] = []

    def count(_: snn.Leaky, current: Tensor) -> Tensor:
        counts.append(current[0, 0].numel())
        return torch.zeros_like(current)

    inputs = [torch.zeros(made.steps, 1, *shape) for shape in made.shapes.values()]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        made.run(count, inputs)
    assert sum(values.numel() for values in made.parameters()) == parameters
    assert sum(counts) == neurons
    assert round(counter.get_total_flops() / 2 / made.steps / 1e6, 1) == mega_macs


@pytest.mark.parametrize(
    "options",
    [
        {"project": "normalised"},
        {"project": "normalised", "attention": "temporal", "temporal": "causal"},
        {"attention": "qk"},
        {"modality": "audio", "alignment": 0.0},
    ],
    ids=str,
)
def test_the_deployable_form_is_traced_exactly(options: dict[str, object]) -> None:
    made = network(**options)
    graph = avnir.export.trace(made, inputs_of(made, batch=2), time="window")
    layers = [module for module in made.modules() if isinstance(module, snn.Leaky)]
    assert len(list(graph.neurons)) >= len(layers)


def test_a_configuration_survives_json_and_names_the_network() -> None:
    config = SCMRLConfig(**SMALL, fusion="concat", alignment=0.0)
    assert SCMRLConfig.from_json(config.to_json()) == config
    rebuilt = build("scmrl", config.to_json())
    assert isinstance(rebuilt, SCMRL)
    assert rebuilt.identity() == config.to_json()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"channels": 24}, "multiple of 16"),
        ({"image_shape": (1, 8, 8), "audio_shape": (1, 28, 28)}, "grids"),
        ({"fusion": "add"}, "alignment"),
        ({"modality": "image"}, "alignment"),
        ({"attention_threshold": 0.75}, "multiple of 0.5"),
        ({"steps": 21}, "steps is 21"),
        ({"attention": "softmax"}, "attention is 'softmax'"),
        ({"channels": "32"}, "channels is '32', must be an integer of at least 1$"),
    ],
)
def test_what_does_not_fit_together_is_refused(options: dict[str, object], part: str) -> None:
    with pytest.raises(UserError, match=part):
        SCMRLConfig(**options)


def test_the_forms_and_the_data_choose_the_configuration() -> None:
    choose = partial(config_for, classes=6, steps=4, modality="both")
    large = {"image": (3, 128, 128), "audio": (1, 128, 128)}
    paper, deployable = (choose(large, form=form, settings={}) for form in ("paper", "deployable"))
    assert (paper.channels, paper.product, paper.grid) == (256, "matmul", (8, 8))
    assert (deployable.channels, deployable.product) == (64, "broadcast")
    faces = choose({"image": (35, 1, 1), "audio": (1, 28, 28)}, form="deployable", settings={"alpha": "1"})
    assert (faces.channels, faces.grid, faces.alpha, faces.classes) == (32, (7, 7), 1, 6)
    assert choose(large, form="paper", settings={"fusion": "add"}).alignment == 0
    with pytest.raises(UserError, match="alphas"):
        choose(large, form="paper", settings={"alphas": "1"})
