"""Train one case and measure its result: accuracy in floating point, under noise, and deployed."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avnir import target
from avnir.backend import find
from avnir.compile import Compiled, compile_graph
from avnir.cost.cores import cores_record
from avnir.cost.synops import count
from avnir.decision import output_units
from avnir.export import trace
from avnir.ir.interpret_real import interpret_real
from avnir.ir.presentations import presentations
from avnir.models.batches import accuracy, example_inputs
from avnir.models.classifier import Classifier
from avnir.models.data.pairs import PairedData, Split
from avnir.models.data.registry import Options
from avnir.models.job import Job, load_data, trained
from avnir.models.l2act import L2Act, discrimination
from avnir.models.neuron import fused
from avnir.models.noise import noisy_split
from avnir.verify.compare import compare
from examples.systems.cards import DECIBELS
from examples.systems.cases import BUDGETS, LEARNING_RATES, SEEDS, VALIDATION, Case

CHIP = "loihi2"
CHIPS = 32
"""As many as a deployment may take."""
DEPLOYED_PAIRS = 300
"""Test pairs that the engine runs, of which COMPARED are compared spike by spike with the graph."""
COMPARED = 30
TOLD = ("data", "epochs", "train_pairs", "validation_accuracy", "training_seconds")


def measured_before(case: Case, seed: int, folder: Path, deadline: float) -> dict[str, Any] | None:
    """`measured`, or None where the clock `time.monotonic` is past `deadline`."""
    return measured(case, seed, folder) if time.monotonic() < deadline else None


def measured(case: Case, seed: int, folder: Path) -> dict[str, Any]:
    """Everything about one case and seed, as JSON values; `folder` holds the data."""
    torch.set_num_threads(1)
    job = job_of(case, seed, folder)
    data, leaks = load_data(job)
    tests = BUDGETS[case.budget].tests
    if tests is not None and tests < len(data.test):
        data = replace(data, test=data.test.take(tests))
    network, result = trained(job, data, lambda done, total: None)
    row: dict[str, Any] = {
        "case": case.key(seed),
        "system": case.system,
        "form": case.form,
        "variant": case.variant,
        "seed": seed,
        **{name: result[name] for name in TOLD},
        "test_pairs": len(data.test),
        "parameters": sum(values.numel() for values in network.parameters()),
        "accuracy": accuracy(network, data.test),
        "warnings": leaks,
    }
    if isinstance(network, L2Act):
        row["angles"] = angles(network, data.test)
    if case.measured and seed == SEEDS[0]:
        row["noise"] = noise_curves(network, data, seed)
        row["deployed"] = deployed(network, data, seed)
    return row


def job_of(case: Case, seed: int, folder: Path) -> Job:
    """The training of a case."""
    budget = BUDGETS[case.budget]
    options = Options(
        seed=seed,
        steps=budget.steps,
        image_size=budget.image_size,
        audio_size=budget.audio_size,
        fold=case.fold,
        vectors=budget.vectors,
    )
    training = {
        "epochs": budget.epochs,
        "batch_size": budget.batch_size,
        "learning_rate": {**LEARNING_RATES, **budget.rates}[case.system],
        "input_noise": budget.input_noise,
        "validation": VALIDATION,
        **case.training,
    }
    return Job(
        case.system, budget.data, folder, options, case.modality, case.form, case.settings, training,
        budget.pairs, examples=1, out=Path("unused.pt"),
    )  # fmt: skip


def angles(network: L2Act, split: Split) -> dict[str, dict[str, float]]:
    """Mean angles within and between the classes, in degrees, of each modality's mean embedding."""
    inputs, labels = example_inputs(network, split, len(split))
    with torch.no_grad():
        found = network.embeddings(inputs, fused)
    return {name: discrimination(x.mean(0), labels)._asdict() for name, x in found.items()}


def noise_curves(network: Classifier, data: PairedData, seed: int) -> dict[str, dict[str, float]]:
    """Accuracy with noise on either input alone, by its signal-to-noise ratio in dB."""
    return {
        name: {
            str(level): accuracy(network, noisy_split(data.test, level, seed, (name,))) for level in DECIBELS
        }
        for name in network.inputs
    }


def deployed(network: Classifier, data: PairedData, seed: int) -> dict[str, Any]:
    """The network on the chip's integers: what it loses, takes and costs, and under noise."""
    start = time.perf_counter()
    examples, _ = example_inputs(network, data.test, 4)
    graph = trace(network, dict(zip(network.inputs, examples, strict=True)), time="window")
    compiled = compile_graph(graph, target.load(CHIP), chips=CHIPS)
    seconds = time.perf_counter() - start
    tested = data.test.take(min(DEPLOYED_PAIRS, len(data.test)))
    with find("cpu").session(compiled.program) as session:

        def decided(split: Split) -> float:
            run = session.run(encoded(network, split))
            return float(np.mean(network.decision.classes(run, units) == split.labels))

        units = output_units(compiled.program.graph)
        right = decided(tested)
        few = encoded(network, tested.take(COMPARED))
        integers = session.run(few)
        noise = {
            name: {str(level): decided(noisy_split(tested, level, seed, (name,))) for level in DECIBELS}
            for name in network.inputs
        }
    synops = count(compiled.program, few, integers)
    return {
        "target": CHIP,
        "pairs": len(tested),
        "float_accuracy": accuracy(network, tested),
        "accuracy": right,
        "spike_agreement": compare(interpret_real(graph, few), integers, ("graph", "cpu")).agreement,
        "synops": {name: round(value) for name, value in synops.total.items()},
        "placement": cores_record(compiled.placement),
        "presentations": presentations(compiled.program.graph),
        "latency_steps": compiled.program.latency,
        "operations": _operations(compiled),
        "noise": noise,
        "program": compiled.program.digest,
        "compile_seconds": round(seconds, 1),
    }


def encoded(network: Classifier, split: Split) -> dict[str, np.ndarray]:
    """All samples of a split as a program gets them: integers `[T, B, *shape]` by name."""
    inputs, _ = example_inputs(network, split, len(split))
    return {name: _integers(x) for name, x in zip(network.inputs, inputs, strict=True)}


def _integers(values: Tensor) -> np.ndarray:
    return values.numpy().astype(np.int32)


def _operations(compiled: Compiled) -> dict[str, int]:
    """How many layers of each kind of neuron it takes."""
    kinds = [node.op.kind for node in compiled.program.graph.neurons]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}
