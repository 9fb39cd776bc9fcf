"""Which approximation lost which spikes: the record of an `avnir.verify.attribution.Attribution`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from avnir.report.figures import DASH, Table, counted, listed, rounded, signed, table, whole


@dataclass(frozen=True)
class CauseRow:
    """One kind of approximation: what it alone loses, a bar in percent, and what its end wins."""

    kind: str
    slots: str
    share: str
    width: float
    decisions: str
    won: str


@dataclass(frozen=True)
class AttributionView:
    """`exact` says of the other kinds why they lose nothing."""

    summary: str
    rows: tuple[CauseRow, ...]
    interaction: str
    exact: tuple[tuple[str, str], ...]
    layers: Table


def attribution_view(record: Mapping[str, Any]) -> AttributionView:
    """The kinds that lose most first."""
    causes = sorted(record["causes"], key=lambda cause: -cause["alone"]["slots"])
    losing = [cause for cause in causes if not cause["exact"]]
    most = max((cause["alone"]["slots"] for cause in losing), default=0) or 1
    lost, interaction = record["lost"], record["interaction"]
    return AttributionView(
        _summary(record, losing),
        tuple(_row(cause, most) for cause in losing),
        f"Together they lose {counted(lost['slots'], 'spike slot')}; alone, added up, "
        f"{whole(lost['slots'] - interaction['slots'])}. The rest, {signed(interaction['slots'])}, "
        "is what they do to one another.",
        tuple((cause["kind"], cause["exact"]) for cause in causes if cause["exact"]),
        table("What each layer's approximations lose in the network", *_layers(record)),
    )


def _summary(record: Mapping[str, Any], losing: list[Mapping[str, Any]]) -> str:
    lost, where = record["lost"], f"{whole(record['samples'])} samples of {record['steps']} steps"
    if not lost["slots"]:
        return f"Nothing was lost over {where}: the chip's integers give every spike of the graph."
    named = listed(cause["kind"] for cause in losing[:2])
    return (
        f"Over {where} the integers lose {counted(lost['slots'], 'spike slot')} and change "
        f"{counted(lost['decisions'], 'decision')}. Most comes from {named}."
    )


def _row(cause: Mapping[str, Any], most: int) -> CauseRow:
    alone, off = cause["alone"], cause["off"]
    return CauseRow(
        cause["kind"],
        whole(alone["slots"]),
        rounded(alone["share"]),
        round(max(0.0, 100 * alone["slots"] / most), 1),
        whole(alone["decisions"]),
        whole(off["slots"]),
    )


def _layers(record: Mapping[str, Any]) -> tuple[tuple[str, ...], Iterator[tuple[str, ...]]]:
    head = ("layer", "slots that differ", "of", "costliest kind", "slots it loses in the network")
    return head, (_layer(layer) for layer in record["layers"])


def _layer(layer: Mapping[str, Any]) -> tuple[str, ...]:
    kinds = layer["alone"]
    kind = max(kinds, key=lambda name: kinds[name]["slots"], default=DASH)
    lost = kinds[kind]["slots"] if kind in kinds else 0
    return layer["layer"], whole(layer["differ"]), whole(layer["slots"]), kind if lost else DASH, whole(lost)
