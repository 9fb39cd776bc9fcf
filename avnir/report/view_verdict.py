"""The verdict in plain language, the figures that matter, and the chain of stages that it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from avnir.cost.cores import cores_text
from avnir.cost.energy import Ledger
from avnir.cost.entry import unpriced
from avnir.report.deployment import Deployment, Run
from avnir.report.figures import BOUND, called, counted, duration, listed, percent, rounded, whole
from avnir.report.view_agreement import problems
from avnir.verify.compare import Comparison
from avnir.verify.stages import GRAPH, INTEGER, Verification

EQUAL, DIFFERS, OPEN = "equal", "differs", "open"
SILICON = "Not tested on silicon."


@dataclass(frozen=True)
class Card:
    """One figure: what it is, its value, and what it is out of; `anchor` of the section that tells more."""

    label: str
    value: str
    note: str
    anchor: str


@dataclass(frozen=True)
class Link:
    """What was found between two places of the chain."""

    tone: str
    sign: str
    text: str


@dataclass(frozen=True)
class Place:
    """A place of the chain: stages that stand side by side, and what leads to it."""

    title: str
    stages: str
    link: Link | None


@dataclass(frozen=True)
class VerdictView:
    """`tone` is EQUAL, DIFFERS or OPEN."""

    tone: str
    headline: str
    sentences: tuple[str, ...]
    cards: tuple[Card, ...]
    chain: tuple[Place, ...]


def verdict_view(deployment: Deployment) -> VerdictView:
    """What a reader needs who reads nothing else."""
    if deployment.run is None:
        return VerdictView(
            OPEN, "Nothing was compared.", tuple(_unknown(deployment)), tuple(_cards(deployment)), ()
        )
    verification = deployment.run.verification
    equal = verification.equal
    return VerdictView(
        EQUAL if equal else DIFFERS,
        "The export is exact." if equal else "The export is not exact.",
        tuple(_sentences(deployment, deployment.run)),
        tuple(_cards(deployment)),
        tuple(_chain(verification)),
    )


def _unknown(deployment: Deployment) -> Iterator[str]:
    yield (
        "The model came without example inputs, so that no spike of this export was checked: give some with "
        "--inputs."
    )
    yield f"It takes {cores_text(deployment.compiled.placement)} of {deployment.chip.title}. {SILICON}"


def _sentences(deployment: Deployment, run: Run) -> Iterator[str]:
    verification = run.verification
    tested = f"{counted(verification.samples, 'sample')} of {counted(verification.steps, 'step')}"
    if verification.equal:
        stages = listed(called(name) for name in dict.fromkeys(_exact_stages(verification)))
        yield f"Over {tested}, every spike is equal where it must be: {stages} were compared, stage by stage."
    else:
        yield f"Over {tested}, spikes differ where they must be equal: {'; '.join(problems(verification))}."
    yield _quantisation(verification)
    yield _cost(deployment)
    if verification.ties:
        named = ", ".join(map(str, verification.ties))
        yield f"float32 rounding decides a spike in samples {named}: left out of what is compared with it."
    yield SILICON


def _exact_stages(verification: Verification) -> Iterator[str]:
    for comparison in verification.exact:
        yield comparison.first
        yield comparison.second


def _quantisation(verification: Verification) -> str:
    compared = verification.quantisation
    said = (
        f"What the chip's integers change: they agree with the model in {percent(compared.agreement)} of "
        "spike slots (one neuron in one step)"
    )
    first, second = (verification.accuracy.get(name) for name in (compared.first, compared.second))
    if first is None or second is None:
        return f"{said}."
    right, before = rounded(second, 2), rounded(first, 2)
    return f"{said}, and decide {right} of the samples right, where the model decides {before}."


def _cost(deployment: Deployment) -> str:
    placed = f"It takes {cores_text(deployment.compiled.placement)} of {deployment.chip.title}"
    costs = deployment.costs
    if costs is None:
        return f"{placed}."
    window = duration(float(costs.timed.windows.mean()))
    said = f"{placed} and, by the latency model's lower bound, {window} a window."
    if unpriced(costs.energy.entries):
        return f"{said} No energy is claimed: prices that it needs were never published."
    grades = listed(dict.fromkeys(entry.cost.grade for entry in costs.energy.entries))
    return f"{said} Its dynamic energy is {_microjoules(costs.energy)} a sample, by prices graded {grades}."


def _microjoules(ledger: Ledger) -> str:
    return f"{1e6 * ledger.dynamic:.2f}{BOUND}µJ"


def _cards(deployment: Deployment) -> Iterator[Card]:
    run, costs, placement = deployment.run, deployment.costs, deployment.compiled.placement
    if run is not None:
        compared = run.verification.quantisation
        yield Card(
            "Equal spike slots",
            percent(compared.agreement),
            f"chip and {called(compared.first)}",
            "agreement",
        )
        yield from _accuracy(run)
    yield Card("Cores", whole(placement.cores), f"of {placement.chips * placement.cores_per_chip}", "cores")
    if costs is not None:
        timed = costs.timed
        yield Card(
            "Window",
            duration(float(timed.windows.mean())),
            f"at least; {len(timed.steps)} chip steps",
            "latency",
        )
        yield Card(
            "Synaptic operations", whole(costs.synops.total["stored"]), "stored, a sample", "operations"
        )
        yield _energy(deployment)


def _accuracy(run: Run) -> Iterator[Card]:
    accuracy, compared = run.verification.accuracy, run.verification.quantisation
    if compared.second in accuracy:
        before = f"{rounded(accuracy[compared.first], 2)} in {called(compared.first)}"
        yield Card("Accuracy", rounded(accuracy[compared.second], 2), before, "accuracy")


def _energy(deployment: Deployment) -> Card:
    assert deployment.costs is not None
    ledger = deployment.costs.energy
    if missing := unpriced(ledger.entries):
        return Card("Energy", "refused", f"{counted(len(missing), 'price')} never published", "energy")
    return Card("Energy", _microjoules(ledger), "dynamic, a sample", "energy")


def _chain(verification: Verification) -> Iterator[Place]:
    floats = [c for c in verification.exact if c.second == GRAPH]
    backends = [c for c in verification.exact if c.first == INTEGER]
    compared = verification.quantisation
    if floats:
        yield Place("PyTorch", _together(c.first for c in floats), None)
    yield Place("Graph", "exported, in float64", _exact(floats) if floats else None)
    share = percent(compared.agreement)
    yield Place(
        "Integers",
        "the chip's arithmetic",
        Link(EQUAL if compared.identical else OPEN, "≈", f"{share} equal"),
    )
    if backends:
        yield Place("Backends", _together(c.second for c in backends), _exact(backends))


def _together(names: Iterable[str]) -> str:
    return ", ".join(called(name).removeprefix("the ") for name in names)


def _exact(comparisons: list[Comparison]) -> Link:
    if all(comparison.identical for comparison in comparisons):
        return Link(EQUAL, "=", "every spike")
    return Link(DIFFERS, "≠", "differs")
