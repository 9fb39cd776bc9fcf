"""Where a command's network comes from: a `model.pt`, a function of the user's, or a NIR file.

A `model.pt` and a NIR file are read, and nothing in them is run. `package.module:build` is the user's own
program: it is imported from the current folder and called.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from avnir.decision import Decision
    from avnir.export.examples import Time
    from avnir.ir.graph import Graph
    from avnir.ir.operation import Array
    from avnir.trace import Trace

FILE = "model.pt"
MODULE = "module:build"
NIR = "nir"

FUNCTION = re.compile(r"(?P<module>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<function>[A-Za-z_]\w*)\Z")
HDF5 = b"\x89HDF\r\n\x1a\n"
"""How a NIR file begins, whatever it is called."""

SAVE = "Build the model, load its weights, and call avnir.save(model, example_inputs, path)"
_SCRIPT = ("is TorchScript: compiled code in which snnTorch's neurons are no longer to be found", SAVE)
REFUSED: Mapping[str, tuple[str, str]] = {
    ".pt2": ("is a program of torch.export: loading it runs code that is pickled in it", SAVE),
    ".ts": _SCRIPT,
    ".torchscript": _SCRIPT,
    ".onnx": ("is ONNX, which has no spiking neurons: what they did is spread over its operations", SAVE),
    ".safetensors": (
        "holds weights without a network",
        "Give the network as package.module:build, and this file with --weights",
    ),
    ".py": (
        "is a program; which of its functions builds the model is not known",
        "Give it as package.module:build, for example {stem}:build for a function build in {stem}.py",
    ),
}
"""What is not taken as a model, by the end of its name: why, and what to do instead."""


@dataclass(frozen=True)
class Request:
    """What the user said on the command line about one model."""

    model: str
    weights: Path | None = None
    inputs: Path | None = None
    time: Time | None = None
    dt: float | None = None
    outputs: tuple[int | str, ...] | None = None

    @property
    def kind(self) -> str:
        """FILE, MODULE or NIR, by the argument's form and, where it is a file, how that begins."""
        path = Path(self.model)
        if FUNCTION.match(self.model) and not path.exists():
            return MODULE
        return NIR if path.suffix == ".nir" or _begins(path, HDF5) else FILE

    @property
    def stem(self) -> Path:
        """Where results are written by default, without an ending."""
        if match := FUNCTION.match(self.model) if self.kind == MODULE else None:
            return Path(match["module"].rpartition(".")[2])
        return Path(self.model).with_suffix("")


@dataclass(frozen=True)
class Source:
    """A network with what is known about it.

    `inputs[name]` `[T, B, *shape]`, None where there are none; `recorded`: what the original model did on
    them, None where that is not known; `labels` `[B]` or None; `traced`: whether a snnTorch model stands
    behind the graph, which can then be run as reference; `record`: plain values, for the manifest; `tuned`:
    for which target, weight bits and program it was fine-tuned, empty where it was not; `decision`: how a
    host reads the class, None for the usual way; `history`: what its file says of its making, for the report.
    """

    name: str
    graph: Graph
    traced: bool
    record: Mapping[str, Any]
    inputs: Mapping[str, Array] | None = None
    recorded: Trace | None = None
    labels: Array | None = None
    tuned: Mapping[str, Any] = field(default_factory=dict)
    decision: Decision | None = None
    history: Mapping[str, Any] = field(default_factory=dict)


def model_options(command: Callable[..., Any], required: bool = True) -> Callable[..., Any]:
    """The argument MODEL and the options that say more about it, handed over as one `request`.

    Where MODEL is not `required` and was not given, the request's model is empty.
    """

    @wraps(command)
    def packed(
        model: str | None,
        weights: Path | None,
        inputs: Path | None,
        time: Any,
        dt: float | None,
        outputs: str | None,
        **rest: Any,
    ) -> Any:
        kept = None if outputs is None else names_of(outputs)
        return command(request=Request(model or "", weights, inputs, time, dt, kept), **rest)

    path = click.Path(path_type=Path)
    options = (
        click.argument("model", required=required),
        click.option(
            "--inputs", type=path, help="An .npz, [T, B, ...] per input, instead of MODEL's examples."
        ),
        click.option("--weights", type=path, help="For module:build: a state_dict (.pt) or .safetensors."),
        click.option(
            "--time",
            type=click.Choice(["step", "window"]),
            help="For module:build: what one call of the model gets [default: step].",
        ),
        click.option("--dt", type=float, help="For a NIR file that doesn't say it: seconds a time step."),
        click.option(
            "--outputs", help="For module:build: the outputs to keep, by name or position: 0, or spk,aux."
        ),
    )
    made: Callable[..., Any] = packed
    for option in reversed(options):
        made = option(made)
    return made


def names_of(text: str) -> tuple[int | str, ...]:
    """Outputs by name or position, from a list with commas."""
    parts = [part.strip() for part in text.split(",")]
    return tuple(int(part) if part.isdigit() else part for part in parts)


def open_source(request: Request) -> Source:
    """The network that the user asked for.

    Raises UserError, with all that does not fit: CheckpointError and InterchangeError for files,
    UnsupportedError and ReplayError for a model that cannot be taken exactly, DataError for inputs.
    """
    _refuse_foreign(Path(request.model))
    _refuse_surplus(request)
    return _OPENERS[request.kind](request)


def _refuse_foreign(path: Path) -> None:
    from avnir.errors import CheckpointError

    known = REFUSED.get(_inner_format(path) or path.suffix.lower())
    if known and not FUNCTION.match(str(path)):
        problem, remedy = known
        raise CheckpointError(f"{path} {problem}. {remedy.format(stem=path.stem)}")


def _inner_format(path: Path) -> str | None:
    """The ending that a zip archive of PyTorch should have, by what is in it."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # no archive, or a damaged one, which raises a dozen types: reading it says so
        return None
    if any(name.endswith("/archive_format") or name.startswith("serialized_") for name in names):
        return ".pt2"
    return ".torchscript" if any("/code/" in name for name in names) else None


_BELONG: Mapping[str, frozenset[str]] = {
    "weights": frozenset({MODULE}),
    "time": frozenset({MODULE}),
    "dt": frozenset({NIR}),
    "outputs": frozenset({MODULE}),
}


def _refuse_surplus(request: Request) -> None:
    from avnir.errors import UserError

    wrong = [
        f"--{option} is for {' or '.join(sorted(kinds))}"
        for option, kinds in _BELONG.items()
        if getattr(request, option) is not None and request.kind not in kinds
    ]
    if wrong:
        raise UserError(f"{request.model} is taken as {request.kind}, but {', '.join(wrong)}; leave it out")


def _begins(path: Path, magic: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError:
        return False


def _from_file(request: Request) -> Source:
    from avnir.export import load

    path = Path(request.model)
    checkpoint = load(path)
    record: dict[str, Any] = {"kind": FILE, **_named(path)}
    tuned = checkpoint.notes if "program" in checkpoint.notes else {}
    history = {**checkpoint.notes, "versions": checkpoint.versions}
    if request.inputs is None:
        examples = checkpoint.inputs, checkpoint.recorded, checkpoint.labels
        known = *examples, tuned, checkpoint.decision, history
        return Source(path.name, checkpoint.graph, True, record, *known)
    inputs, labels = _checked(checkpoint.graph, request.inputs)
    record |= {"inputs": _named(request.inputs)}
    given = inputs, None, labels
    return Source(path.name, checkpoint.graph, True, record, *given, tuned, checkpoint.decision, history)


def _from_nir(request: Request) -> Source:
    from avnir.export import read_nir

    path = Path(request.model)
    graph = read_nir(path, request.dt)
    record: dict[str, Any] = {"kind": NIR, **_named(path), "dt": graph.dt}
    if request.inputs is None:
        return Source(path.name, graph, False, record)
    inputs, labels = _checked(graph, request.inputs)
    return Source(path.name, graph, False, record | {"inputs": _named(request.inputs)}, inputs, None, labels)


def _from_module(request: Request) -> Source:
    from avnir.cli.user_code import built, traced_examples
    from avnir.export.capture import identifier

    match = FUNCTION.match(request.model)
    assert match is not None
    model, file = built(match["module"], match["function"], request.weights)
    time: Time = request.time or "step"
    made, labels = traced_examples(model, request.inputs, time, request.outputs)
    record: dict[str, Any] = {"kind": MODULE, "name": request.model, "sha256": sha256(file), "time": time}
    record |= {} if request.outputs is None else {"outputs": list(request.outputs)}
    for what, path in (("weights", request.weights), ("inputs", request.inputs)):
        record |= {} if path is None else {what: _named(path)}
    inputs = {identifier(name): array for name, array in made.examples.arrays().items()}
    return Source(request.model, made.graph, True, record, inputs, made.recorded, labels)


_OPENERS: Mapping[str, Callable[[Request], Source]] = {
    FILE: _from_file,
    MODULE: _from_module,
    NIR: _from_nir,
}


def _checked(graph: Graph, path: Path) -> tuple[dict[str, Array], Array | None]:
    from avnir.cli.inputs import checked_labels, read_inputs
    from avnir.trace import checked_inputs

    given, labels = read_inputs(path)
    inputs = checked_inputs(graph, given)
    return inputs, checked_labels(labels, next(iter(inputs.values())).shape[1])


def _named(path: Path) -> dict[str, str]:
    return {"name": path.name, "sha256": sha256(path)}


def sha256(path: Path) -> str:
    """The digest of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
