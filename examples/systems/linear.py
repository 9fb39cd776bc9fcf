"""The linear reference on RAVDESS: logistic regression on the vectors that the systems are given."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from avnir.models.data import registry
from avnir.models.data.pairs import Split
from examples.systems.cases import BUDGETS, FOLDS

PENALTIES = (1.0, 0.1, 0.01)
"""Scikit-learn's C, the smaller the more regular."""


@click.command("linear")
@click.option("--data-dir", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
def linear(data_dir: Path) -> None:
    """Print the test accuracy of a linear model in each fold of actors, and the mean."""
    budget = BUDGETS["emotion"]
    sets = [
        registry.load(
            budget.data, data_dir, registry.Options(audio_size=budget.audio_size, fold=fold, vectors=True)
        )
        for fold in range(FOLDS)
    ]
    for penalty in PENALTIES:
        found = [100 * _accuracy(data.train, data.test, penalty) for data in sets]
        click.echo(f"C = {penalty}: {', '.join(f'{one:.2f}' for one in found)}, mean {np.mean(found):.2f} %")


def _accuracy(train: Split, test: Split, penalty: float) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=5000))
    return float(model.fit(_features(train), train.labels).score(_features(test), test.labels))


def _features(split: Split) -> NDArray[np.float64]:
    return np.concatenate([x.reshape(len(x), -1) for x in split.inputs.values()], axis=1).astype(float)
