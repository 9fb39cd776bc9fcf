"""Rasters: the spikes of a layer in the model and on the chip, side by side, differences marked.

The first picture, of the layer that agrees worst, is drawn when the page is written. The page's script draws
the others in the same way (`avnir.report.raster_data`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from avnir.ir.operation import Array, Shape
from avnir.report.deployment import Run
from avnir.report.figures import counted, whole
from avnir.report.raster_data import Pair, RasterData, raster_data

ROWS = 40
"""Neurons in one picture."""
ROW = 12
"""Pixels a neuron takes."""
STEPS = 400
"""Steps in the picture that needs no script."""
PANEL = 400
"""Pixels that the steps of one panel take, where there is room for a few for each."""
TITLE = 110
"""Pixels that the title of a panel may take, however few its steps are."""
NARROW, WIDE = 5, 26
"""Pixels of a step, at least and at most."""
TOP, LEFT, BETWEEN, RIGHT, BOTTOM = 20, 58, 28, 8, 34
"""Pixels around the panels, for titles and axes."""

BOTH, HERE, THERE, VALUE = "both", "here", "there", "value"
"""What is marked: spikes of both, of this run alone, of the other alone, and of both in other values."""


@dataclass(frozen=True)
class Panel:
    """One run's raster; `marks`: SVG paths by what they mark."""

    title: str
    left: int
    marks: Mapping[str, str]


@dataclass(frozen=True)
class Picture:
    """Both panels, in pixels.

    `rows`: height and label of each neuron; `ticks`: place and text of the steps, from a panel's left.
    """

    width: int
    height: int
    panel: int
    panels: tuple[Panel, ...]
    rows: tuple[tuple[int, str], ...]
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class RasterView:
    """The first picture, of one layer in one sample, and what else the page can draw."""

    layer: str
    sample: int
    summary: str
    picture: Picture
    data: RasterData


def raster_view(run: Run) -> RasterView:
    """The raster of the worst layer in the sample where it differs most, and the data of the others."""
    pair = Pair.of(run)
    layer = next(iter(pair.first))
    sample = int(pair.apart(layer).argmax())
    first, second = (spikes[layer][:, sample] for spikes in (pair.first, pair.second))
    differ = (first != second).reshape(len(first), -1)
    data = raster_data(pair, run.labels, sample)
    summary = (
        f"Layer {layer}, sample {sample}: {counted(int(differ.any(axis=0).sum()), 'neuron')} of "
        f"{whole(differ.shape[1])} differ in some step; {counted(int(differ.sum()), 'spike slot')} of "
        f"{whole(differ.size)} differ."
    )
    return RasterView(layer, sample, summary, picture(first, second, data.record["runs"]), data)


def picture(first: Array, second: Array, titles: tuple[str, str]) -> Picture:
    """The panels of two runs of one layer in one sample, `[T, *shape]`: the neurons that differ most."""
    shape = first.shape[1:]
    one, other = (spikes[:STEPS].reshape(len(spikes[:STEPS]), -1) for spikes in (first, second))
    chosen = _chosen(one, other)
    wide = cell_width(len(one))
    taken = max(wide * len(one), TITLE)
    lefts = (LEFT, LEFT + taken + BETWEEN)
    marks = (_marks(one, other, chosen, wide), _marks(other, one, chosen, wide))
    return Picture(
        lefts[1] + taken + RIGHT,
        TOP + ROW * len(chosen) + BOTTOM,
        wide * len(one),
        tuple(Panel(*panel) for panel in zip(titles, lefts, marks, strict=True)),
        tuple((TOP + ROW * i + 9, _label(int(neuron), shape)) for i, neuron in enumerate(chosen)),
        tuple(_ticks(len(one), wide)),
    )


def _chosen(one: Array, other: Array) -> Array:
    """The neurons that differ most, ascending; the most active ones where none does."""
    apart = (one != other).sum(axis=0)
    weight = apart if apart.any() else (one != 0).sum(axis=0)
    most = np.argsort(-weight, kind="stable")[:ROWS]
    return np.sort(most[weight[most] > 0] if weight.any() else most)


def cell_width(steps: int) -> int:
    """Pixels that a step takes."""
    return min(WIDE, max(NARROW, PANEL // steps))


def _ticks(steps: int, wide: int) -> Iterator[tuple[float, str]]:
    """Where steps are numbered: at least 30 pixels apart, by 1, 2, 5, 10, ..."""
    by = next(m * 10**p for p in range(9) for m in (1, 2, 5) if m * 10**p * wide >= 30)
    return ((wide * (step + 0.5), str(step)) for step in range(0, steps, by))


def _label(neuron: int, shape: Shape) -> str:
    """A neuron's place in its layer."""
    return ",".join(str(int(i)) for i in np.unravel_index(neuron, shape))


def _marks(here: Array, there: Array, chosen: Array, wide: int) -> dict[str, str]:
    """Paths of one panel; `here`, `there` `[T, neurons]`, what this run and the other send."""
    here, there = here[:, chosen], there[:, chosen]
    fired, other = here != 0, there != 0
    kinds = {
        BOTH: fired & (here == there),
        HERE: fired & ~other,
        THERE: other & ~fired,
        VALUE: fired & other & (here != there),
    }
    return {kind: _path(where, kind, wide) for kind, where in kinds.items() if where.any()}


def _path(where: Array, kind: str, wide: int) -> str:
    shape = _square(wide) if kind in (BOTH, VALUE) else _diamond(wide)
    places = zip(*np.nonzero(where.T), strict=True)
    return "".join(f"M{step * wide + wide / 2:g} {row * ROW + ROW / 2:g}{shape}" for row, step in places)


def _square(wide: int) -> str:
    half = max(1, min(3, (wide - 1) // 2))
    return f"m-{half} -3h{2 * half}v6h-{2 * half}z"


def _diamond(wide: int) -> str:
    half = max(2, min(5, wide // 2))
    return f"m-{half} 0l{half} -5l{half} 5l-{half} 5z"
