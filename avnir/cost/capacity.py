"""Whether a program can fit a target at all, from sums over its layers.

These are lower bounds: any placement needs at least this much.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from avnir.errors import Finding, LimitError
from avnir.program import Program
from avnir.target import Limit, Target


@dataclass(frozen=True)
class Demand:
    """What a whole program asks for; `cores` is the least number that any placement needs."""

    neurons: int
    synapses: int
    synaptic_words: int
    cores: int


def demand(program: Program, target: Target) -> Demand:
    """Sums over the program and the lower bound on cores that follows from them."""
    graph = program.graph
    neurons = sum(math.prod(graph.shapes[node.name]) for node in graph.neurons)
    connections = graph.select(lambda op: op.connection)  # type: ignore[attr-defined]
    bits = target.limits.weight_bits.value
    words = sum(node.op.synaptic_words(bits) for node in connections)  # type: ignore[attr-defined]
    synapses = sum(node.op.weight.size for node in connections)  # type: ignore[attr-defined]
    limits = target.limits
    cores = max(
        math.ceil(neurons / limits.neurons_per_core.value),
        math.ceil(words / limits.synaptic_words_per_core.value),
        1,
    )
    return Demand(neurons, synapses, words, cores)


def check(program: Program, target: Target) -> Demand:
    """The demand, if every limit of the target is kept; LimitError with all that are not."""
    asked = demand(program, target)
    findings = list(_findings(program, target, asked))
    if findings:
        raise LimitError(f"the program does not fit {target.title}", findings)
    return asked


def _findings(program: Program, target: Target, asked: Demand) -> Iterator[Finding]:
    limits = target.limits
    for node in program.graph:
        place = node.source or node.name
        for name, value in node.op.needs().items():  # type: ignore[attr-defined]
            limit: Limit = getattr(limits, name)
            if value > limit.value:
                excess = f"{value}, more than the limit of {limit.value} ({limit.source})"
                problem = f"{name.replace('_', ' ')}: {excess}"
                yield Finding(place, problem, "Reduce it, or choose another target.")
    for node in program.graph.neurons:
        if not (node.op.native or target.programmable):  # type: ignore[attr-defined]
            yield Finding(
                node.source or node.name,
                f"the reset {node.op.reset!r} is not the chip's, whose fixed neuron resets to zero",  # type: ignore[attr-defined]
                'Train with reset_mechanism="zero", reset_delay=False, or choose a programmable target.',
            )
    if asked.cores > limits.cores.value:
        yield Finding(
            "the whole program",
            f"needs at least {asked.cores} cores ({asked.neurons} neurons, {asked.synaptic_words} words of "
            f"synaptic memory), but a chip has {limits.cores.value} ({limits.cores.source})",
            "Use fewer channels, or smaller inputs.",
        )
