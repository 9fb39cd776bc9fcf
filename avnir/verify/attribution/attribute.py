"""Which approximation of the chip costs which spikes, and which decisions.

Each kind is switched on alone in the otherwise real network, and off alone in the otherwise integer one
(`mixed`). What a run loses is counted against the traced graph in float64: spike slots (neuron x step x
sample) that differ, and decisions. The losses add up by definition:

    lost together = what lowering loses + sum over kinds (lost with it alone) + interaction + what delays lose

Lowering turns the traced graph into layers and synapses (folding, pooling as OR neurons, paths merged): its
loss is that of the merged graph in float64. Delays lose what the chip's own run, in which a connection takes
a step, loses beyond all kinds together on the model's time base. Both are nothing in what avnir compiles, and
measured nevertheless. The interaction is what remains: a slot that two kinds change counts once, and one kind
may make up for another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from avnir.ir.graph import Graph
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array
from avnir.passes.merge_synapses import MergeSynapses
from avnir.program import Program
from avnir.trace import Trace
from avnir.verify.attribution.loss import Loss, Measure
from avnir.verify.attribution.mixed import Mixed, Switches
from avnir.verify.attribution.mixed_layer import (
    BIAS,
    DECAY,
    KINDS,
    MESSAGES,
    OVERFLOW,
    RESET,
    STATES,
    THRESHOLD,
    WEIGHTS,
)

LEAST = 0.005
"""Of all lost slots: what a kind that changes no decision must lose to be looked for in single layers."""
LOWERING, DELAYS, COMPARISON = "pooling and folding", "delays", "comparison"
"""Approximations that are no switches of a layer."""
EXACT: Mapping[str, str] = {
    WEIGHTS: "every weight is a whole number of steps",
    THRESHOLD: "every threshold is a whole number of steps",
    BIAS: "every bias is a whole number of steps, or there is none",
    DECAY: "every decay is a multiple of 1/4096",
    STATES: "no decay leaves a fraction of a step",
    RESET: "the chip resets as the model does",
    MESSAGES: "no layer sends numbers",
}
"""Why a kind that rounds nothing loses nothing."""
UNTOUCHED: Mapping[str, str] = {
    OVERFLOW: "no register reached its end",
    LOWERING: "the lowered network gives the spikes of the traced one",
    DELAYS: "every spike arrives in the step in which it does in the model",
}
"""Why a kind that lost nothing in the runs did not, where it is not by chance."""


@dataclass(frozen=True)
class Cause:
    """One kind of approximation: what it loses alone, and what is won where it alone is switched off.

    `exact` says why it loses nothing; empty where it loses something, or only by chance nothing.
    """

    kind: str
    alone: Loss
    off: Loss
    exact: str = ""


@dataclass(frozen=True)
class LayerCause:
    """One layer: its `slots` and how many of them differ in the deployment.

    `alone` says by kind what the whole network loses if that is on in this layer alone.
    """

    layer: str
    slots: int
    differ: int
    alone: Mapping[str, Loss] = field(default_factory=dict)


@dataclass(frozen=True)
class Attribution:
    """The losses of a deployment over `samples` x `steps`, of `slots` in all, and where they come from."""

    samples: int
    steps: int
    slots: int
    lost: Loss
    causes: tuple[Cause, ...]
    layers: tuple[LayerCause, ...]

    @property
    def interaction(self) -> Loss:
        """What is lost together beyond the sum of all alone; below 0 where they overlap."""
        left = self.lost
        for cause in self.causes:
            left = left - cause.alone
        return left

    def share(self, loss: Loss) -> float:
        """The slots of a loss as a share of all that are lost; 0 where none is."""
        return loss.slots / self.lost.slots if self.lost.slots else 0.0

    @property
    def costliest(self) -> tuple[LayerCause, ...]:
        """The layers, those first that alone lose most of the network's slots."""
        return tuple(sorted(self.layers, key=lambda layer: -_largest(layer)))

    def record(self) -> dict[str, Any]:
        """The same as plain values, for JSON and the report."""
        return {
            "samples": self.samples,
            "steps": self.steps,
            "slots": self.slots,
            "lost": self.lost.record(),
            "causes": [
                {
                    "kind": cause.kind,
                    "alone": {**cause.alone.record(), "share": self.share(cause.alone)},
                    "off": {**cause.off.record(), "share": self.share(cause.off)},
                    "exact": cause.exact,
                }
                for cause in self.causes
            ],
            "interaction": {**self.interaction.record(), "share": self.share(self.interaction)},
            "layers": [
                {
                    "layer": layer.layer,
                    "slots": layer.slots,
                    "differ": layer.differ,
                    "alone": {kind: loss.record() for kind, loss in layer.alone.items()},
                }
                for layer in self.layers
            ],
        }


def _largest(layer: LayerCause) -> int:
    return max((loss.slots for loss in layer.alone.values()), default=0)


def attribute(
    graph: Graph,
    nir_graph: Graph,
    program: Program,
    inputs: Mapping[str, Array],
    run: Trace,
    labels: Array | None = None,
) -> Attribution:
    """Where the losses of `program` come from, over `inputs` `[T, B, *shape]`.

    `graph` is the traced one, `nir_graph` the same as NIR holds it (`avnir.compile.Compiled`); `run` is what
    a backend made of the inputs; `labels`, int `[B]`. Raises DataError where the program is not one of this
    network or the inputs do not fit.
    """
    merged, _ = MergeSynapses()(nir_graph)
    mixed = Mixed.of(merged, program.graph, inputs)
    measure = Measure(interpret_real(graph, mixed.inputs), program.decision, labels)
    runs = _Runs(mixed, measure)
    total = measure(run, mixed.units(mixed.everywhere))
    causes = tuple(runs.causes(total))
    steps, samples = next(iter(mixed.inputs.values())).shape[:2]
    slots = {name: array.size for name, array in measure.wanted.spikes.items()}
    differ = measure.by_layer(run)
    least = max(1, LEAST * total.slots)
    found = [
        cause.kind
        for cause in causes
        if max(abs(cause.alone.slots), abs(cause.off.slots)) >= least or cause.alone.decisions
    ]
    layers = tuple(
        LayerCause(name, slots.get(name, 0), differ.get(name, 0), dict(runs.by_kind(name, found)))
        for name in mixed.layers
    )
    return Attribution(samples, steps, sum(slots.values()), total, causes, layers)


@dataclass(frozen=True)
class _Runs:
    """Runs of a mixed network, each with what it loses."""

    mixed: Mixed
    measure: Measure

    def lost(self, on: Switches) -> Loss:
        return self.measure(self.mixed.run(on), self.mixed.units(on))

    @cached_property
    def lowered(self) -> Loss:
        """With nothing on."""
        return self.lost({})

    @cached_property
    def together(self) -> Loss:
        """With everything on."""
        return self.lost(self.mixed.everywhere)

    def causes(self, total: Loss) -> Iterator[Cause]:
        """Every kind; `total` is what the chip's own run loses."""
        for kind in KINDS:
            yield self._cause(kind)
        yield _between(LOWERING, self.lowered)
        yield _between(DELAYS, total - self.together)
        both = (self.mixed.run(on) for on in (self.mixed.everywhere, self.mixed.at_threshold))
        met = sum(self.measure.by_layer(*both).values())
        nothing = self.lowered - self.lowered
        yield Cause(
            COMPARISON,
            nothing,
            nothing,
            f"both fire above the threshold only (>); with >= {met} slots would change",
        )

    def by_kind(self, layer: str, kinds: Iterable[str]) -> Iterator[tuple[str, Loss]]:
        """What each of the kinds loses that changes anything in a layer, on there alone."""
        for kind in kinds:
            if kind in self.mixed.layers[layer].kinds:
                yield kind, self.lost({layer: frozenset({kind})}) - self.lowered

    def _cause(self, kind: str) -> Cause:
        layers = self.mixed.layers.values()
        if kind in EXACT and not any(kind in layer.kinds for layer in layers):
            nothing = self.lowered - self.lowered
            return Cause(kind, nothing, nothing, EXACT[kind])
        alone = self.lost(self.mixed.alone(kind)) - self.lowered
        off = self.together - self.lost(self.mixed.without(kind))
        untouched = kind == OVERFLOW and alone.nothing and off.nothing
        return Cause(kind, alone, off, UNTOUCHED[kind] if untouched else "")


def _between(kind: str, loss: Loss) -> Cause:
    """What lies between the levels: on or off as a whole."""
    return Cause(kind, loss, loss, UNTOUCHED[kind] if loss.nothing else "")
