"""How the engine's time grows, one size at a time, and how well the work explains it.

Each sweep changes one size of a layer of 512 -> 512 neurons, all to all, over 16 samples x 100 steps with 5 %
input spikes. Work is what events ask for: spikes times fan-out, the weights that are added. A straight line
through time against work says what one weight costs, and r^2 which share of the differences it explains.
Products of tiles take the same time whatever the density, so that there the line explains nothing: where a
processor has them, the engine is also swept event by event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from avnir.speed.programs import INPUT_DENSITY, Case, dense_layers
from avnir.speed.turns import Spread

WIDTH = 512
SAMPLES = 16
STEPS = 100
SYNAPSES = WIDTH * WIDTH
HEAD = ("", "weights added a run", "a run", "a step of a sample", "ns a weight")


def _case(
    inputs: int = WIDTH,
    neurons: int = WIDTH,
    samples: int = SAMPLES,
    steps: int = STEPS,
    density: float = INPUT_DENSITY,
) -> Case:
    layers = dense_layers((inputs, neurons), density)
    return Case("sweep", f"{inputs}-{neurons}", (inputs,), layers, samples, steps, density)


SWEEPS: Mapping[str, tuple[Callable[[Any], Case], Sequence[float]]] = {
    "density": (lambda share: _case(density=share), (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)),
    "batch": (lambda samples: _case(samples=samples), (1, 2, 4, 8, 16, 32, 64, 128, 256)),
    "steps": (lambda steps: _case(steps=steps), (10, 20, 50, 100, 200, 500, 1000)),
    "neurons": (
        lambda neurons: _case(inputs=SYNAPSES // neurons, neurons=neurons),
        (64, 128, 256, 512, 1024, 2048, 4096),
    ),
    "synapses": (lambda inputs: _case(inputs=inputs), (64, 128, 256, 512, 1024, 2048, 4096)),
}
"""By name what makes a program of a size, and the sizes. `neurons` keeps the number of synapses, `synapses`
that of the neurons: its sizes are the inputs of each."""


@dataclass(frozen=True)
class Point:
    """One size: weights added and seconds of a run, steps of samples in it."""

    size: float
    work: int
    seconds: Spread
    sample_steps: int

    def record(self) -> dict[str, Any]:
        return {
            "size": self.size,
            "weights_added": self.work,
            "seconds": self.seconds.record(),
            "sample_steps": self.sample_steps,
        }


@dataclass(frozen=True)
class Sweep:
    """All sizes, and the line `seconds = offset + slope * work` nearest to their medians."""

    name: str
    points: tuple[Point, ...]
    slope: float
    offset: float
    r_squared: float

    def record(self) -> dict[str, Any]:
        return {
            "sweep": self.name,
            "points": [point.record() for point in self.points],
            "seconds_per_weight": self.slope,
            "seconds_at_none": self.offset,
            "r_squared": self.r_squared,
        }

    @property
    def summary(self) -> str:
        """The line, in words."""
        return (
            f"{self.name}: {self.slope * 1e9:.4f} ns a weight and {self.offset * 1e3:.3f} ms a run; "
            f"r^2 = {self.r_squared:.4f}"
        )


def cases(name: str) -> list[tuple[float, Case]]:
    """The sizes of a sweep and the program of each."""
    make, sizes = SWEEPS[name]
    return [(size, make(size)) for size in sizes]


def work_of(case: Case) -> int:
    """Weights that the input's spikes ask for: spikes times fan-out."""
    return int(case.spikes.sum()) * len(case.layers[0].weight)


def point(size: float, case: Case, seconds: Spread) -> Point:
    """A size, from the seconds of a step of a sample."""
    made = case.batch * case.steps
    run = Spread(seconds.median * made, seconds.low * made, seconds.high * made)
    return Point(size, work_of(case), run, made)


def fitted(name: str, points: Sequence[Point]) -> Sweep:
    """The sweep with its line of least squares."""
    work = np.array([point.work for point in points], np.float64)
    seconds = np.array([point.seconds.median for point in points])
    slope, offset = np.polyfit(work, seconds, 1)
    left = seconds - (offset + slope * work)
    r_squared = 1 - float(left @ left) / float(((seconds - seconds.mean()) ** 2).sum())
    return Sweep(name, tuple(points), float(slope), float(offset), r_squared)


def rows(sweep: Sweep) -> list[tuple[str, ...]]:
    """A row for each size, as `HEAD`."""
    return [
        (
            f"{point.size:g}",
            f"{point.work:,}",
            f"{point.seconds.median * 1e3:.3f} ms",
            f"{point.seconds.median / point.sample_steps * 1e6:.3f} us",
            f"{point.seconds.median / point.work * 1e9:.3f}",
        )
        for point in sweep.points
    ]
