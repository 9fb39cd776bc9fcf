"""Agreement of the integers with the model, layer by layer, and that of the stages that must be equal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from avnir.report.figures import BOUND, called, listed, percent, signed, whole
from avnir.verify.compare import Comparison, LayerAgreement
from avnir.verify.stages import Verification


@dataclass(frozen=True)
class LayerRow:
    """One layer; `differing`: share of the widest bar, in percent."""

    layer: str
    agreement: str
    differing: str
    width: float
    first_spikes: str
    second_spikes: str
    change: str
    exact: str
    worst: bool


@dataclass(frozen=True)
class AgreementView:
    """`first` and `second` are compared, `exact` names the comparisons in which all must be equal."""

    first: str
    second: str
    called: str
    total: str
    most: str
    exact: str
    rows: tuple[LayerRow, ...]
    first_difference: str


def agreement_view(verification: Verification) -> AgreementView:
    """The rows of the table, in the order of the network."""
    compared = verification.quantisation
    most = max((1 - layer.agreement for layer in compared.layers), default=0.0)
    divergence = compared.divergence
    return AgreementView(
        compared.first,
        compared.second,
        called(compared.first),
        percent(compared.agreement),
        _share(most),
        listed(f"{c.first} = {c.second}" for c in verification.exact) if verification.exact else "",
        tuple(_row(layer, most, verification) for layer in compared.layers),
        "" if divergence is None else str(divergence),
    )


def _row(layer: LayerAgreement, most: float, verification: Verification) -> LayerRow:
    differing = 1 - layer.agreement
    return LayerRow(
        layer.layer,
        percent(layer.agreement),
        _share(differing),
        round(100 * differing / most, 1) if most else 0.0,
        whole(layer.first_spikes),
        whole(layer.second_spikes),
        signed(layer.second_spikes - layer.first_spikes),
        _exact(verification.exact, layer.layer),
        differing == most > 0,
    )


def _share(part: float) -> str:
    """A share of differing slots: 0 only where none differs."""
    text = "0" if part == 0 else f"{100 * part:.2f}" if part >= 5e-5 else "< 0.01"
    return f"{text}{BOUND}%"


def _exact(comparisons: Iterable[Comparison], name: str) -> str:
    """Whether a layer is equal in every comparison that has it; else in which it is not, by how much."""
    differing = []
    for comparison in comparisons:
        found = next((layer for layer in comparison.layers if layer.layer == name), None)
        if found is not None and found.equal != found.slots:
            differing.append(f"{comparison.second}: {whole(found.slots - found.equal)} differ")
    return "; ".join(differing) or "equal"


def problems(verification: Verification) -> Iterator[str]:
    """What is not equal though it must be."""
    for comparison in verification.exact:
        if not comparison.identical:
            where = comparison.divergence or "the outputs"
            yield f"{comparison.second} differs from {comparison.first}, first at {where}"
