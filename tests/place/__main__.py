"""`python -m tests.place`: cores beside the published tables, and seconds for a million neurons.

The published figures are from lava-dl's netx tutorials; their compiler cuts widths at powers of two and puts
no two layers on a core. PilotNet's input layer (13 of its 74 cores) is left out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from avnir import target
from avnir.cost.latency import latency, summary
from avnir.place import Placement, place
from avnir.program import Program
from avnir.trace import Trace
from tests.place.networks import AROUND, HALF, Conv, Dense, chain, oxford, pilotnet, yolo_kp

PUBLISHED: tuple[tuple[str, Callable[[], Program], int], ...] = (
    ("Oxford", oxford, 5),
    ("PilotNet", pilotnet, 61),
    ("YOLO-KP", yolo_kp, 574),
)
STEPS = 4
T = TypeVar("T")


def million() -> Program:
    """1,073,930 neurons: five convolutions and two dense layers, 8-bit weights."""
    return chain(
        (3, 192, 192),
        Conv(16, 8, padding=AROUND),
        Conv(32, 8, stride=HALF, padding=AROUND),
        Conv(64, 8, stride=HALF, padding=AROUND),
        Conv(64, 8, stride=HALF, padding=AROUND),
        Conv(32, 8, stride=HALF, padding=AROUND),
        Dense(256, 8),
        Dense(10, 8),
    )


def random_run(program: Program) -> tuple[dict[str, np.ndarray], Trace]:
    """Spikes as if every neuron fired in one step of ten: what is timed is the counting, not the network."""
    dice = np.random.default_rng(0)
    shapes = {node.name: program.graph.shapes[node.name] for node in program.graph.neurons}
    spikes = {
        name: (dice.random((STEPS, 1, *shape)) < 0.1).astype(np.uint8) for name, shape in shapes.items()
    }
    inputs = {
        n.name: np.ones((STEPS, 1, *program.graph.shapes[n.name]), np.uint8) for n in program.graph.inputs
    }
    return inputs, Trace(spikes, {})


def main() -> None:
    """Print two tables in Markdown."""
    chip = target.load("loihi2")
    print("| network | neurons | cores | published | bound | s |\n|---|---|---|---|---|---|")
    for name, make, published in (*PUBLISHED, ("a million", million, 0)):
        program = make()
        made, took = timed(lambda program=program: place(program, chip, chips=5))  # type: ignore[misc]
        bound = least(made, chip.limits.neurons_per_core.value, chip.limits.synaptic_words_per_core.value)
        print(f"| {name} | {made.neurons:,} | {made.cores} | {published or ''} | {bound} | {took:.2f} |")
    inputs, trace = random_run(program)
    found, took = timed(lambda: latency(program, made, chip, inputs, trace))
    print(f"\nlatency of {STEPS} steps of a million neurons, counted in {took:.2f} s\n\n| what | value |")
    print("|---|---|")
    for row in summary(found, made):
        print(f"| {row[0]} | {row[1]} |")


def least(made: Placement, neurons: int, words: int) -> int:
    """No placement with the synaptic words of this one takes fewer cores."""
    return max(math.ceil(made.neurons / neurons), math.ceil(made.synaptic_words / words))


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """The result and the seconds it took."""
    begin = time.perf_counter()
    return work(), time.perf_counter() - begin


if __name__ == "__main__":
    main()
