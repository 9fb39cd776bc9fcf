"""`avnir train`: train a network of this project, or its integers, and save it as a `model.pt`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

if TYPE_CHECKING:
    from torch import Tensor, nn

    from avnir.ir.graph import Graph
    from avnir.models.av_digits import DigitNetwork
    from avnir.models.classifier import Classifier
    from avnir.models.data.pairs import PairedData, Split
    from avnir.models.integer_training import FineTuned
    from avnir.models.training import EpochMetrics, Progress

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


@dataclass(frozen=True)
class Run:
    """What the user asked for, under the names of the options; `quantise` names a target or is None."""

    model: str
    modality: str | None
    epochs: int
    seed: int
    out: Path
    resume: Path | None
    checkpoint: Path | None
    metrics: Path | None
    examples: int
    quantise: str | None
    weight_bits: int
    quantise_epochs: int
    start: Path | None


@click.command()
@click.argument("model", type=click.Choice(["av-digits"]))
@click.option(
    "--data", type=click.Choice(["generator", "mnist-fsdd"]), default="generator", show_default=True
)
@click.option("--data-dir", type=FOLDER, help="Folder of MNIST and FSDD, for mnist-fsdd.")
@click.option("--modality", type=click.Choice(["both", "image", "audio"]), help="[default: both]")
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
@click.option("--quantise", metavar="TARGET", help="Then train on, on this chip's integers.")
@click.option(
    "--weight-bits", type=click.IntRange(2, 8), default=8, show_default=True, help="For --quantise."
)
@click.option(
    "--quantise-epochs", type=click.IntRange(1), default=1, show_default=True, help="For --quantise."
)
@click.option("--start", type=FILE, help="For --quantise: the model.pt to begin with, already trained.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(data: str, data_dir: Path | None, subset: int | None, as_json: bool, **options: Any) -> None:
    """Train MODEL and save it with its reference spikes, ready for export and verify.

    The default data are made on the spot: scikit-learn's handwritten digits and synthetic voices.
    `--data mnist-fsdd` reads MNIST (idx files or mnist.npz) and the Free Spoken Digit Dataset
    (recordings/*.wav or fsdd.npz) from --data-dir. The saved file holds examples of the test data.

    With --quantise the network that was trained, or --start, is compiled to the chip's integers, and these
    are trained on in the chip's own arithmetic. `export` and `verify` know the width.
    """
    run = Run(**options)
    _check(run)
    pairs = _load(data, data_dir, run.seed)
    if subset:
        from avnir.models import training

        pairs = training.subset(pairs, subset)
    pairs.test.take(run.examples)
    result = _train_integers(run, pairs) if run.quantise else _train_floats(run, pairs)
    click.echo(json.dumps({"model": str(run.out), **result}) if as_json else _summary(run.out, result))


def _check(run: Run) -> None:
    """Refuse what does not fit together, and folders that are not there, before any work."""
    for path in filter(None, (run.out, run.checkpoint, run.metrics)):
        if not path.parent.is_dir():
            raise click.UsageError(f"the folder of {path} does not exist; make it first")
    if run.start and not run.quantise:
        raise click.UsageError("--start is what --quantise begins with; give both")
    surplus = [name for name in ("modality", "resume", "checkpoint") if getattr(run, name) is not None]
    if run.start and surplus:
        listed = ", ".join(f"--{name}" for name in surplus)
        raise click.UsageError(f"with --start nothing is trained in floating point: leave out {listed}")
    if run.quantise:
        from avnir import target

        target.load(run.quantise)


def _train_floats(run: Run, pairs: PairedData) -> dict[str, Any]:
    """Train and save the network itself; what is told of it."""
    network, history = _trained(run, pairs)
    result = _result(network, pairs, history)
    examples = Examples(network, pairs.test, run.examples)
    _save(network, examples, run.out, (run.model, network.config.to_json()), {**pairs.provenance, **result})
    return result


def _trained(run: Run, pairs: PairedData) -> tuple[DigitNetwork, list[EpochMetrics]]:
    from avnir.models import training

    network = _fresh_network(run.model, run.modality or "both", run.seed)
    config = training.TrainingConfig(epochs=run.epochs, seed=run.seed)
    files = {"checkpoint": run.checkpoint, "resume": run.resume, "metrics": run.metrics}
    with _progress_bar("training") as progress:
        return network, training.train(network, pairs, config, **files, progress=progress)


def _train_integers(run: Run, pairs: PairedData) -> dict[str, Any]:
    """Train and save the network's integers; what is told of them."""
    from avnir import target
    from avnir.models.integer_training import fine_tune, fine_tuning, prove

    graph, steps, before = _started(run.start) if run.start else _begun(run, pairs)
    config = fine_tuning(run.weight_bits, run.quantise_epochs, run.seed)
    with _progress_bar("training integers") as progress:
        made = fine_tune(
            graph, target.load(run.quantise or ""), pairs, steps, run.weight_bits, config,
            metrics=run.metrics, progress=progress,
        )  # fmt: skip
    examples = Examples(made.network, pairs.test, run.examples)
    inputs = {name: x.numpy() for name, x in examples.tensors()[0].items()}
    result = {**_integer_result(run, made, pairs), **before, "equal_slots": prove(made.network, inputs)}
    _save(made.model, examples, run.out, None, {**pairs.provenance, **result})
    return result


def _begun(run: Run, pairs: PairedData) -> tuple[Graph, int, dict[str, Any]]:
    """A network trained in floating point: its graph, the steps of its window, what is told of it."""
    import torch

    from avnir.export import trace
    from avnir.models.training import accuracy

    network, _ = _trained(run, pairs)
    silence = tuple(torch.zeros(2, 1, *shape) for shape in network.shapes.values())
    return trace(network, silence), network.steps, {"float_accuracy": accuracy(network, pairs.test)}


def _started(path: Path) -> tuple[Graph, int, dict[str, Any]]:
    """The same of a saved one; its accuracy is not known."""
    from avnir.export import load

    saved = load(path)
    return saved.graph, len(next(iter(saved.inputs.values()))), {}


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


@dataclass(frozen=True)
class Examples:
    """The first `count` pairs of a split, as `network` sees them."""

    network: Classifier
    split: Split
    count: int

    def without(self, samples: Sequence[int]) -> Examples:
        """Others in the place of some of them."""
        return replace(self, split=self.split.without(samples))

    def tensors(self) -> tuple[dict[str, Tensor], Tensor]:
        """Inputs [T, count, c, h, w] by name, and labels [count]."""
        from avnir.models.training import example_inputs

        inputs, labels = example_inputs(self.network, self.split, self.count)
        return dict(zip(self.network.inputs, inputs, strict=True)), labels


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


def _integer_result(run: Run, made: FineTuned, pairs: PairedData) -> dict[str, Any]:
    from avnir.models.integer_network import IntegerNetwork
    from avnir.models.training import accuracy

    untrained = IntegerNetwork(made.start, run.weight_bits, made.network.steps)
    return {
        "data": pairs.name,
        "modality": " and ".join(made.network.inputs),
        "epochs": len(made.history),
        "train_pairs": len(pairs.train),
        "test_pairs": len(pairs.test),
        "train_accuracy": made.history[-1].accuracy,
        "test_accuracy": accuracy(made.network, pairs.test),
        "untrained_accuracy": accuracy(untrained, pairs.test),
        "training_seconds": round(sum(epoch.seconds for epoch in made.history), 1),
        "target": made.network.program.target,
        "weight_bits": run.weight_bits,
        "program": made.network.program.digest,
        "requantised_weights": made.moved,
    }


def _save(
    model: nn.Module,
    examples: Examples,
    out: Path,
    architecture: tuple[str, Mapping[str, Any]] | None,
    notes: Mapping[str, Any],
) -> None:
    """Save the model with the first test pairs in which float32's rounding decides no spike."""
    import avnir
    from avnir.export import TieError

    while True:
        inputs, labels = examples.tensors()
        try:
            avnir.save(model, inputs, out, labels=labels, architecture=architecture, notes=notes)
            return
        except TieError as ties:
            examples = examples.without(ties.samples)


def _summary(out: Path, result: dict[str, Any]) -> str:
    lines = [
        f"{result['data']}, {result['modality']}: trained in {result['training_seconds']} s",
        f"test accuracy   {result['test_accuracy']:.2%} of {result['test_pairs']} pairs",
        f"train accuracy  {result['train_accuracy']:.2%} of {result['train_pairs']} pairs, "
        f"during epoch {result['epochs']}",
    ]
    if "program" in result:
        before = f"{result['untrained_accuracy']:.2%}"
        if "float_accuracy" in result:
            before = f"{result['float_accuracy']:.2%} in floating point, {before}"
        lines[1] += f" (before: {before} in integers)"
        lines.append(
            f"integers        {result['weight_bits']} bits for {result['target']}, program "
            f"{result['program'][:12]}; {result['equal_slots']} spike slots equal on the CPU engine"
        )
    return "\n".join([*lines, f"written: {out}"])


@contextmanager
def _progress_bar(what: str) -> Iterator[Progress]:
    """A bar on standard error, so that standard output stays clean for --json."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
