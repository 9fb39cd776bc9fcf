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
from avnir.verify.compare import Comparison, Layers, added, agreements, same_outputs

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
    judging = Judging()
    judging.add(stages, ties)
    return judging.verification(labels, decision, units)


_Outputs = Mapping[str, Array]


@dataclass
class Judging:
    """Compares all stages, some samples after others; of spikes it keeps how many are equal, no trace.

    `ties` are numbers among all samples. For each time that samples were added, `layers` has how the two
    stages of those names agree, `reals` and `integers` what each stage put out.
    """

    samples: int = 0
    steps: int = 0
    ties: list[int] = field(default_factory=list)
    layers: dict[tuple[str, str], list[Layers]] = field(default_factory=dict)
    reals: dict[str, list[_Outputs]] = field(default_factory=dict)
    integers: dict[str, list[_Outputs]] = field(default_factory=dict)

    def add(self, stages: Stages, ties: Sequence[int] = ()) -> None:
        """Compare the samples that follow those before; `ties` count from the first of them."""
        self.steps, batch = next(iter(stages.graph.outputs.values())).shape[:2]
        numbers = range(self.samples, self.samples + batch)
        clear = [sample for sample in range(batch) if sample not in ties]
        reals = {**stages.floats, GRAPH: stages.graph}
        graph, named = _only(stages.graph, clear), [numbers[sample] for sample in clear]
        for name, trace in stages.floats.items():
            self._compare(_only(trace, clear), graph, (name, GRAPH), named)
        for name, trace in stages.backends.items():
            self._compare(stages.integer, trace, (INTEGER, name), numbers)
        unquantised = REFERENCE if REFERENCE in reals else GRAPH
        self._compare(reals[unquantised], stages.integer, (unquantised, INTEGER), numbers)
        _keep(reals, self.reals)
        _keep({INTEGER: stages.integer, **stages.backends}, self.integers)
        self.ties += [numbers[sample] for sample in ties]
        self.samples += batch

    def _compare(self, first: Trace, second: Trace, names: tuple[str, str], samples: Sequence[int]) -> None:
        self.layers.setdefault(names, []).append(agreements(first, second, names, samples))

    def verification(
        self,
        labels: Array | None = None,
        decision: Decision | None = None,
        units: Mapping[str, float] | None = None,
    ) -> Verification:
        """What `judge` says of all samples together."""
        reals, integers = _joined(self.reals), _joined(self.integers)
        clear = [sample for sample in range(self.samples) if sample not in self.ties]
        of_clear = {name: {n: a[:, clear] for n, a in outputs.items()} for name, outputs in reals.items()}
        *exact, quantisation = (
            Comparison(*names, added(parts), same_outputs(*(outputs[name] for name in names)))
            for names, parts in self.layers.items()
            for outputs in (of_clear if names[1] == GRAPH else {**reals, **integers},)
        )
        accuracy = {} if labels is None else _accuracies(reals, integers, labels, decision, units)
        return Verification(tuple(exact), quantisation, accuracy, self.samples, self.steps, tuple(self.ties))


def _only(trace: Trace, samples: Sequence[int]) -> Trace:
    """The samples of a trace alone; itself if that is all of them."""
    batch = next(iter(trace.outputs.values())).shape[1]
    return trace if len(samples) == batch else trace.samples(samples)


def _keep(traces: Mapping[str, Trace], outputs: dict[str, list[_Outputs]]) -> None:
    for name, trace in traces.items():
        outputs.setdefault(name, []).append(trace.outputs)


def _joined(parts: Mapping[str, Sequence[_Outputs]]) -> dict[str, _Outputs]:
    """The outputs of each stage over all samples, `[T, B, *shape]`."""
    return {
        stage: {name: np.concatenate([outputs[name] for outputs in listed], axis=1) for name in listed[0]}
        for stage, listed in parts.items()
    }


def _accuracies(
    reals: Mapping[str, _Outputs],
    integers: Mapping[str, _Outputs],
    labels: Array,
    decision: Decision | None,
    units: Mapping[str, float] | None,
) -> dict[str, float]:
    """The share of samples that each stage decides as they are labelled."""
    decided = decision or Decision()
    found = {name: decided.classes(Trace({}, outputs)) for name, outputs in reals.items()}
    found |= {name: decided.classes(Trace({}, outputs), units) for name, outputs in integers.items()}
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
