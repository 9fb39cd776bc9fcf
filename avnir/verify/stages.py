"""The verdict on a deployment: which stages must be equal, and how far integers are from the model.

- model = graph, snnTorch = graph, ONNX Runtime = graph: the export changed nothing. Every spike, or it
  fails.
- integers = CPU engine = Lava: the backends do the chip's arithmetic. Every spike, or it fails.
- snnTorch ~ integers: what quantisation costs. Agreement per layer, accuracy of both.

The first line compares float32 with float64. A sample in which a potential meets its threshold to
within float32's rounding, by a proven bound (`ties`), says nothing about the export: it is counted,
named, and left out of that line alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from avnir.decision import Decision
from avnir.errors import GateError
from avnir.ir.operation import Array
from avnir.trace import Trace
from avnir.verify.compare import Comparison, compare

MODEL, REFERENCE, GRAPH, INTEGER = "model", "snntorch", "graph", "integer"
"""The original model's recorded spikes; the graph in snnTorch, in float64, and in integers."""


@dataclass(frozen=True)
class Verification:
    """All comparisons of one run; `accuracy[stage]` in [0, 1] where labels were given.

    `ties` are the samples left out of the comparisons with the graph.
    """

    exact: tuple[Comparison, ...]
    quantisation: Comparison
    accuracy: Mapping[str, float] = field(default_factory=dict)
    samples: int = 0
    steps: int = 0
    ties: tuple[int, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether every pair of stages that must be equal is."""
        return all(comparison.identical for comparison in self.exact)

    def record(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        return {
            "equal": self.equal,
            "samples": self.samples,
            "steps": self.steps,
            "rounding_ties": list(self.ties),
            "exact": [_record(comparison) for comparison in self.exact],
            "quantisation": _record(self.quantisation),
            "accuracy": dict(self.accuracy),
        }

    @property
    def undecided(self) -> str | None:
        """Why nothing could be compared with the graph, or None."""
        if len(self.ties) < self.samples:
            return None
        return "in every sample float32's rounding decides a spike, nothing could be compared"

    def gate(self) -> None:
        """Raise GateError naming every pair of stages that must be equal and is not."""
        problems = [
            f"{c.second} differs from {c.first}, first at {c.divergence or 'the outputs'}"
            for c in self.exact
            if not c.identical
        ]
        if self.undecided:
            problems.append(self.undecided)
        if problems:
            raise GateError("verification failed: " + "; ".join(problems))


@dataclass(frozen=True)
class Stages:
    """The traces of one run over the same inputs.

    `floats` are the float32 runs by name: MODEL, the original model's own, where the inputs are its
    examples; REFERENCE, where a snnTorch model stands behind the graph; other frameworks.
    """

    graph: Trace
    integer: Trace
    backends: Mapping[str, Trace]
    floats: Mapping[str, Trace] = field(default_factory=dict)


def judge(
    stages: Stages,
    labels: Array | None = None,
    ties: tuple[int, ...] = (),
    decision: Decision | None = None,
    units: Mapping[str, float] | None = None,
) -> Verification:
    """Compare all stages; `labels` int `[B]`, `ties` as `avnir.verify.ties.tie_samples` finds them.

    What quantisation costs is measured against snnTorch, or against the graph where there is none. `decision`
    reads the classes, of the integers with the `units` of their outputs (`avnir.decision.output_units`).
    """
    steps, samples = next(iter(stages.graph.outputs.values())).shape[:2]
    clear = [sample for sample in range(samples) if sample not in ties]
    graph = stages.graph.samples(clear)
    exact = [compare(trace.samples(clear), graph, (name, GRAPH)) for name, trace in stages.floats.items()]
    exact += [compare(stages.integer, trace, (INTEGER, name)) for name, trace in stages.backends.items()]
    unquantised = REFERENCE if REFERENCE in stages.floats else GRAPH
    traces = {**stages.floats, GRAPH: stages.graph, INTEGER: stages.integer, **stages.backends}
    quantisation = compare(traces[unquantised], stages.integer, (unquantised, INTEGER))
    accuracy = {} if labels is None else _accuracies(stages, labels, decision or Decision(), units or {})
    return Verification(tuple(exact), quantisation, accuracy, samples, steps, ties)


def _accuracies(
    stages: Stages, labels: Array, decision: Decision, units: Mapping[str, float]
) -> dict[str, float]:
    """The share of samples that each stage decides as they are labelled."""
    reals = {**stages.floats, GRAPH: stages.graph}
    integers = {INTEGER: stages.integer, **stages.backends}
    found = {name: decision.classes(trace) for name, trace in reals.items()}
    found |= {name: decision.classes(trace, units) for name, trace in integers.items()}
    return {name: float(np.mean(classes == labels)) for name, classes in found.items()}


def _record(comparison: Comparison) -> dict[str, Any]:
    return {
        "first": comparison.first,
        "second": comparison.second,
        "identical": comparison.identical,
        "agreement": comparison.agreement,
        "divergence": None if comparison.divergence is None else str(comparison.divergence),
        "layers": [_layer_record(comparison, index) for index in range(len(comparison.layers))],
    }


def _layer_record(comparison: Comparison, index: int) -> dict[str, Any]:
    layer = comparison.layers[index]
    return {
        "layer": layer.layer,
        "slots": layer.slots,
        "equal": layer.equal,
        "agreement": layer.agreement,
        "spikes": {comparison.first: layer.first_spikes, comparison.second: layer.second_spikes},
    }


def layer_table(verification: Verification) -> Sequence[tuple[str, ...]]:
    """One row per layer: its name, each exact comparison, the quantisation agreement, spikes of both."""
    rows = []
    for layer in verification.quantisation.layers:
        exact = [_share(comparison, layer.layer) for comparison in verification.exact]
        spikes = (str(layer.first_spikes), str(layer.second_spikes))
        rows.append((layer.layer, *exact, f"{100 * layer.agreement:.3f} %", *spikes))
    return rows


def _share(comparison: Comparison, name: str) -> str:
    """Percent, cut rather than rounded, so that 100 means all."""
    for layer in comparison.layers:
        if layer.layer == name:
            return f"{np.floor(1e5 * layer.agreement) / 1e3:g} %"
    return "-"


def divergence_table(verification: Verification) -> Sequence[tuple[str, ...]]:
    """One row per comparison that must be exact and is not: where it first differs.

    Columns: which stages, layer, neuron, step, sample, what the first and what the second sent.
    """
    return [_difference(comparison) for comparison in verification.exact if not comparison.identical]


def _difference(comparison: Comparison) -> tuple[str, ...]:
    name, where = f"{comparison.first} = {comparison.second}", comparison.divergence
    if where is None:
        return name, "outputs alone", *["-"] * 5
    neuron = ", ".join(map(str, where.neuron))
    return name, where.layer, neuron, *map(str, (where.step, where.sample, where.first, where.second))
