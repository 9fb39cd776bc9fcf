"""Training on integers: the module spikes as the chip does, and its result compiles to itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch import Tensor
from torch.nn.functional import cross_entropy

from avnir import target
from avnir.backend import find
from avnir.compile import compile_graph
from avnir.errors import GateError, UnsupportedError
from avnir.export import trace
from avnir.ir.graph import Node
from avnir.ir.integer import Conv, Dense, Lif
from avnir.ir.integer_level import OPERATIONS
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array
from avnir.ir.real import RESETS
from avnir.models.av_digits import AVDigitsConfig, av_digits
from avnir.models.data.pairs import DIGITS, PairedData, Split
from avnir.models.integer_lif import Neurons, window
from avnir.models.integer_network import CURRENT_LIMIT, IntegerNetwork
from avnir.models.integer_synapses import Synapses, matrix
from avnir.models.integer_training import fine_tune, fine_tuning, prove
from avnir.models.lattice import LatticeNetwork, settled, silence
from avnir.models.training import accuracy
from avnir.program import Program
from avnir.testing.building import lif, rng
from avnir.testing.strategies import Window, windows
from tests.networks import audio_visual

LOIHI = target.load("loihi2")


def spiking(program: Program) -> Program:
    """The program with spiking neurons in the place of those that send graded messages."""
    nodes = (
        node if node.op.kind == "Lif" or not node.op.spiking else replace(node, op=_lif(node))
        for node in program.graph
    )
    return replace(program, graph=program.graph.with_nodes(nodes))


def _lif(node: Node) -> Lif:
    return lif(node.op.output_shape(()) if not hasattr(node.op, "shape") else node.op.shape, threshold=100)


def same_traces(network: IntegerNetwork, inputs: Mapping[str, Array]) -> bool:
    """Whether module, interpreter and CPU engine agree in every spike of the program as it is now."""
    program = network.trained()
    mine, defined = network.eval().trace(inputs), interpret_integer(program.graph, inputs)
    with find("cpu").session(program) as session:
        fast = session.run(inputs)
    assert mine.spikes.keys() == defined.spikes.keys()
    return all(
        np.array_equal(array, run.spikes[name])
        for name, array in mine.spikes.items()
        for run in (defined, fast)
    ) and all(np.array_equal(array, defined.outputs[name]) for name, array in mine.outputs.items())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(windows())
def test_every_spike_is_the_chips(case: Window) -> None:
    assert same_traces(IntegerNetwork(spiking(case.program)), case.inputs)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(windows(max_layers=2))
def test_every_spike_is_the_chips_after_weights_and_biases_moved(case: Window) -> None:
    network = IntegerNetwork(spiking(case.program))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for values in network.parameters():
            values += 0.1 * torch.randn(values.shape, generator=generator)
    before = network.program
    assert same_traces(network, case.inputs)
    kept = [n for n in before.graph if n.op.connection]  # type: ignore[attr-defined]
    after = network.trained().graph
    assert all(np.array_equal(np.abs(_rows(n)).max(1), np.abs(_rows(after[n.name])).max(1)) for n in kept), (
        "the largest weight of each row is held"
    )


def _rows(node: Node) -> Array:
    weights = matrix(node.op).astype(np.int64)  # type: ignore[arg-type]
    return weights.reshape(len(weights), -1)


class _Spike(torch.autograd.Function):
    """v > 0 with the surrogate's slope, for the eager neuron."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)  # type: ignore[attr-defined]
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return gradient / (1 + (torch.pi * x) ** 2)


def eager(current: Tensor, bias: Tensor, neurons: Neurons) -> tuple[Tensor, Tensor]:
    """The neuron without rounding, by PyTorch's own differentiation; spikes and the last potential."""
    theta, width = torch.from_numpy(neurons.theta).double(), torch.from_numpy(neurons.width)
    u = v = torch.zeros_like(current[0])
    spikes = []
    reset = RESETS[neurons.reset]
    for arriving in current:
        above = (v > theta).double()
        u = u * (torch.from_numpy(neurons.keep_u) / 4096) + 64 * arriving
        v = (1 - above) * v if reset == "zero_delayed" else v
        v = v * (torch.from_numpy(neurons.keep_v) / 4096) + u + bias
        v = (1 - above) * v if reset == "zero_next" else v
        v = v - above * theta if reset.startswith("subtract") else v
        fired = _Spike.apply((v - theta) / width)
        spikes.append(fired)
        v = (1 - fired) * v if reset == "zero" else v
        v = v - (fired - above) * theta if reset == "subtract" else v
    return torch.stack(spikes), v


@pytest.mark.parametrize("reset", RESETS)
def test_gradients_are_those_of_the_equations(reset: str) -> None:
    op = lif((5,), decay_u=2047, decay_v=2048, threshold=[3, 1, 9, 0, 40], bias=64, reset=reset)
    neurons = Neurons.of(op)
    numbers = rng()
    values = 64.0 * numbers.integers(-4, 9, (4, 3, 5))  # halves stay whole for four steps
    weighting = torch.from_numpy(numbers.normal(size=values.shape))
    found = []
    for exact in (True, False):
        current = torch.tensor(values, requires_grad=True)
        bias = torch.full((5,), 64.0, dtype=torch.float64, requires_grad=True)
        nothing = torch.zeros(3, 5, dtype=torch.float64)
        if exact:
            spikes, _, v = window(current, bias, (nothing, nothing), neurons)
        else:
            spikes, v = eager(current, bias, neurons)
        ((spikes * weighting).sum() + 1e-3 * v.sum()).backward()
        assert current.grad is not None and bias.grad is not None
        found.append((spikes.detach(), v.detach(), current.grad, bias.grad))
    (spikes, v, current_grad, bias_grad), (spikes2, v2, current_grad2, bias_grad2) = found
    assert torch.equal(spikes, spikes2.float()) and torch.equal(v, v2)
    assert 0 < spikes.mean() < 1
    torch.testing.assert_close(current_grad, current_grad2, rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(bias_grad, bias_grad2, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_the_current_stays_free_of_overflow(bits: int) -> None:
    program = compile_graph(audio_visual(3, "zero"), LOIHI, bits).program
    network = IntegerNetwork(program, bits)
    with torch.no_grad():
        for values in network.parameters():
            values += 1.0
    graph = network.trained().graph
    for node in graph.neurons:
        sums = [graph[name].op.worst_sum() for name in node.inputs]  # type: ignore[attr-defined]
        groups = np.gcd.reduce([len(array) for array in sums])
        assert sum(array.reshape(groups, -1).max(1) for array in sums).max() < CURRENT_LIMIT


@pytest.mark.parametrize(
    ("reset", "bits"),
    [
        ("zero", 8),
        ("zero", 4),
        ("zero", 2),
        ("subtract", 8),
        ("none", 4),
        ("zero_delayed", 4),
        ("subtract_delayed", 2),
    ],
)
def test_the_result_compiles_to_itself(reset: str, bits: int) -> None:
    start = compile_graph(audio_visual(5, reset), LOIHI, bits).program
    first, _ = settled(start, LOIHI, bits)
    network = IntegerNetwork(first, bits)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for values in network.parameters():
            values += 0.05 * torch.randn(values.shape, generator=generator)
    program, model = settled(network.trained(), LOIHI, bits)
    again = compile_graph(trace(model, silence(program)), LOIHI, bits).program
    assert again.digest == program.digest
    names = {node.name for node in start.graph.neurons}
    assert {node.name for node in program.graph.neurons} == names


def test_a_lattice_of_whole_numbers_keeps_every_integer() -> None:
    """Nothing is lost on the way into floating point: parameters times the unit are the integers."""
    program = compile_graph(audio_visual(5, "zero"), LOIHI, 8).program
    model = LatticeNetwork(program)
    for node in program.graph.neurons:
        op = cast(Lif, node.op)
        threshold = model.get_submodule(node.name).threshold
        unit = 2.0 ** np.rint(np.log2(op.threshold.mean() / float(threshold.double().mean())))  # type: ignore[operator, union-attr]
        assert np.array_equal(threshold.double().numpy() * unit, op.threshold)  # type: ignore[operator, union-attr]
        for index, name in enumerate(node.inputs):
            connection = cast(Dense | Conv, program.graph[name].op)
            weight = model.get_submodule(f"{node.name}_weights_{index}").weight.double() * unit  # type: ignore[operator, union-attr]
            expected = connection.weight.astype(np.float64) * 2.0**connection.exponent
            assert np.array_equal(weight.detach().numpy(), expected)


def test_what_has_no_form_is_refused_with_every_finding() -> None:
    start = compile_graph(audio_visual(5, "zero"), LOIHI, 8).program
    connections = [n.name for n in start.graph if n.op.connection]  # type: ignore[attr-defined]
    assert connections
    relay = OPERATIONS["Relay"]
    graded = [
        replace(n, op=relay(cast(Lif, n.op).shape, message_bits=32)) if n.op.kind == "Lif" else n
        for n in start.graph
    ]
    with pytest.raises(UnsupportedError) as error:
        IntegerNetwork(replace(start, graph=start.graph.with_nodes(graded)))
    assert len(error.value.findings) == len(start.graph.neurons)
    assert "a Relay does not spike" in str(error.value)
    with pytest.raises(UnsupportedError) as error:
        LatticeNetwork(replace(start, graph=start.graph.with_nodes(graded)))
    assert [f.problem for f in error.value.findings] == ["a Relay does not spike"] * len(start.graph.neurons)
    biased = [
        replace(n, op=n.op.replace(decay_u=np.array(100, np.int32), bias_mantissa=np.array(5, np.int32)))
        if n.op.kind == "Lif"
        else n
        for n in start.graph
    ]
    with pytest.raises(UnsupportedError, match="its bias would pass through its current"):
        LatticeNetwork(replace(start, graph=start.graph.with_nodes(biased)))
    with pytest.raises(UnsupportedError, match="its bias would pass through its current"):
        LatticeNetwork(compile_graph(audio_visual(5, "zero_next"), LOIHI, 8).program)


def blocks(pairs: int, seed: int) -> Split:
    """Every digit is a block in a place of its own, in both pictures, with noise on top."""
    numbers = np.random.default_rng(seed)
    labels = numbers.integers(0, 10, pairs)
    pictures = np.zeros((2, pairs, 1, 16, 16), np.float32)
    for pair, label in enumerate(labels):
        row, column = 4 * (label // 4), 4 * (label % 4)
        pictures[:, pair, 0, row : row + 4, column : column + 4] = 0.9
    pictures = np.clip(pictures + numbers.uniform(0, 0.1, pictures.shape), 0, 1).astype(np.float32)
    return Split({"image": pictures[0], "audio": pictures[1]}, labels)


def test_integers_learn_and_the_same_seed_gives_the_same_program() -> None:
    data = PairedData("blocks", blocks(300, 0), blocks(100, 1), DIGITS, {"seed": 0})
    torch.manual_seed(0)
    network = av_digits(AVDigitsConfig(channels=(2, 4), hidden=32, steps=4)).eval()
    graph = trace(network, tuple(torch.zeros(2, 1, *shape) for shape in network.shapes.values()))
    config = replace(fine_tuning(4, epochs=3), batch_size=20, learning_rate=0.1)
    made = fine_tune(graph, LOIHI, data, network.steps, 4, config)
    before = accuracy(IntegerNetwork(made.start, 4, network.steps), data.test)
    assert before < 0.4
    assert accuracy(made.network, data.test) > 0.8
    assert made.history[-1].loss < made.history[0].loss
    again = fine_tune(graph, LOIHI, data, network.steps, 4, config)
    assert again.network.program.digest == made.network.program.digest
    compiled = compile_graph(trace(made.model, silence(made.start)), LOIHI, 4).program
    assert compiled.digest == made.network.program.digest
    inputs = {name: np.ones((4, 3, *shape), np.uint8) for name, shape in network.shapes.items()}
    slots = sum(np.prod(made.start.graph.shapes[n.name]) for n in made.start.graph.neurons)
    assert prove(made.network, inputs) == 4 * 3 * slots


def test_few_bits_are_trained_faster() -> None:
    rates = [fine_tuning(bits).learning_rate for bits in (2, 3, 4, 8)]
    assert rates == sorted(rates, reverse=True)
    assert (rates[0], rates[-1]) == (1e-2, 2e-3)


def test_a_backend_that_differs_is_named() -> None:
    program = compile_graph(audio_visual(5, "zero"), LOIHI, 8).program
    network = IntegerNetwork(program).eval()
    inputs = {n.name: np.ones((4, 2, *n.op.output_shape(())), np.uint8) for n in program.graph.inputs}
    with torch.no_grad():
        part = next(part for part in network.modules() if isinstance(part, Synapses))
        part.shadow.neg_()
    with pytest.raises(GateError, match="cpu differs from the trained network, first at "):
        prove(network, inputs)


def test_one_batch_moves_every_trainable_value_but_the_held_ones() -> None:
    program = compile_graph(audio_visual(5, "zero"), LOIHI, 8).program
    network = IntegerNetwork(program, steps=6).train()
    numbers = rng()
    inputs = {
        n.name: torch.from_numpy(numbers.integers(0, 2, (6, 8, *n.op.output_shape(())))).float()
        for n in program.graph.inputs
    }
    counts = network.run(inputs)["lif_out"].sum(0)
    cross_entropy(counts, torch.arange(8) % counts.shape[1]).backward()
    for part in network.modules():
        if isinstance(part, Synapses):
            assert part.shadow.grad is not None
            assert torch.all(part.shadow.grad[part.held] == 0)
            assert bool(torch.all(part.held)) or bool(torch.any(part.shadow.grad != 0))
