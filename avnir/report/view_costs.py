"""Synaptic operations by connection in each convention, and the energy ledger with what it refuses."""

from __future__ import annotations

from dataclasses import dataclass

from avnir.cost import convention, energy
from avnir.cost.entry import unpriced
from avnir.cost.synops import CONVENTIONS, SynapticOperations
from avnir.report.figures import Table, table

MEANINGS = {
    "stored": "stored synapses that a spike reaches, weights of zero included: what a chip counts",
    "nonzero": "the same without weights of zero",
    "fan_out": "spikes times the mean number of synapses of a source neuron: the common estimate",
}


@dataclass(frozen=True)
class SynopsRow:
    """One connection: counts a sample by convention, a bar of the stored ones in percent of the longest."""

    source: str
    target: str
    counts: tuple[str, ...]
    width: float


@dataclass(frozen=True)
class SynopsView:
    """Rows in the order of the network, and the sums."""

    conventions: tuple[tuple[str, str], ...]
    rows: tuple[SynopsRow, ...]
    total: tuple[str, ...]


def synops_view(found: SynapticOperations) -> SynopsView:
    """The table of synaptic operations."""
    most = max((counts["stored"] for counts in found.by_connection.values()), default=0.0) or 1.0
    rows = (
        SynopsRow(
            *_ends(name),
            tuple(f"{counts[c]:,.1f}" for c in CONVENTIONS),
            round(100 * counts["stored"] / most, 1),
        )
        for name, counts in found.by_connection.items()
    )
    total = tuple(f"{found.total[c]:,.1f}" for c in CONVENTIONS)
    return SynopsView(tuple((c, MEANINGS[c]) for c in CONVENTIONS), tuple(rows), total)


def _ends(connection: str) -> tuple[str, str]:
    """The layers that a connection joins, as its name says them."""
    source, _, target = connection.partition("__")
    return source, target


@dataclass(frozen=True)
class EnergyRow:
    """One entry; `refused` where it has no published price."""

    term: str
    count: str
    price: str
    energy: str
    grade: str
    source: str
    refused: bool


@dataclass(frozen=True)
class EnergyView:
    """The ledger of a sample; `refused` where there is no total."""

    refused: bool
    summary: tuple[str, ...]
    rows: tuple[EnergyRow, ...]
    host: tuple[EnergyRow, ...]
    convention: Table
    convention_source: str


def energy_view(found: energy.Ledger, arithmetic: tuple[convention.Arithmetic, ...]) -> EnergyView:
    """The ledger, the host's entries apart, and the arithmetic convention beside it."""
    rows = [
        EnergyRow(*row, entry.joules is None)
        for row, entry in zip(energy.rows(found), (*found.entries, *found.host), strict=True)
    ]
    of_chip = len(found.entries)
    listed = (
        (a.operation, f"{a.count:,.1f}", energy.priced(a.cost), energy.nanojoules(a.joules))
        for a in arithmetic
    )
    head = ("operation", "count a sample", "price", "energy")
    return EnergyView(
        bool(unpriced(found.entries)),
        tuple(line[:1].upper() + line[1:] + "." for line in energy.summary(found)),
        tuple(rows[:of_chip]),
        tuple(rows[of_chip:]),
        table("The arithmetic convention: no chip's energy, and no part of one", head, listed),
        convention.SOURCE,
    )
