"""What one neuron saw and did in one step: its potential, its threshold, and what reached it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from avnir.ir.graph import Graph
from avnir.ir.operation import Array
from avnir.numerics import fixed
from avnir.trace import Trace
from avnir.verify.compare import Divergence
from avnir.verify.diagnosis.parameters import INTEGRATING
from avnir.verify.diagnosis.site import Site, Wire, sites
from avnir.verify.diagnosis.synapses import synapses

Number = int | float


@dataclass(frozen=True)
class Arrival:
    """What one connection brought to the neuron: the sum, and how many of its sources sent something.

    Where integer neurons have a potential, the sum is in steps of it (what arrives, shifted left by 6).
    `active` and `sources` are None on the real level, where operations stand between layers.
    """

    connection: str
    total: Number
    active: int | None = None
    sources: int | None = None


@dataclass(frozen=True)
class Moment:
    """The neuron of a divergence as one run had it.

    `sent` was recorded. `potential` is what was compared with `threshold`, before a reset, by the definition
    from what the run recorded before this layer; both are None for layers that compare nothing. `unit` is
    how many steps of an integer potential are 1 in the model, None on the real level. `recorded` holds
    registers that were recorded, after the step.
    """

    sent: int
    potential: Number | None
    threshold: Number | None
    unit: float | None
    arrivals: tuple[Arrival, ...]
    recorded: Mapping[str, Number]

    @property
    def defined(self) -> bool | None:
        """Whether the definition spikes here; None where nothing is compared."""
        if self.potential is None or self.threshold is None:
            return None
        return self.potential > self.threshold

    def record(self) -> dict[str, Any]:
        """JSON values."""
        return {**vars(self), "arrivals": [vars(a) for a in self.arrivals], "recorded": dict(self.recorded)}


def moment(graph: Graph, inputs: Mapping[str, Array], trace: Trace, where: Divergence) -> Moment:
    """The neuron at `where` as the run of `trace` had it; only that sample is computed.

    `trace` has the layer, and may lack others.
    """
    sample = [where.sample]
    alone = trace.samples(sample)
    found = sites(graph, {name: array[:, sample] for name, array in inputs.items()}, alone)
    site = next(site for site in found if site.node.name == where.layer)
    place = (where.step, 0, *where.neuron)
    decided = site.course.decided
    threshold = None if decided is None else _threshold(site, where.neuron)
    return Moment(
        int(site.theirs["sent"][place]),
        None if decided is None else decided[place].item(),
        threshold,
        _unit(site, where.neuron),
        tuple(_arrivals(site, where)),
        {name: site.theirs[name][place].item() for name in sorted(site.theirs.keys() - {"sent"})},
    )


def _threshold(site: Site, neuron: tuple[int, ...]) -> Number:
    threshold = np.broadcast_to(site.node.op.threshold, site.shape)[neuron].item()  # type: ignore[attr-defined]
    return threshold << fixed.ALIGN if site.level == "integer" else threshold


def _unit(site: Site, neuron: tuple[int, ...]) -> float | None:
    scale = getattr(site.node.op, "scale", None)
    if site.level != "integer" or scale is None:
        return None
    return float(np.broadcast_to(scale, site.shape)[neuron]) * (1 << fixed.ALIGN)


def _arrivals(site: Site, where: Divergence) -> Iterator[Arrival]:
    flat = int(np.ravel_multi_index(where.neuron, site.shape))
    for wire in site.wires:
        total = wire.arriving.reshape(*wire.arriving.shape[:2], -1)[where.step, 0, flat].item()
        if site.level == "integer":
            shift = fixed.ALIGN if site.node.op.kind in INTEGRATING else 0
            yield _counted(wire, total << shift, flat, where.step)
        else:
            yield Arrival(wire.name, total)


def _counted(wire: Wire, total: int, neuron: int, step: int) -> Arrival:
    sent = synapses(wire, neuron).sent[step, 0]
    return Arrival(wire.name, total, int(np.count_nonzero(sent)), int(sent.size))
