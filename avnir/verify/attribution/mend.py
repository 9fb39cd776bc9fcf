"""What gives a deployment lost spikes back: more bits here, other integers there, chosen by the spikes.

Changes are tried one after the other, each on top of those that were taken:

- wider weights into one layer, 8 bits or as many as the cores allow; layers whose weights lose most first,
- all layers' integers chosen by the spikes that they give (`avnir.rounding.calibrate`): channels' scales,
  weights by feedback, biases centred again, thresholds one step off,
- of one layer all thresholds a step lower or higher (one lower, what met it exactly spikes), or all decays
  1/4096 off (`avnir.passes.nudge`): the layers in which most slots differ first.

A change is taken if on the choosing samples, every other one, it wins back at least LEAST of the slots that
were lost at first, and the cores stay within the limit. The other samples, by which nothing was chosen, judge
what came of it: nothing is mended if no more slots are equal there, or if more samples are decided unlike the
model and chance does not explain it (`avnir.verify.attribution.judged`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from avnir.compile import Compiled, with_choices
from avnir.errors import DataError, LimitError
from avnir.program import Program
from avnir.rounding.layer_choice import Choices, LayerChoice
from avnir.verify.attribution.attribute import Attribution
from avnir.verify.attribution.judged import Judged, Samples
from avnir.verify.attribution.loss import Loss
from avnir.verify.attribution.mixed_layer import WEIGHTS

LEAST = 0.01
"""Of the slots lost at first: what a change must win back."""
WIDEST = 8
"""Bits of a weight, sign included."""
LAYERS = 8
"""So many layers at most are tried for each sort of change."""
WIDTH, INTEGERS, STEP = "width", "integers", "step"
ANEW = "all layers: data-free integers"
CALIBRATED = "all layers: integers chosen by their spikes"
MOVES = {"threshold": "thresholds {:+} step", "decay": "decays {:+} of 4096"}
"""What a STEP moves of a layer (`avnir.rounding.layer_choice.LayerChoice`), in words."""

Compile = Callable[[Choices, bool], Compiled]
"""The program with these choices for its layers, data-free or calibrated."""


@dataclass(frozen=True)
class Tried:
    """A change on top of those taken before: slots that the choosing samples lose with it, and its cores.

    Both are None where the chip cannot hold it. `sort` is WIDTH, INTEGERS or STEP.
    """

    sort: str
    change: str
    slots: int | None
    cores: int | None
    taken: bool


@dataclass(frozen=True)
class Mending:
    """Every change that was `tried`, of at most `max_cores`; `before` and `after` are by the judging samples.

    `accuracy` is the model's on these, None without labels.
    `compiled` is the mended deployment, None where that is no better. `slots` are those of each layer in the
    judging samples, `first` what the choosing ones lost before.
    """

    tried: tuple[Tried, ...]
    first: int
    max_cores: int
    accuracy: float | None
    slots: Mapping[str, int]
    before: Judged
    after: Judged
    compiled: Compiled | None

    def record(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "tried": [vars(tried) for tried in self.tried],
            "lost_at_first": self.first,
            "max_cores": self.max_cores,
            "model_accuracy": self.accuracy,
            "layer_slots": dict(self.slots),
            "before": self.before.record(),
            "after": self.after.record(),
            "mended": self.compiled is not None,
            "program": None if self.compiled is None else self.compiled.program.digest,
        }


def weight_bits(program: Program) -> int:
    """The width of its weights, sign included; WIDEST where it does not say."""
    return int(program.provenance.get("weight_bits", WIDEST))


def halves(batch: int) -> tuple[slice, slice]:
    """Samples by which changes are chosen, and those that judge; DataError where there is only one."""
    if batch < 2:
        raise DataError("one sample cannot choose changes and judge them; give at least two (--samples)")
    return slice(0, None, 2), slice(1, None, 2)


def mend(
    compiled: Compiled,
    causes: Attribution,
    choosing: Samples,
    judging: Samples,
    make: Compile,
    max_cores: int,
) -> Mending:
    """Look for changes to a deployment, of which `causes` says where its losses come from.

    `make` compiles it with choices, calibrated on the choosing samples or not; at most `max_cores` cores.
    """
    before = judging.judged(compiled)
    search = _Search(compiled, choosing, make, max_cores)
    search.anew()
    search.widen(causes)
    search.calibrate()
    search.nudge()
    after = judging.judged(search.compiled)
    better = after.lost.slots < before.lost.slots and not after.surely_worse(before)
    slots = {name: array.size for name, array in judging.measure.wanted.spikes.items()}
    found = search.compiled if better else None
    return Mending(
        tuple(search.tried), search.first, max_cores, judging.accuracy, slots, before, after, found
    )


class _Search:
    """The deployment as it is mended so far; `choices` and `calibrated` make it."""

    def __init__(self, compiled: Compiled, samples: Samples, make: Compile, max_cores: int) -> None:
        self.compiled, self.samples, self.make, self.max_cores = compiled, samples, make, max_cores
        self.choices: dict[str, LayerChoice] = {}
        self.now = samples.judged(compiled)
        self.first = self.now.lost.slots
        self.tried: list[Tried] = []

    def anew(self) -> None:
        """Begin with data-free integers, whether they lose more or not, where these are others."""
        plain = self.make({}, False)
        if plain.program.digest != self.compiled.program.digest:
            self.compiled, self.now = plain, self.samples.judged(plain)
            self.tried.append(Tried(INTEGERS, ANEW, self.now.lost.slots, plain.placement.cores, True))

    def widen(self, causes: Attribution) -> None:
        """More bits for the weights of single layers."""
        bits = weight_bits(self.compiled.program)
        costly = [c.layer for c in causes.costliest if c.alone.get(WEIGHTS, Loss()).slots > 0]
        for layer in [name for name in costly if self._spikes(name)][:LAYERS]:
            for wider in range(WIDEST, bits, -1):
                choices = {**self.choices, layer: LayerChoice(weight_bits=wider)}
                change = f"{layer}: weights of {wider} instead of {bits} bits"
                if self._offer(WIDTH, change, choices, lambda c: self.make(c, False)) is not None:
                    break

    def calibrate(self) -> None:
        """The integers of all layers by their spikes on the choosing samples."""
        self._offer(INTEGERS, CALIBRATED, self.choices, lambda c: self.make(c, True))

    def nudge(self) -> None:
        """Thresholds and decays of single layers."""
        base, differ = self.compiled, self.now.differ
        layers = [name for name in sorted(differ, key=lambda name: -differ[name]) if self._spikes(name)]
        for layer, (moved, words), step in product(layers[:LAYERS], MOVES.items(), (-1, 1)):
            choice = replace(self.choices.get(layer, LayerChoice()), **{moved: step})
            change = f"{layer}: {words.format(step)}"
            self._offer(STEP, change, {**self.choices, layer: choice}, lambda c: with_choices(base, c))

    def _spikes(self, layer: str) -> bool:
        """Whether it is a layer that can be chosen for: all but those that lowering does away with."""
        node = self.compiled.program.graph.by_name.get(layer)
        return node is not None and node.op.kind == "Lif"

    def _offer(
        self, sort: str, change: str, choices: Choices, make: Callable[[Choices], Compiled]
    ) -> bool | None:
        """Try a change and take it if it wins enough; None where it needs more cores than there are."""
        try:
            compiled = make(choices)
        except LimitError:
            self.tried.append(Tried(sort, change, None, None, False))
            return None
        cores = compiled.placement.cores
        if cores > self.max_cores:
            self.tried.append(Tried(sort, change, None, cores, False))
            return None
        found = self.samples.judged(compiled)
        won = self.now.lost.slots - found.lost.slots
        taken = won > 0 and won >= LEAST * self.first
        self.tried.append(Tried(sort, change, found.lost.slots, cores, taken))
        if taken:
            self.compiled, self.choices, self.now = compiled, dict(choices), found
        return taken
