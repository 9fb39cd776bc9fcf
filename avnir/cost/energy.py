"""What a run costs in energy: a ledger of terms, each a count from one trace times a price with its grade.

Dynamic energy of the cores and the mesh, in the terms of SANA-FE (loihi.yaml), whose fit prices Loihi:

| term | counted a sample |
|---|---|
| synaptic operations | stored synapses that a spike reaches (`stored` in `avnir.cost.synops`) |
| neuron accesses | every placed neuron in every chip step of the window |
| neuron updates | those in which there is something to do (`avnir.cost.updates`) |
| spikes out | spikes of neurons |
| messages out | one for each spike and each piece of a layer that it reaches, on its own core too |
| hops | from tile to tile, along rows and along columns |
| messages between chips | where there are several chips |

Static energy is a power times the window of the latency model, which is a lower bound; it stands apart. A sum
with a term whose price was never published is refused, and the counts remain. What the host does
(`avnir.cost.host`) stands apart too: no total of the chip covers it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from avnir.cost.counts import Counts
from avnir.cost.entry import NEVER_PUBLISHED, PICO, Entry, total, unpriced
from avnir.cost.host import host_entries
from avnir.cost.latency import Latency
from avnir.errors import TargetError
from avnir.ir.operation import Array
from avnir.place.activity import messages
from avnir.place.mesh import EAST, NORTH, SOUTH, WEST
from avnir.place.network import network_of
from avnir.place.placement import Placement
from avnir.program import Program
from avnir.target import Cost, Target
from avnir.trace import Trace

BOUNDARY = "dynamic energy of cores and mesh; no host, no input or output, nothing off the chip"
NOT_APART = "the barrier: its energy was never published apart"
SYNAPTIC = ("synaptic operations", "synaptic_operation_energy")
ERROR = "dynamic_energy_error"


@dataclass(frozen=True)
class Ledger:
    """The entries of one sample on `chips` chips of the target called `title`, a window of `window` ns.

    `power` is the static power of one chip. `error`: the stated error of a total of such prices, in percent,
    None where none was stated. `host`: what the host does for the sample.
    """

    title: str
    entries: tuple[Entry, ...]
    power: Cost
    chips: int
    window: float
    error: Cost | None
    host: tuple[Entry, ...] = ()

    @property
    def dynamic(self) -> float:
        """Joules of all entries of the chip; TargetError naming those that have no published price."""
        return total(self.entries, self.title)

    @property
    def host_dynamic(self) -> float:
        """Joules of what the host does; TargetError likewise."""
        return total(self.host, f"the host of {self.title}")

    @property
    def band(self) -> tuple[float, float] | None:
        """The total less and plus the stated error; None where none covers all the entries."""
        if unpriced(self.entries) or self.error is None or self.error.value is None:
            return None
        if any(entry.cost.grade != self.error.grade for entry in self.entries):
            return None
        share = self.error.value / 100
        return self.dynamic * (1 - share), self.dynamic * (1 + share)

    @property
    def static(self) -> float | None:
        """Joules of the static power of all chips during the window, None where it was not published."""
        return None if self.power.value is None else self.power.value * self.chips * self.window * PICO

    def record(self) -> dict[str, Any]:
        """The same as plain values, for JSON; `dynamic_joules` None where it is refused."""
        refused, of_host = ([e.figure for e in unpriced(of)] for of in (self.entries, self.host))
        return {
            "covers": BOUNDARY,
            "not_apart": NOT_APART,
            "entries": [entry.record() for entry in self.entries],
            "dynamic_joules": None if refused else self.dynamic,
            "dynamic_joules_band": self.band,
            "refused_for": refused,
            "host": {
                "entries": [entry.record() for entry in self.host],
                "dynamic_joules": None if of_host else self.host_dynamic,
                "refused_for": of_host,
            },
            "static": {
                "power": self.power.model_dump(),
                "chips": self.chips,
                "window_ns": self.window,
                "joules": self.static,
            },
        }


def ledger(
    program: Program,
    placement: Placement,
    target: Target,
    inputs: Mapping[str, Array],
    trace: Trace,
    timed: Latency,
) -> Ledger:
    """The ledger of a run: `inputs` `[T, B, *shape]` gave `trace`, with states; `timed` is its latency.

    Raises TargetError where the placement is another target's, DataError where the trace has no states.
    """
    counts = Counts(program, network_of(program.graph, target.limits.delay_steps.value.bit_length()))
    counts.add(inputs, trace)
    return ledger_of(counts, placement, target, timed)


def ledger_of(counts: Counts, placement: Placement, target: Target, timed: Latency) -> Ledger:
    """The same from what was counted; TargetError where the placement is another target's."""
    if placement.target != target.name:
        raise TargetError(f"the placement is for {placement.target}, the prices are {target.name}'s")
    events = [
        *_synaptic(counts, target),
        ("neuron accesses", "neuron_access_energy", float(placement.neurons * len(timed.steps))),
        ("neuron updates", "neuron_update_energy", counts.updates / counts.samples),
        *_sent(counts, placement, timed),
    ]
    entries = tuple(
        Entry(term, figure, number, target.costs.get(figure, NEVER_PUBLISHED))
        for term, figure, number in events
    )
    return Ledger(
        target.title,
        entries,
        target.costs.get("static_power", NEVER_PUBLISHED),
        len({chip for chip, _ in placement.addresses}),
        float(timed.windows.mean()),
        target.costs.get(ERROR),
        tuple(host_entries(counts.program, target, counts.steps)),
    )


_Events = Iterator[tuple[str, str, float]]


def _synaptic(counts: Counts, target: Target) -> _Events:
    """Synaptic operations; those of a kind of connection apart where the target has a price of its own."""
    sums: dict[tuple[str, str], float] = {}
    for name, done in counts.synops.by_connection.items():
        kind = counts.program.graph[name].op.kind.lower()
        own = f"synaptic_operation_{kind}_energy"
        event = (f"synaptic operations, {kind}", own) if own in target.costs else SYNAPTIC
        sums[event] = sums.get(event, 0.0) + done["stored"]
    for (term, figure), number in sums.items():
        yield term, figure, number


def _sent(counts: Counts, placement: Placement, timed: Latency) -> _Events:
    """What spikes cause on their way; those of inputs come from off the chip and cost nothing here."""
    network, sent, grids = counts.network, counts.boxed, placement.grids
    spikes = sum(float(sent[name].sum()) for name in network.layers)
    yield "spikes out", "spike_out_energy", spikes / counts.samples
    out = sum(
        float(messages(link, grids[link.source], grids[link.target], sent[link.source][None]).sum())
        for link in network.links
        if link.source in network.layers
    )
    yield "messages out", "message_out_energy", out / counts.samples
    hops = timed.hops.mean(axis=0)
    yield "hops along a row", "hop_east_west_energy", float(hops[EAST] + hops[WEST])
    yield "hops along a column", "hop_north_south_energy", float(hops[SOUTH] + hops[NORTH])
    if np.any(timed.between_chips):
        yield "messages between chips", "chip_link_energy", float(timed.between_chips.mean())


def rows(found: Ledger) -> list[tuple[str, str, str, str, str, str]]:
    """One row an entry, the host's last: term, count a sample, price, energy, grade, source."""
    return [
        (e.term, f"{e.count:,.1f}", priced(e.cost), nanojoules(e.joules), e.cost.grade, e.cost.source)
        for e in (*found.entries, *found.host)
    ]


def summary(found: Ledger) -> list[str]:
    """The lines below the table: totals or why there are none, the static energy, what these cover."""
    lines = [_total(found)]
    if found.static is None:
        lines.append(f"static: no power of one chip was published for {found.title}")
    else:
        made = f"{priced(found.power)} a chip x {found.chips} x {found.window / 1000:.2f} us"
        lines.append(
            f"static, apart: {nanojoules(found.static)} a sample: {made}, the latency model's lower bound "
            f"({found.power.grade}: {found.power.source})"
        )
    return [*lines, _host(found), f"covers: {BOUNDARY}", f"not in it: {NOT_APART}"]


def _total(found: Ledger) -> str:
    try:
        total = f"dynamic: {nanojoules(found.dynamic)} a sample"
    except TargetError as refusal:
        return str(refusal)
    if found.band is None or found.error is None:
        return total
    low, high = (nanojoules(value) for value in found.band)
    return (
        f"{total}, {low} to {high} by the prices' own error ({found.error.value:g} %, {found.error.source})"
    )


def _host(found: Ledger) -> str:
    try:
        return f"host, apart: {nanojoules(found.host_dynamic)} a sample"
    except TargetError as refusal:
        return str(refusal)


def priced(cost: Cost) -> str:
    """A price as text."""
    return "unknown" if cost.value is None else f"{cost.value:g} {cost.unit}"


def nanojoules(joules: float | None) -> str:
    """An energy as text."""
    return "-" if joules is None else f"{1e9 * joules:,.1f} nJ"
