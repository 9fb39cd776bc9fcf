"""Sums over the steps of a window, and what comes steps later: exact, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

import avnir
from avnir.cli.check import command as check
from avnir.compile import TO_NIR, run_passes
from avnir.errors import DataError, UnsupportedError
from avnir.export import load, reference, save, trace, write_nir
from avnir.export.nir_write import nir_findings
from avnir.export.onnx_write import onnx_bytes
from avnir.ir import real
from avnir.ir.interpret_real import interpret_real
from avnir.ir.presentations import presentations
from avnir.ir.real_graded import WindowSum
from tests.export.nets import Gate, seeded, spikes
from tests.export.test_trace_graph import Written
from tests.export.test_trace_operations import neuron
from tests.export.test_trace_products import fired
from tests.export.test_trace_refusals import refusal

STEPS, BATCH = 7, 3


def windowed(current: Any, shape: tuple[int, ...] = (6,)) -> Any:
    """The graph of: a layer of spikes, `current` of it, a layer of spikes; replayed on every spike."""
    model = Written(
        lambda m, x: fired(m.out, current(fired(m.lif, m.fc(x)))),
        fc=nn.Linear(6, 6),
        lif=neuron(),
        out=neuron(0.9),
    )
    return trace(seeded(model), spikes(STEPS, BATCH, *shape), time="window")


SUMS: dict[str, Any] = {
    "sum": lambda s: 0.3 * s.sum(0) + s,
    "sum that keeps the axis": lambda s: s * s.sum(0, keepdim=True) * 0.3,
    "mean": lambda s: s.mean(0) - 0.5 * s,
    "mean over steps and features": lambda s: s + s.mean((0, 2))[:, None],
    "sum over all": lambda s: s * s.sum((0, 2), keepdim=True) * 0.0513,
    "difference from the mean": lambda s: (s - s.mean(0, keepdim=True)) * 2,
    "expanded": lambda s: s.mean(0).expand(len(s), -1, -1),
    "in the loop": lambda s: torch.stack([a + b for a, b in zip(s, [s.mean(0)] * len(s), strict=True)]),
    "einsum": lambda s: torch.einsum("tbn,bn->tbn", s, torch.einsum("tbn->bn", s)) * 0.2,
}


@pytest.mark.parametrize("name", SUMS)
def test_sums_over_the_window_are_exact(name: str) -> None:
    graph = windowed(SUMS[name])
    (node,) = graph.select(lambda op: op.kind == "WindowSum")
    assert node.op == WindowSum(STEPS, False)
    assert presentations(graph) == 2


def test_a_mean_over_the_steps_is_what_pytorch_divides() -> None:
    """Numbers as outputs: all their bits are compared."""
    model = Written(lambda m, x: x.mean(0) - m.fc(x).mean(0, keepdim=True), fc=nn.Linear(6, 6))
    model.fc.weight.data = torch.randint(-40, 40, (6, 6)) / 8
    model.fc.bias.data.zero_()
    x = spikes(STEPS, BATCH, 6)
    expanded = Written(lambda m, x: model(x).expand(len(x), -1, -1))
    expanded.add_module("model", model)
    graph = trace(expanded, x, time="window")
    wanted = (x.mean(0) - model.fc(x).mean(0)).detach().numpy()
    np.testing.assert_array_equal(
        reference(graph, {"x": x.numpy()}).outputs["output"], np.stack([wanted] * STEPS)
    )


def test_a_running_sum_needs_no_second_presentation() -> None:
    graph = windowed(lambda s: 0.2 * s.cumsum(0))
    assert graph["running_sum"].op == WindowSum(STEPS, True)
    assert presentations(graph) == 1


def test_a_running_sum_of_real_numbers_is_added_as_pytorch_adds() -> None:
    model = seeded(Written(lambda m, x: m.gate(x).cumsum(0), gate=Gate(6)))
    trace(model, spikes(100, BATCH, 6), time="window")


def test_sums_of_sums_are_shown_once_more() -> None:
    def current(s: Tensor) -> Tensor:
        return (s * s.mean(0)).sum(0) * s

    graph = windowed(current)
    assert presentations(graph) == 3


def test_the_steps_are_those_of_the_examples(tmp_path: Path) -> None:
    model = seeded(Written(lambda m, x: fired(m.out, x * x.mean(0) * 2), out=neuron(0.6)))
    save(model, spikes(STEPS, BATCH, 6), tmp_path / "model.pt", time="window")
    graph = load(tmp_path / "model.pt").graph
    assert graph["window_sum"].op.steps == STEPS


@pytest.mark.parametrize(
    ("forward", "problem"),
    [
        (lambda m, x: x.sum(0), "is not a tensor [T, B, ...]"),
        (
            lambda m, x: x * x.sum(0, keepdim=True).sum(0),
            "sums over the steps what is a sum over them already",
        ),
        (lambda m, x: x * x[0], "all steps and those of one"),
        (lambda m, x: x.cumsum(-1), "along an axis of the sample"),
        (lambda m, x: x * x.sum(1, keepdim=True), "the operation sum"),
        (lambda m, x: x * x.norm(dim=0, keepdim=True), "a norm over the steps"),
        (lambda m, x: torch.stack([avnir.delayed(step, 1) for step in x]), "no axis of steps"),
    ],
)
def test_what_is_no_sum_over_the_window_is_refused(forward: Any, problem: str) -> None:
    findings = refusal(Written(forward), spikes(STEPS, BATCH, 6), time="window").findings
    assert any(problem in finding.problem for finding in findings), findings


def test_a_sum_over_the_window_in_a_loop_is_refused() -> None:
    error = refusal(Written(lambda m, x: avnir.delayed(x, 1)), spikes(STEPS, BATCH, 6))
    (finding,) = error.findings
    assert "no axis of steps" in finding.problem and "time='window'" in finding.remedy


@pytest.mark.parametrize("steps", [1, 3, STEPS, STEPS + 2])
def test_what_is_delayed_is_a_delay(steps: int) -> None:
    graph = windowed(lambda s: s + 0.7 * avnir.delayed(s, steps))
    assert graph["delayed"].op == real.Delay((6,), steps)


def test_delayed_is_zeros_then_the_past_and_its_gradient_comes_back() -> None:
    x = torch.arange(1.0, 6).reshape(5, 1).requires_grad_()
    y = avnir.delayed(x, 2)
    assert y.flatten().tolist() == [0, 0, 1, 2, 3]
    (y * torch.tensor([[1.0], [2], [3], [4], [5]])).sum().backward()
    assert x.grad is not None and x.grad.flatten().tolist() == [3, 4, 5, 0, 0]
    assert not avnir.delayed(x.detach(), 9).any()
    assert torch.autograd.gradcheck(
        lambda v: avnir.delayed(v, 2), torch.rand(4, 2, dtype=torch.float64, requires_grad=True)
    )


@pytest.mark.parametrize("steps", [0, -1])
def test_delayed_goes_back_in_time_only(steps: int) -> None:
    with pytest.raises(DataError, match=f"steps is {steps}"):
        avnir.delayed(torch.zeros(3, 1), steps)


def test_delayed_spikes_are_spikes() -> None:
    graph = windowed(lambda s: s * avnir.delayed(s, 2))
    assert graph["product"].op.kind == "Threshold"


def test_the_reference_and_the_definition_agree_on_a_window_shown_again() -> None:
    graph = windowed(lambda s: s.mean(0) - 0.5 * s)
    x = {"x": spikes(STEPS, 5, 6, seed=3).numpy()}
    in_torch, defined = reference(graph, x, states=True), interpret_real(graph, x, states=True)
    for name, layer in defined.spikes.items():
        np.testing.assert_array_equal(in_torch.spikes[name], layer)
    assert set(in_torch.states) == set(defined.states)


def test_what_no_interchange_format_holds_is_refused_all_at_once(tmp_path: Path) -> None:
    def current(s: Tensor) -> Tensor:
        return s * torch.rsqrt(s.mean(0).square().sum(1, keepdim=True) + 1e-6) + s.flip(-1)

    graph, _ = run_passes(windowed(current), TO_NIR)
    lacking = {"Product", "WindowSum", "InverseRoot", "Sparse"}
    said = {finding.problem for finding in nir_findings(graph)}
    assert said == {f"{kind} has no form in NIR" for kind in lacking}
    with pytest.raises(UnsupportedError) as in_nir:
        write_nir(graph, tmp_path / "graph.nir")
    with pytest.raises(UnsupportedError) as in_onnx:
        onnx_bytes(graph)
    for caught, name in ((in_nir, "NIR"), (in_onnx, "ONNX")):
        for kind in lacking:
            (told, *_) = (f for f in caught.value.findings if f.problem.startswith(kind))
            assert name in told.problem and told.remedy
    assert not list(tmp_path.iterdir())


def test_a_check_says_how_products_and_sums_are_taken(tmp_path: Path) -> None:
    model = seeded(Written(lambda m, x: fired(m.out, x * x.mean(0) * 2), out=neuron(0.6)))
    save(model, spikes(STEPS, BATCH, 6), tmp_path / "model.pt", time="window")
    done = CliRunner().invoke(check, [str(tmp_path / "model.pt"), "--json"])
    told = json.loads(done.output)
    how = {layer["operation"]: (layer["taken"], layer["how"]) for layer in told["layers"]}
    assert done.exit_code == 0 and told["exportable"]
    assert how["WindowSum"][1][1] == "sum over the window: shown 2 times"
    assert (
        how["Product"][0] == "programmable only" and how["Product"][1][0] == "graded product (programmable)"
    )
    assert any("Product has no form in NIR" in reason for reason in told["left_out"]["graph.nir"])
    shown = CliRunner().invoke(check, [str(tmp_path / "model.pt")]).output
    assert "left out of an export: graph.nir:" in shown and "it can be exported" in shown
