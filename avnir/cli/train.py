"""`avnir train`: train a network of this project, or its integers, and save it as a `model.pt`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from avnir.models.job import Job
    from avnir.models.machine import Machine
    from avnir.models.training import Files, Progress

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
PRESENT = click.Path(exists=True, file_okay=False, path_type=Path)
MODELS = ("av-digits", "scmrl", "l2act", "taaf")
DATA = (
    "generator", "mnist-fsdd", "nmnist-fsdd", "mnistdvs-ntidigits", "cifar10-esc10", "cifar10-us8k", "us8k",
    "us8k-av", "crema-d", "ravdess", "ave", "paired", "shd",
)  # fmt: skip
MODALITIES = {"both": "both", "image": "image", "vision": "image", "audio": "audio"}
OF_THE_DIGITS = {"image_size": 16, "audio_size": 16, "steps": 8}
OF_THE_SYSTEMS = {"image_size": 28, "audio_size": 28, "steps": 4}
FIXED = ("data_dir", "image_size", "audio_size", "fold")
"""What the generator has no use for: no files, no folds, pictures and spectrograms of 16x16."""
SYSTEM_TRAINING = {"image_shift": 0, "validation": 0.1}


@dataclass(frozen=True)
class Run:
    """What the user asked for, under the names of the options; None for what was left out."""

    model: str
    data: str
    data_dir: Path | None
    split: str
    fold: int | None
    image_size: int | None
    audio_size: int | None
    steps: int | None
    vectors: bool
    modality: str | None
    form: str | None
    settings: tuple[tuple[str, str], ...]
    epochs: int | None
    batch_size: int | None
    learning_rate: float | None
    input_noise: float | None
    warmup_epochs: int | None
    validation: float | None
    pick: str
    device: str
    devices: int
    precision: str
    subset: int | None
    seed: int
    out: Path
    resume: Path | None
    checkpoint: Path | None
    metrics: Path | None
    tensorboard: Path | None
    examples: int
    quantise: str | None
    weight_bits: int
    quantise_epochs: int
    start: Path | None


def _setting(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> Any:
    pairs = [tuple(value.split("=", 1)) for value in values]
    if wrong := [value for value, pair in zip(values, pairs, strict=True) if len(pair) < 2]:
        raise click.BadParameter(f"{', '.join(wrong)}: give each as key=value")
    return tuple(pairs)


@click.command()
@click.argument("model", type=click.Choice(MODELS))
@click.option(
    "--data", type=click.Choice(DATA), metavar="NAME", default="generator", show_default=True,
    help="A data set, see `avnir data list`.",
)  # fmt: skip
@click.option("--data-dir", type=PRESENT, help="Folder of the data's files; all but the generator need it.")
@click.option(
    "--split", type=click.Choice(["official", "authors"]), default="official", show_default=True,
    help="Who tests; `avnir data list` says what leaks under authors.",
)  # fmt: skip
@click.option("--fold", type=click.IntRange(0), help="The fold that tests, where the data have folds.")
@click.option("--image-size", type=click.IntRange(1), help="Side of pictures.  [default: 28, av-digits 16]")
@click.option("--audio-size", type=click.IntRange(1), help="Of spectrograms.  [default: 28, av-digits 16]")
@click.option("--steps", type=click.IntRange(1), help="Of a window.  [default: 4, av-digits 8]")
@click.option(
    "--vectors", is_flag=True, help="Every input as a vector of standardised values; for small data sets."
)
@click.option("--modality", type=click.Choice(list(MODALITIES)), help="What is seen.  [default: both]")
@click.option(
    "--form", type=click.Choice(["paper", "deployable"]),
    help="As published, or of what a chip has; not of av-digits.  [default: deployable]",
)  # fmt: skip
@click.option(
    "--set", "settings", metavar="KEY=VALUE", multiple=True, callback=_setting,
    help="An option of the network, an unknown one lists them all; may be repeated.",
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(1), help="[default: the model's]")
@click.option("--batch-size", type=click.IntRange(2), help="[default: the model's]")
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), help="[default: the model's]")
@click.option(
    "--input-noise", type=click.FloatRange(0, 1), help="Deviation of noise added in training.  [default: 0]"
)
@click.option("--warm-up", "warmup_epochs", type=click.IntRange(0), help="Epochs.  [default: the model's]")
@click.option(
    "--validation",
    type=click.FloatRange(0, 0.9),
    help="Share of the training pairs to hold back.  [default: 0.1, av-digits 0]",
)
@click.option(
    "--pick", type=click.Choice(["last", "best"]), default="last", show_default=True,
    help="The epoch to keep: the last, or the best on the validation pairs.",
)  # fmt: skip
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--devices", type=click.IntRange(1), default=1, show_default=True,
    help="Processes that share each batch; start as many with torchrun.",
)  # fmt: skip
@click.option(
    "--precision", type=click.Choice(["32", "bf16-mixed", "16-mixed"]), default="32", show_default=True,
    help="Of the arithmetic in training.",
)  # fmt: skip
@click.option("--subset", type=click.IntRange(1), help="Train on this many pairs only.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--out", type=FILE, default=Path("model.pt"), show_default=True, help="The file to write.")
@click.option("--resume", type=FILE, help="Continue from a file that --checkpoint wrote.")
@click.option("--checkpoint", type=FILE, help="Keep the state of the training here after each epoch.")
@click.option("--metrics", type=FILE, help="Append one CSV row per epoch here.")
@click.option("--tensorboard", type=FOLDER, help="Add each epoch to TensorBoard's curves in this folder.")
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
def command(as_json: bool, **options: Any) -> None:
    r"""Train MODEL and save it with its reference spikes, ready for export and verify.

    \b
    av-digits   a small network of image and voice branches
    scmrl       cross-modal residuals by spiking attention (arXiv 2502.12488)
    l2act       spiking ResNet, normalised embeddings, spiking MLP (2502.10423)
    taaf        fusion weighted by temporal attention (2505.14535)

    The default data are made on the spot: scikit-learn's handwritten digits and synthetic voices; `avnir data
    list` tells of the others. The network takes the shapes of the data. The saved file holds examples of the
    test data; nothing is decided by them.

    With --quantise the network that was trained, or --start, is compiled to the chip's integers, and these
    are trained on in the chip's own arithmetic. `export` and `verify` know the width.
    """
    run = Run(**options)
    _check(run)
    from avnir.models import job as work
    from avnir.models.machine import is_first

    job = _job(run)
    data, warned = work.load_data(job)
    for line in warned if is_first() else ():
        click.echo(f"warning: {line}", err=True)
    with _progress_bar("training", is_first()) as progress:
        if run.quantise:
            result = work.train_integers(
                job, data, progress, run.quantise, run.weight_bits, run.quantise_epochs
            )
        else:
            result = work.train_floats(job, data, progress)
    if is_first():
        click.echo(json.dumps({"model": str(run.out), **result}) if as_json else _summary(run.out, result))


def _check(run: Run) -> None:
    """Refuse what does not fit together, and folders that are not there, before any work."""
    for path in filter(None, (run.out, run.checkpoint, run.metrics)):
        if not path.parent.is_dir():
            raise click.UsageError(f"the folder of {path} does not exist; make it first")
    _check_data(run)
    if run.model == "av-digits" and run.form is not None:
        raise click.UsageError("av-digits has one form: leave out --form")
    if run.start and not run.quantise:
        raise click.UsageError("--start is what --quantise begins with; give both")
    if run.start and (surplus := _named(run, "modality", "resume", "checkpoint")):
        raise click.UsageError(f"with --start nothing is trained in floating point: leave out {surplus}")
    if run.quantise:
        from avnir import target

        target.load(run.quantise)


def _check_data(run: Run) -> None:
    """Refuse what the data set has not, before anything is read."""
    from avnir.models.data.registry import describe

    data = describe(run.data)
    if run.data == "generator":
        if surplus := _named(run, *FIXED):
            raise click.UsageError(f"the generator makes its data, all 16x16: leave out {surplus}")
    elif run.data_dir is None:
        needed = "; and ".join(data.needs)
        raise click.UsageError(f"{run.data} is read from files, say where with --data-dir: {needed}")
    asked = MODALITIES[run.modality or "both"]
    wanted = ("image", "audio") if asked == "both" else (asked,)
    if run.start is None and (lacking := [name for name in wanted if name not in data.modalities]):
        raise click.UsageError(f"{run.data} has no {lacking[0]}: choose --modality {data.modalities[0]}")


def _named(run: Run, *names: str) -> str:
    """Those of these options that were given, as they are written."""
    return ", ".join(f"--{name.replace('_', '-')}" for name in _given(run, *names))


def _job(run: Run) -> Job:
    from avnir.models.data.registry import Options
    from avnir.models.job import Job

    digits = run.model == "av-digits"
    sizes = {
        **(OF_THE_DIGITS if digits else OF_THE_SYSTEMS),
        **_given(run, "image_size", "audio_size", "steps"),
    }
    training = _given(
        run, "epochs", "batch_size", "learning_rate", "input_noise", "warmup_epochs", "validation", "pick"
    )
    return Job(
        model=run.model,
        data=run.data,
        folder=run.data_dir,
        options=Options(seed=run.seed, split=run.split, fold=run.fold, vectors=run.vectors, **sizes),
        modality=MODALITIES[run.modality or "both"],
        form=run.form or "deployable",
        settings=dict(run.settings),
        training=training if digits else {**SYSTEM_TRAINING, **training},
        subset=run.subset,
        examples=run.examples,
        out=run.out,
        machine=_machine(run),
        files=_files(run),
        start=run.start,
    )


def _given(run: Run, *names: str) -> dict[str, Any]:
    return {name: getattr(run, name) for name in names if getattr(run, name) is not None}


def _machine(run: Run) -> Machine:
    from avnir.models.machine import Machine

    return Machine(run.device, run.devices, run.precision)  # type: ignore[arg-type]


def _files(run: Run) -> Files:
    from avnir.models.training import Files

    return Files(run.checkpoint, run.resume, run.metrics, run.tensorboard)


def _summary(out: Path, result: Mapping[str, Any]) -> str:
    lines = [
        f"{result['data']}, {result['modality']}: trained in {result['training_seconds']} s",
        f"test accuracy   {result['test_accuracy']:.2%} of {result['test_pairs']} pairs",
        f"train accuracy  {result['train_accuracy']:.2%} of {result['train_pairs']} pairs, "
        f"during epoch {result.get('picked_epoch', result['epochs'])}",
    ]
    if "validation_accuracy" in result:
        lines.append(f"validation      {result['validation_accuracy']:.2%} after that epoch")
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
def _progress_bar(what: str, shown: bool) -> Iterator[Progress]:
    """A bar on standard error, so that standard output stays clean for --json."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task(what, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)
