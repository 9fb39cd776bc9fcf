"""One network at many settings: target x weight bits x thresholds, each point measured on its own.

A point is compiled, run on the CPU engine and held against the same network in floating point, whose
thresholds are scaled alike. Its record is made of plain values and depends on nothing but the point, so that
the same points give the same lines wherever and in whatever order they are measured.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from avnir import __version__, target
from avnir.backend import find
from avnir.compile import Compiled, compile_graph
from avnir.cost.cores import cores_record
from avnir.cost.costs import Costs, costs_of
from avnir.cost.synops import CONVENTIONS
from avnir.decision import Decision, output_units
from avnir.errors import GraphError, ProgramError, TargetError, UnsupportedError
from avnir.ir.graph import Graph
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array, digest
from avnir.ir.text import graph_digest
from avnir.passes.scale_thresholds import ScaleThresholds
from avnir.trace import Trace
from avnir.verify.compare import Comparison, compare
from avnir.verify.stages import GRAPH, INTEGER

FORMAT = "avnir-sweep-1"
PART = 64
"""Samples that are run at a time: few, as every register of every step is kept for the costs."""


@dataclass(frozen=True)
class Point:
    """The settings of one point; `chips` and `cores` as `avnir.place.place` takes them."""

    target: str
    weight_bits: int
    threshold_scale: float
    chips: int = 1
    cores: int | None = None


def product(
    targets: Iterable[str],
    weight_bits: Iterable[int],
    threshold_scales: Iterable[float],
    chips: int = 1,
    cores: int | None = None,
) -> list[Point]:
    """Every combination once; points of one threshold follow each other and share the run in floats."""
    combined = itertools.product(threshold_scales, targets, weight_bits)
    return [Point(t, b, s, chips, cores) for s, t, b in dict.fromkeys(combined)]


@dataclass(frozen=True, eq=False)
class Job:
    """What all points share: the network, inputs `[T, B, *shape]`, labels `[B]`, what to calibrate on."""

    graph: Graph
    inputs: Mapping[str, Array]
    labels: Array | None = None
    calibration: Mapping[str, Array] | None = None
    calibration_labels: Array | None = None
    decision: Decision | None = None

    @cached_property
    def record(self) -> dict[str, Any]:
        """What a line says of it: digests of network, inputs and calibration, and the version of avnir."""
        steps, samples = next(iter(self.inputs.values())).shape[:2]
        return {
            "format": FORMAT,
            "avnir": __version__,
            "model": graph_digest(self.graph),
            "decision": (self.decision or Decision()).record(),
            "inputs": _arrays_digest(self.inputs, self.labels),
            "calibration": None
            if self.calibration is None
            else _arrays_digest(self.calibration, self.calibration_labels),
            "samples": samples,
            "steps": steps,
        }


def _arrays_digest(arrays: Mapping[str, Array], labels: Array | None) -> str:
    named = {name: digest(array) for name, array in arrays.items()}
    if labels is not None:
        named["labels"] = digest(labels)
    return hashlib.sha256(repr(sorted(named.items())).encode()).hexdigest()


def told(job: Job, point: Point) -> dict[str, Any]:
    """What was asked for, as a line says it."""
    return {**job.record, **asdict(point)}


def key(line: Mapping[str, Any]) -> str:
    """What was asked for, of any line: two with the same have the same figures."""
    names = ("avnir", "model", "decision", "inputs", "calibration", *Point.__dataclass_fields__)
    return json.dumps([line.get(name) for name in names])


def problem(line: Mapping[str, Any], job: Job) -> str | None:
    """Why a file with this line cannot take the points of the job, or None."""
    if line.get("format") != FORMAT:
        return f"is not of format {FORMAT}"
    model = job.record["model"]
    if line.get("model") != model:
        return f"is of another model ({str(line.get('model'))[:12]}, but this is {model[:12]})"
    return None


def measured(job: Job, point: Point) -> dict[str, Any]:
    """The line of a point: its settings and figures, or the reason why it cannot be made."""
    try:
        return {**told(job, point), **_figures(job, point), "refused": None}
    except (UnsupportedError, TargetError, GraphError, ProgramError) as refusal:
        return {**told(job, point), "refused": str(refusal)}


def _figures(job: Job, point: Point) -> dict[str, Any]:
    chip = target.load(point.target)
    graph, in_floats = _floats(job, point.threshold_scale)
    compiled = compile_graph(
        graph,
        chip,
        point.weight_bits,
        job.calibration,
        labels=job.calibration_labels,
        decision=job.decision,
        chips=point.chips,
        cores=point.cores,
    )
    ran = [
        _ran(job, compiled, chip, samples, trace)
        for samples, trace in zip(_parts(job), in_floats, strict=True)
    ]
    return {
        "program": compiled.program.digest,
        "accuracy": _accuracy(job, ran),
        **_agreement([part.comparison for part in ran]),
        "synops_per_sample": {
            name: _mean(ran, [part.costs.synops.total[name] for part in ran]) for name in CONVENTIONS
        },
        "placement": cores_record(compiled.placement),
        "latency": _latency(ran),
        "energy_per_sample": _energy(ran),
    }


@dataclass(frozen=True)
class _Part:
    """What some of the samples gave: the classes of both runs `[B]`, how they agree, what it costs."""

    in_floats: Array
    deployed: Array
    comparison: Comparison
    costs: Costs


def _parts(job: Job) -> list[slice]:
    batch = next(iter(job.inputs.values())).shape[1]
    return [slice(first, min(first + PART, batch)) for first in range(0, batch, PART)]


def _of(job: Job, samples: slice) -> dict[str, Array]:
    return {name: array[:, samples] for name, array in job.inputs.items()}


@lru_cache(maxsize=1)
def _floats(job: Job, scale: float) -> tuple[Graph, tuple[Trace, ...]]:
    """The network with its thresholds scaled, and its run in float64 in parts of the samples."""
    graph, _ = ScaleThresholds(scale)(job.graph)
    return graph, tuple(interpret_real(graph, _of(job, samples)) for samples in _parts(job))


def _ran(job: Job, compiled: Compiled, chip: target.Target, samples: slice, in_floats: Trace) -> _Part:
    program, inputs = compiled.program, _of(job, samples)
    with find("cpu").session(program) as session:
        trace = session.run(inputs, states=True)
    return _Part(
        (job.decision or Decision()).classes(in_floats),
        program.decision.classes(trace, output_units(program.graph)),
        compare(in_floats, trace, (GRAPH, INTEGER)),
        costs_of(compiled, chip, inputs, trace),
    )


def _accuracy(job: Job, ran: Sequence[_Part]) -> dict[str, float] | None:
    """The share of samples decided as they are labelled, in floats and deployed; None without labels."""
    if job.labels is None:
        return None
    in_floats = np.concatenate([part.in_floats for part in ran])
    deployed = np.concatenate([part.deployed for part in ran])
    return {
        "float": float(np.mean(in_floats == job.labels)),
        "deployed": float(np.mean(deployed == job.labels)),
    }


def _agreement(compared: Sequence[Comparison]) -> dict[str, Any]:
    """The share of equal spike slots, over all and in each layer."""
    layers = list(zip(*(comparison.layers for comparison in compared), strict=True))
    equal = [sum(layer.equal for layer in same) for same in layers]
    slots = [sum(layer.slots for layer in same) for same in layers]
    by_layer = {same[0].layer: found / of for same, found, of in zip(layers, equal, slots, strict=True)}
    return {"agreement": sum(equal) / sum(slots), "agreement_by_layer": by_layer}


def _latency(ran: Sequence[_Part]) -> dict[str, float]:
    return {
        "step_ns": _mean(ran, [float(part.costs.timed.steps.mean()) for part in ran]),
        "window_ns": _mean(ran, [float(part.costs.timed.windows.mean()) for part in ran]),
        "longest_window_ns": max(float(part.costs.timed.windows.max()) for part in ran),
    }


def _energy(ran: Sequence[_Part]) -> dict[str, Any]:
    """Joules, or the prices that were never published; every part lacks the same ones."""
    records = [part.costs.energy.record() for part in ran]
    refused, static = records[0]["refused_for"], records[0]["static"]["joules"]
    return {
        "dynamic_joules": None if refused else _mean(ran, [record["dynamic_joules"] for record in records]),
        "refused_for": refused,
        "static_joules": None
        if static is None
        else _mean(ran, [record["static"]["joules"] for record in records]),
    }


def _mean(ran: Sequence[_Part], figures: Sequence[float]) -> float:
    """The mean over all samples of a figure that each part has as a mean over its own."""
    samples = [part.costs.samples for part in ran]
    return sum(figure * of for figure, of in zip(figures, samples, strict=True)) / sum(samples)
