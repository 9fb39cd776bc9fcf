"""Products of two tensors of the network, attention and inverse roots: exact, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avnir.export import trace
from avnir.ir import real
from avnir.ir.interpret_real import interpret_real
from avnir.ir.presentations import presentations
from avnir.ir.real_graded import InverseRoot, Product
from tests.export.nets import seeded, spikes
from tests.export.test_trace_graph import Written
from tests.export.test_trace_operations import neuron
from tests.export.test_trace_refusals import refusal

STEPS, BATCH, TOKENS, SIZE = 6, 3, 5, 8


def kinds(graph: Any) -> list[str]:
    return [node.op.kind for node in graph]


def fired(neuron: Any, current: Tensor) -> Tensor:
    """The neuron over the steps of a window."""
    return torch.stack([neuron(step) for step in current])


def one_step(forward: Any, x: Tensor, **modules: nn.Module) -> Any:
    return trace(seeded(Written(forward, lif=neuron(), out=neuron(0.9), **modules)), x)


def test_a_product_of_numbers_has_two_ports() -> None:
    graph = one_step(
        lambda m, x: m.out(m.fc(x) * m.fd(x)), spikes(20, 3, 6), fc=nn.Linear(6, 4), fd=nn.Linear(6, 4)
    )
    assert graph["product"].op == Product(1)
    assert graph["product"].inputs == ("fc", "fd")


def test_a_product_of_sums_tells_which_are_the_second_port() -> None:
    def forward(model: Any, x: Tensor) -> Tensor:
        return model.out(model.fc(x) * (model.fd(x) + x[:, :4]))

    graph = one_step(forward, spikes(20, 3, 6), fc=nn.Linear(6, 4), fd=nn.Linear(6, 4))
    assert graph["product"].op == Product(2)
    assert graph["product"].op.ports(graph["product"].inputs) == (("fc",), ("fd", "part"))


@pytest.mark.parametrize("square", [lambda x: x * x, lambda x: x**2, torch.square, lambda x: x * (2 * x + x)])
def test_what_is_multiplied_by_itself_comes_a_second_time_through_a_copy(square: Any) -> None:
    graph = one_step(lambda m, x: m.out(square(m.fc(x))), spikes(20, 3, 6), fc=nn.Linear(6, 4))
    assert "Product" in kinds(graph)


def test_spikes_are_multiplied_by_coincidence_where_they_are_broadcast_too() -> None:
    graph = one_step(lambda m, x: m.lif(x)[:, :, None] * x[:, None], spikes(20, 3, 4))
    assert graph["product"].op == real.Threshold(np.array(1.5, np.float32))
    assert graph.shapes["product"] == (4, 4)
    assert "Product" not in kinds(graph)


def test_delayed_numbers_are_no_spikes() -> None:
    import avnir

    def forward(model: Any, x: Tensor) -> Tensor:
        return fired(model.out, avnir.delayed(3 * x, 1) * x)

    graph = trace(Written(forward, out=neuron(0.9)), spikes(8, 3, 4), time="window")
    assert "Product" in kinds(graph)


SPATIAL: dict[str, Any] = {
    "matmul": lambda q, k, v: (q @ k.transpose(-1, -2)) @ v,
    "matmul in linear order": lambda q, k, v: q @ (k.mT @ v),
    "einsum": lambda q, k, v: torch.einsum("...nm,...me->...ne", torch.einsum("...nd,...md->...nm", q, k), v),
    "bmm": lambda q, k, v: torch.bmm(torch.bmm(q, k.transpose(1, 2)), v),
    "written out": lambda q, k, v: (
        (q.unsqueeze(2) * k.unsqueeze(1)).sum(-1).unsqueeze(-1) * v.unsqueeze(1)
    ).sum(2),
}


class Attention(nn.Module):
    """Self-attention over tokens, one step a call: q, k, v = LIF(Conv1d x), out = LIF(q k^T v / 4)."""

    def __init__(self, attend: Any) -> None:
        super().__init__()
        self.attend = attend
        self.layers = nn.ModuleList(nn.Conv1d(SIZE, SIZE, 1, bias=False) for _ in range(3))
        self.lifs = nn.ModuleList(neuron() for _ in range(3))
        self.out = neuron()

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (lif(layer(x)).transpose(1, 2) for layer, lif in zip(self.layers, self.lifs, strict=True))
        return self.out(0.25 * self.attend(q, k, v))


@pytest.mark.parametrize("name", SPATIAL)
def test_attention_over_tokens_is_exact(name: str) -> None:
    graph = trace(seeded(Attention(SPATIAL[name])), spikes(STEPS, BATCH, SIZE, TOKENS))
    found = kinds(graph)
    assert found.count("Threshold") == 1 and found.count("Product") == 1
    assert graph.shapes["out"] == (TOKENS, SIZE)


TEMPORAL: dict[str, Any] = {
    "einsum": lambda q, k, v: torch.einsum("tbhnd,bhnde->tbhne", q, torch.einsum("tbhnd,tbhne->bhnde", k, v)),
    "sums": lambda q, k, v: (q.unsqueeze(-1) * (k.unsqueeze(-1) * v.unsqueeze(-2)).sum(0, keepdim=True)).sum(
        -2
    ),
    "matmul": lambda q, k, v: (q.unsqueeze(-2) @ (k.unsqueeze(-1) @ v.unsqueeze(-2)).sum(0)).squeeze(-2),
}


class WindowAttention(nn.Module):
    """Attention of heads over tokens and over the steps, as S-CMRL combines them."""

    def __init__(self, temporal: Any) -> None:
        super().__init__()
        self.temporal = temporal
        self.layers = nn.ModuleList(nn.Conv1d(SIZE, SIZE, 1, bias=False) for _ in range(3))
        self.lifs = nn.ModuleList(neuron() for _ in range(3))
        self.in_space, self.in_time, self.out = neuron(), neuron(), neuron(0.23)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            fired(lif, layer(x.flatten(0, 1)).unflatten(0, x.shape[:2]))
            .unflatten(2, (2, 4))
            .transpose(-1, -2)
            for layer, lif in zip(self.layers, self.lifs, strict=True)
        )
        a = fired(self.in_space, 0.25 * (q @ k.transpose(-1, -2) @ v))
        b = fired(self.in_time, 0.25 * self.temporal(q, k, v))
        return fired(self.out, a.mean(3, keepdim=True) * b.mean(0, keepdim=True))


@pytest.mark.parametrize("name", TEMPORAL)
def test_attention_over_tokens_and_steps_is_exact(name: str) -> None:
    x = spikes(STEPS, BATCH, SIZE, TOKENS)
    graph = trace(seeded(WindowAttention(TEMPORAL[name])), x, time="window")
    assert presentations(graph) == 3
    found = kinds(graph)
    assert found.count("WindowSum") == 2
    spiking = interpret_real(graph, {"x": x.numpy()}).spikes
    assert all(0 < spiking[name].mean() < 1 for name in ("in_space", "in_time", "out"))


def test_steps_that_meet_every_other_are_refused() -> None:
    def forward(model: Any, x: Tensor) -> Tensor:
        return torch.einsum("tbn,sbn->tbs", x, x)

    (finding,) = refusal(Written(forward), spikes(5, 2, 4), time="window").findings
    assert "pairs each step with every other" in finding.problem and "q (k^T v)" in finding.remedy


@pytest.mark.parametrize(
    ("forward", "problem"),
    [
        (lambda m, x: torch.einsum("bn,bn,bn->bn", x, x, x), "other than one or two"),
        (lambda m, x: torch.einsum("bnn->bn", x[:, :, None] * x[:, None]), "diagonal"),
        (lambda m, x: torch.einsum("bn,on->bo", x, m.fc.weight), "einsum with a constant"),
        (lambda m, x: x @ m.fc.weight, "the operation matmul"),
        (lambda m, x: x @ x.transpose(0, 1), "moves or drops the batch"),
        (lambda m, x: torch.einsum("bn,bm->nm", x, x), "moves or drops the batch"),
        (lambda m, x: x * x.sum(0, keepdim=True), "the operation sum"),
        (lambda m, x: x / m.fc(x), "divides by values of the network"),
        (lambda m, x: m.fc(x).pow(3), "the power 3"),
    ],
)
def test_what_is_no_product_within_a_sample_is_refused(forward: Any, problem: str) -> None:
    findings = refusal(Written(forward, fc=nn.Linear(6, 6))).findings
    assert any(problem in finding.problem for finding in findings), findings


ROOTS: dict[str, tuple[Any, InverseRoot]] = {
    "a norm and eps": (lambda f: f / (f.norm(dim=1, keepdim=True) + 1e-6), InverseRoot(1e-6, "beside")),
    "vector_norm": (
        lambda f: 2 * f / (torch.linalg.vector_norm(f, dim=1, keepdim=True) + 0.5),
        InverseRoot(0.5, "beside"),
    ),
    "normalize": (lambda f: F.normalize(f, dim=1), InverseRoot(1e-12, "least")),
    "rsqrt of a sum and eps": (
        lambda f: f * torch.rsqrt((f * f).sum(1, keepdim=True) + 1e-6),
        InverseRoot(1e-6, "under"),
    ),
    "rsqrt of a clamp": (
        lambda f: f * torch.rsqrt(f.square().sum(1, keepdim=True).clamp(min=0.25)),
        InverseRoot(0.5, "least"),
    ),
    "one over a root": (
        lambda f: f * (3 / (torch.sqrt(f.sum(1)) + 1).unsqueeze(1)),
        InverseRoot(1.0, "beside"),
    ),
    "a power": (lambda f: f * ((f**2).sum(1) + 1).pow(-0.5)[:, None], InverseRoot(1.0, "under")),
    "a root of a sum and eps": (
        lambda f: f / torch.sqrt((f**2).sum(1, keepdim=True) + 1e-6),
        InverseRoot(1e-6, "under"),
    ),
    "a clamped root": (
        lambda f: f / (f**2).sum(1).sqrt().clamp(min=0.5).unsqueeze(1),
        InverseRoot(0.5, "least"),
    ),
}


@pytest.mark.parametrize("name", ROOTS)
@pytest.mark.parametrize("binary", [True, False])
def test_normalised_vectors_are_exact_in_the_layer_behind(name: str, binary: bool) -> None:
    normalise, operation = ROOTS[name]

    def forward(model: Any, x: Tensor) -> Tensor:
        return model.out(model.fc(normalise(model.lif(x) if binary else 0.5 * x + model.lif(x))))

    x = spikes(30, 3, 6)
    x[4:8, 0] = 0
    graph = one_step(forward, x, fc=nn.Linear(6, 4))
    (root,) = graph.select(lambda op: op.kind == "InverseRoot")
    assert root.op == operation
    assert 0 < interpret_real(graph, {"x": x.numpy()}).spikes["out"].mean() < 1


@pytest.mark.parametrize(
    ("normalise", "problem"),
    [
        (lambda f: f / f.norm(dim=1, keepdim=True), "infinite at 0"),
        (lambda f: f * torch.rsqrt(f.sum(1, keepdim=True)), "infinite at 0"),
        (lambda f: f / (f.norm(dim=1, keepdim=True) + -1e-3), "guards a root by -0.001"),
        (lambda f: f / ((f.sum(1, keepdim=True) + 1).sqrt() + 1), "once more"),
        (lambda f: torch.sqrt(f), "a root that is not divided by"),
        (lambda f: f.norm(p=1, dim=1, keepdim=True), "a norm of order 1"),
        (lambda f: f * torch.rsqrt(f + 1) + (f + 1), "adds a constant"),
        (lambda f: f.clamp(min=0.5), "the operation clamp"),
        (lambda f: f * torch.rsqrt((f + 1).clamp(max=3)), "the operation clamp"),
    ],
)
def test_roots_that_are_not_guarded_or_not_divided_by_are_refused(normalise: Any, problem: str) -> None:
    findings = refusal(Written(lambda m, x: m.out(normalise(x)), out=neuron())).findings
    assert any(problem in finding.problem for finding in findings), findings
