"""What changed between two programs: their layers, what they send over the same inputs, what that costs.

The program is compared node by node (`avnir.verify.changes`). Where both were run over the same inputs, every
spike is compared too (`avnir.verify.compare`), and costs and accuracy stand side by side. A figure that one
of the two refuses, as a total with a price that was never published, is left empty, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from avnir.cost.energy import ledger
from avnir.cost.latency import latency
from avnir.cost.synops import count
from avnir.decision import output_units
from avnir.errors import TargetError
from avnir.ir.operation import Array
from avnir.place import Placement
from avnir.program import Program
from avnir.target import Target
from avnir.trace import Trace
from avnir.verify.changes import Change, changes, provenance
from avnir.verify.compare import Comparison, compare
from avnir.verify.growth import ACCURACY, CORES, ENERGY, LATENCY, SYNOPS, Figure

BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class Run:
    """A run of a program: what it sent, what that costs; `accuracy` in [0, 1], None without labels.

    `synops` a sample by convention; `latency` of a window, seconds, mean; `energy` of a sample, dynamic,
    joules. Of the last two, None where a price was never published; `refused` says which, by name.
    """

    trace: Trace
    synops: Mapping[str, float]
    accuracy: float | None
    latency: float | None
    energy: float | None
    refused: Mapping[str, str]

    @classmethod
    def of(
        cls,
        program: Program,
        placement: Placement,
        chip: Target,
        inputs: Mapping[str, Array],
        labels: Array | None,
        trace: Trace,
    ) -> Run:
        """What a run over `inputs`, integers `[T, B, *shape]`, costs that gave `trace`, with states.

        `labels` int `[B]`. Raises what `avnir.cost.latency.latency` raises, TargetError apart.
        """
        found = program.decision.classes(trace, output_units(program.graph))
        accuracy = None if labels is None else float(np.mean(found == labels))
        seconds, joules, refused = None, None, {}
        try:
            timed = latency(program, placement, chip, inputs, trace)
            seconds = float(timed.windows.mean()) * 1e-9
            joules = ledger(program, placement, chip, inputs, trace, timed).dynamic
        except TargetError as error:
            refused = {what: str(error) for what in (LATENCY, ENERGY)[seconds is not None :]}
        synops = count(program, inputs, trace).total
        return cls(trace, synops, accuracy, seconds, joules, refused)


@dataclass(frozen=True)
class Side:
    """One of the two: the program, its cores, and its run, None where there were no inputs."""

    name: str
    program: Program
    placement: Placement
    run: Run | None = None


@dataclass(frozen=True)
class Difference:
    """All that differs; `spikes` None where the two were not run or have no layer of equal shape in common.

    `unlike`: layers that cannot be compared, as only one has them or their shapes differ.
    """

    before: Side
    after: Side
    changes: tuple[Change, ...]
    provenance: tuple[tuple[str, str, str], ...]
    spikes: Comparison | None
    unlike: tuple[str, ...]
    figures: tuple[Figure, ...]

    @property
    def same_program(self) -> bool:
        """Whether the digests are equal, and so all integers."""
        return self.before.program.digest == self.after.program.digest

    def record(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "before": {"name": self.before.name, "program": self.before.program.digest},
            "after": {"name": self.after.name, "program": self.after.program.digest},
            "same_program": self.same_program,
            "changes": [vars(change) for change in self.changes],
            "provenance": {name: {BEFORE: one, AFTER: other} for name, one, other in self.provenance},
            "spikes": None if self.spikes is None else _spikes(self.spikes),
            "not_comparable": list(self.unlike),
            "figures": {figure.name: figure.record() for figure in self.figures},
        }


def difference(before: Side, after: Side) -> Difference:
    """Compare the programs, their placements and, where both were run over the same inputs, the runs."""
    spikes, unlike = _compared(before, after)
    return Difference(
        before,
        after,
        tuple(changes(before.program, after.program)),
        tuple(provenance(before.program, after.program)),
        spikes,
        unlike,
        tuple(_figures(before, after)),
    )


def _compared(before: Side, after: Side) -> tuple[Comparison | None, tuple[str, ...]]:
    if before.run is None or after.run is None:
        return None, ()
    one, other = before.run.trace.sent, after.run.trace.sent
    alike = [n for n in other if n in one and one[n].shape == other[n].shape]
    unlike = tuple(n for n in dict.fromkeys([*other, *one]) if n not in alike)
    if not alike:
        return None, unlike
    first, second = (Trace({n: sent[n] for n in alike}, {}) for sent in (one, other))
    return compare(first, second, (BEFORE, AFTER)), unlike


def _figures(before: Side, after: Side) -> Iterator[Figure]:
    yield Figure(CORES, before.placement.cores, after.placement.cores)
    yield Figure("neurons", before.placement.neurons, after.placement.neurons)
    yield Figure("synaptic words", before.placement.synaptic_words, after.placement.synaptic_words)
    yield Figure("chip steps to the first output", before.program.latency, after.program.latency)
    if before.run is None or after.run is None:
        return
    one, other = before.run, after.run
    yield Figure("spikes a sample", _sent(one.trace), _sent(other.trace))
    for convention, name in SYNOPS.items():
        yield Figure(name, one.synops[convention], other.synops[convention])
    yield Figure(LATENCY, one.latency, other.latency, " us", 1e6, _refused(LATENCY, one, other))
    yield Figure(ENERGY, one.energy, other.energy, " nJ", 1e9, _refused(ENERGY, one, other))
    if one.accuracy is not None and other.accuracy is not None:
        yield Figure(ACCURACY, one.accuracy, other.accuracy, " %", 100)


def _refused(what: str, *runs: Run) -> str | None:
    reasons = dict.fromkeys(run.refused[what] for run in runs if what in run.refused)
    return "; ".join(reasons) or None


def _sent(trace: Trace) -> float:
    """Spikes and messages of all layers, a sample."""
    samples = next(iter(trace.outputs.values())).shape[1]
    return sum(np.count_nonzero(array) for array in trace.sent.values()) / samples


def _spikes(found: Comparison) -> dict[str, Any]:
    return {
        "identical": found.identical,
        "agreement": found.agreement,
        "divergence": None if found.divergence is None else str(found.divergence),
        "layers": {
            layer.layer: {
                "agreement": layer.agreement,
                BEFORE: layer.first_spikes,
                AFTER: layer.second_spikes,
                "divergence": None if layer.divergence is None else str(layer.divergence),
            }
            for layer in found.layers
        },
    }
