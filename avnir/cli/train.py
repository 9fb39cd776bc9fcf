"""`avnir train`: train a network of this project and save it as a `model.pt`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

if TYPE_CHECKING:
    from avnir.models.av_digits import DigitNetwork
    from avnir.models.data.pairs import PairedData
    from avnir.models.training import EpochMetrics, Progress

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("model", type=click.Choice(["av-digits"]))
@click.option(
    "--data", type=click.Choice(["generator", "mnist-fsdd"]), default="generator", show_default=True
)
@click.option("--data-dir", type=FOLDER, help="Folder of MNIST and FSDD, for mnist-fsdd.")
@click.option("--modality", type=click.Choice(["both", "image", "audio"]), default="both", show_default=True)
@click.option("--epochs", type=click.IntRange(1), default=6, show_default=True)
@click.option("--subset", type=click.IntRange(1), help="Train on this many pairs only.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--out", type=FILE, default=Path("model.pt"), show_default=True, help="The file to write.")
@click.option("--resume", type=FILE, help="Continue from a file that --checkpoint wrote.")
@click.option("--checkpoint", type=FILE, help="Keep the state of the training here after each epoch.")
@click.option("--metrics", type=FILE, help="Append one CSV row per epoch here.")
@click.option(
    "--examples", type=click.IntRange(1), default=100, show_default=True, help="Test pairs saved in OUT."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    model: str,
    data: str,
    data_dir: Path | None,
    modality: str,
    epochs: int,
    subset: int | None,
    seed: int,
    out: Path,
    resume: Path | None,
    checkpoint: Path | None,
    metrics: Path | None,
    examples: int,
    as_json: bool,
) -> None:
    """Train MODEL and save it with its reference spikes, ready for export and verify.

    The default data are made on the spot: scikit-learn's handwritten digits and synthetic voices.
    `--data mnist-fsdd` reads MNIST (idx files or mnist.npz) and the Free Spoken Digit Dataset
    (recordings/*.wav or fsdd.npz) from --data-dir. The saved file holds examples of the test data.
    """
    from avnir.models import training

    for path in filter(None, (out, checkpoint, metrics)):
        if not path.parent.is_dir():
            raise click.UsageError(f"the folder of {path} does not exist; make it first")
    pairs = _load(data, data_dir, seed)
    pairs = training.subset(pairs, subset) if subset else pairs
    pairs.test.take(examples)
    network = _fresh_network(model, modality, seed)
    config = training.TrainingConfig(epochs=epochs, seed=seed)
    with _progress_bar() as progress:
        history = training.train(
            network, pairs, config, checkpoint=checkpoint, resume=resume, metrics=metrics, progress=progress
        )
    result = _result(network, pairs, history)
    _save(model, network, pairs, examples, result, out)
    click.echo(json.dumps({"model": str(out), **result}) if as_json else _summary(out, result))


def _load(data: str, data_dir: Path | None, seed: int) -> PairedData:
    if (data == "mnist-fsdd") != (data_dir is not None):
        raise click.UsageError("--data mnist-fsdd and --data-dir go together")
    if data_dir is None:
        from avnir.models.data.generator import load_generator

        return load_generator(seed=seed)
    from avnir.models.data.mnist_fsdd import load_mnist_fsdd

    return load_mnist_fsdd(data_dir, seed)


def _fresh_network(model: str, modality: str, seed: int) -> DigitNetwork:
    """The untrained network, its weights drawn from `seed`."""
    import torch

    from avnir.models import build

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return cast("DigitNetwork", build(model, {"modality": modality}))


def _result(network: DigitNetwork, pairs: PairedData, history: list[EpochMetrics]) -> dict[str, Any]:
    from avnir.models.training import accuracy

    return {
        "data": pairs.name,
        "modality": network.config.modality,
        "epochs": len(history),
        "train_pairs": len(pairs.train),
        "test_pairs": len(pairs.test),
        "train_accuracy": history[-1].accuracy,
        "test_accuracy": accuracy(network, pairs.test),
        "training_seconds": round(sum(epoch.seconds for epoch in history), 1),
    }


def _save(
    model: str, network: DigitNetwork, pairs: PairedData, examples: int, result: dict[str, Any], out: Path
) -> None:
    """Save the network with the first test pairs in which float32's rounding decides no spike."""
    import avnir
    from avnir.export import TieError
    from avnir.models.training import example_inputs

    architecture, notes = (model, network.config.to_json()), {**pairs.provenance, **result}
    candidates = pairs.test
    while True:
        inputs, labels = example_inputs(network, candidates, examples)
        try:
            avnir.save(network, inputs, out, labels=labels, architecture=architecture, notes=notes)
            return
        except TieError as ties:
            candidates = candidates.without(ties.samples)


def _summary(out: Path, result: dict[str, Any]) -> str:
    return (
        f"{result['data']}, {result['modality']}: trained in {result['training_seconds']} s\n"
        f"test accuracy   {result['test_accuracy']:.2%} of {result['test_pairs']} pairs\n"
        f"train accuracy  {result['train_accuracy']:.2%} of {result['train_pairs']} pairs, "
        f"during epoch {result['epochs']}\n"
        f"written: {out}"
    )


@contextmanager
def _progress_bar() -> Iterator[Progress]:
    """A bar on standard error, so that standard output stays clean for --json."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True)) as bar:
        task = bar.add_task("training", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
