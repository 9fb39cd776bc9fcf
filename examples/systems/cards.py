"""The tables of the systems' cards, made from the measured rows."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from examples.systems.cases import BUDGETS

FOLDER = Path(__file__).parents[2] / "models" / "cards"
RESULTS = FOLDER / "results.jsonl"
"""One measured row a line, in the order in which they were measured."""
CARDS = tuple(FOLDER / f"{system}.md" for system in ("scmrl", "l2act", "taaf"))
MARKED = re.compile(r"(<!-- results: (\w+) -->\n).*?(<!-- end of results -->)", re.DOTALL)
VARIANTS = {
    "image": "vision alone",
    "audio": "audio alone",
    "add": "both, added",
    "concat": "both, concatenated",
    "residual": "both, residual without alignment",
    "without L2": "both, the system without L2 layers",
    "published": "both, threshold and projection as published",
    "fused": "both, the system",
    "paper form": "both, the system in its paper form",
}
"""In the order of a table."""

TITLES = {"image": "vision", "audio": "audio"}
DECIBELS = (0, 5, 10, 20, 30)
"""Signal-to-noise ratios at which the networks are tested."""

Row = Mapping[str, Any]


def rows() -> list[Row]:
    """Everything that was measured."""
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]


def filled(card: Path) -> str:
    """The card's text with its tables as the rows say."""
    own = [row for row in rows() if row["system"] == card.stem]
    text = card.read_text(encoding="utf-8")
    return MARKED.sub(lambda found: f"{found[1]}\n{TABLES[found[2]](own)}\n\n{found[3]}", text)


def accuracies(own: Sequence[Row]) -> str:
    """For each data set and variant the test accuracy of each seed, and mean and deviation."""
    lines = []
    for budget, about in BUDGETS.items():
        for variant, title in VARIANTS.items():
            found = sorted(_of(own, budget, variant), key=lambda row: row["seed"])
            if found:
                values = [100 * row["accuracy"] for row in found]
                lines.append((about.title, title, _each(values), _mean(values), _trained(found)))
        lines += _folds(own, budget)
    header = (
        "data",
        "network",
        "test accuracy of each seed, %",
        "mean ± deviation",
        "trained on",
    )
    return _table(header, lines)


def _folds(own: Sequence[Row], budget: str) -> list[tuple[str, ...]]:
    """The system tested by each fold in turn, where that was measured."""
    folds = [row for row in own if row["case"].startswith(f"{budget}/") and row["variant"].startswith("fold")]
    if not folds:
        return []
    values = [100 * row["accuracy"] for row in sorted(folds, key=lambda row: row["variant"])]
    title = f"both, the system, seed 0, tested by each of {len(folds)} folds in turn"
    return [(BUDGETS[budget].title, title, _each(values), _mean(values), _trained(folds))]


def deployments(own: Sequence[Row]) -> str:
    """What a chip makes of the network of seed 0."""
    lines = []
    for budget, about in BUDGETS.items():
        for row in _of(own, budget, "fused"):
            if made := row.get("deployed"):
                lines.append(
                    (
                        about.title,
                        str(made["pairs"]),
                        f"{100 * made['float_accuracy']:.2f} %",
                        f"{100 * made['accuracy']:.2f} %",
                        f"{100 * made['spike_agreement']:.2f} %",
                        str(made["placement"]["cores"]),
                        f"{made['synops']['stored']:,}",
                        f"{made['presentations']}",
                        f"{made['latency_steps']}",
                    )
                )
    header = (
        *("data", "test pairs", "float", "8-bit integers", "equal spike slots", "cores"),
        *("SynOps a sample", "presentations", "latency, chip steps"),
    )
    return _table(header, lines)


def noise(own: Sequence[Row]) -> str:
    """Accuracy of seed 0 with noise on one input: in floating point, and deployed on fewer of the pairs."""
    lines = []
    for budget, about in BUDGETS.items():
        for row in _of(own, budget, "fused"):
            for name, curve in row.get("noise", {}).items():
                chip = row["deployed"]["noise"][name]
                lines += [
                    (about.title, TITLES[name], f"float, {row['test_pairs']:,} pairs", *_by_level(curve)),
                    (
                        about.title,
                        TITLES[name],
                        f"8 bits, {row['deployed']['pairs']} pairs",
                        *_by_level(chip),
                    ),
                ]
    return _table(("data", "noise on", "network", *(f"{level} dB" for level in DECIBELS)), lines)


def _by_level(curve: Mapping[str, float]) -> list[str]:
    return [f"{100 * curve[str(level)]:.1f} %" for level in DECIBELS]


def angles(own: Sequence[Row]) -> str:
    """Compactness and separation of the embeddings, with and without L2 layers: means of the seeds."""
    lines = []
    for budget, about in BUDGETS.items():
        for variant in ("fused", "without L2"):
            found = [row["angles"] for row in _of(own, budget, variant) if "angles" in row]
            for name in found[0] if found else ():
                means = (
                    statistics.mean(row[name][which] for row in found) for which in ("within", "between")
                )
                lines.append(
                    (about.title, VARIANTS[variant], TITLES[name], *(f"{mean:.1f}°" for mean in means))
                )
    return _table(("data", "network", "embedding of", "within a class", "between classes"), lines)


TABLES = {"angles": angles, "accuracies": accuracies, "deployments": deployments, "noise": noise}


def _of(own: Sequence[Row], budget: str, variant: str) -> list[Row]:
    return [row for row in own if row["case"].startswith(f"{budget}/") and row["variant"] == variant]


def _each(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _mean(values: Sequence[float]) -> str:
    mean = f"{statistics.mean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


def _trained(found: Sequence[Row]) -> str:
    return f"{found[0]['train_pairs']:,} pairs, {found[0]['epochs']} epochs"


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    if not lines:
        return "Not measured yet."
    every = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in every)
