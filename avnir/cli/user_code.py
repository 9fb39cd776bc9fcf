"""The user's own program: imported, called, traced. What fails in it is reported as theirs."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avnir.errors import AvnirError, DataError, UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from avnir.export.examples import Time
    from avnir.export.tracing import Traced
    from avnir.ir.operation import Array

FRAMES = 4
"""How many lines of the user's code an error shows."""


def built(module: str, function: str, weights: Path | None) -> tuple[nn.Module, Path]:
    """What `function` in `module` returns, with the weights of that file; and the file of the module.

    This runs the user's code, in the current folder, with PyTorch's random numbers seeded by 0, so that
    the same code gives the same model. Raises UserError where it fails or returns no model.
    """
    import torch

    from avnir.export.weights import load_weights

    name = f"{module}:{function}"
    sys.path.insert(0, str(Path.cwd()))
    torch.manual_seed(0)
    with _theirs(name):
        model = _function(module, function)()
    if not isinstance(model, torch.nn.Module):
        raise UserError(f"{name} returned a {type(model).__name__}; return the torch.nn.Module to export")
    if weights is not None:
        load_weights(model, weights)
    return model, Path(str(sys.modules[module].__file__))


def traced_examples(
    model: nn.Module, inputs: Path | None, time: Time, outputs: tuple[int | str, ...] | None = None
) -> tuple[Traced, Array | None]:
    """The model's graph with its own run on the arrays in `inputs`, proved by replay; and the labels.

    `outputs`: those that are kept, by name or position; all by default.

    Raises DataError where the arrays do not fit forward, UserError where the model fails on them, and what
    `avnir.export.trace` raises.
    """
    from avnir.cli.inputs import checked_labels, read_inputs
    from avnir.export.tracing import traced

    if inputs is None:
        raise DataError(
            "a model of your own needs example inputs: give --inputs FILE.npz, one array [T, B, ...] for "
            "each parameter of forward"
        )
    arrays, labels = read_inputs(inputs)
    tensors = _tensors(arrays, inputs)
    _check_names(model, arrays, inputs)
    with _their_lines():
        made = traced(model, tensors, time, outputs=outputs)
    return made, checked_labels(labels, made.examples.batch)


def _function(module: str, function: str) -> Any:
    import torch

    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        remedy = "run avnir in the folder that holds it, and give its name without .py"
        raise UserError(
            f"there is no module {module!r} in {Path.cwd().name or '/'} ({error}); {remedy}"
        ) from error
    if not hasattr(found, function):
        names = [name for name, value in vars(found).items() if callable(value) and name[0] != "_"]
        raise UserError(f"{module} has no {function!r}; it has {', '.join(names) or 'no functions'}")
    build = getattr(found, function)
    if isinstance(build, torch.nn.Module) or not callable(build):
        raise UserError(
            f"{module}:{function} is a {type(build).__name__}; give a function that returns the model"
        )
    return build


def _check_names(model: nn.Module, given: Mapping[str, Array], path: Path) -> None:
    """DataError where forward needs what the file lacks, or does not take what it has."""
    parameters = inspect.signature(model.forward).parameters
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
    positional = {
        n: p for n, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    }
    needed = [name for name, p in positional.items() if p.default is p.empty]
    problems = [f"it lacks {name!r}" for name in needed if name not in given]
    problems += [f"forward takes no {name!r}" for name in given if name not in positional and not variadic]
    if problems:
        raise DataError(
            f"{path} does not fit forward({', '.join(positional)}): {', '.join(problems)}. Give one array "
            "[T, B, ...] for each input; a model that takes and returns its states goes through "
            "avnir.save(..., states=...)"
        )


def _tensors(arrays: Mapping[str, Array], path: Path) -> dict[str, Tensor]:
    """The arrays in float32, as models take them; DataError naming those that float32 does not hold."""
    import torch

    wrong = [name for name, array in arrays.items() if not _in_single(array)]
    if wrong or not arrays:
        what = f"{', '.join(wrong)}: values that float32 does not hold" if wrong else "no arrays"
        raise DataError(f"{path} has {what}; give one array of numbers for each input, float32 or spikes")
    return {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}


def _in_single(array: Array) -> bool:
    if array.dtype.kind not in "fiub":
        return False
    with np.errstate(over="ignore"):
        return bool(np.array_equal(array.astype(np.float32).astype(array.dtype), array))


@contextlib.contextmanager
def _theirs(what: str) -> Iterator[None]:
    """Runs the user's code: what it prints goes to stderr, what it raises becomes one UserError."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except AvnirError:
        raise
    except (Exception, SystemExit) as error:
        head = f"{what} failed in your code ({type(error).__name__}: {error})"
        raise UserError("\n".join([head, *_lines(error)])) from error


@contextlib.contextmanager
def _their_lines() -> Iterator[None]:
    """Runs avnir's tracer, which runs the user's forward and says what fails in it; adds where."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except UserError as error:
        if type(error) is not UserError or error.__cause__ is None:
            raise
        raise UserError("\n".join([str(error), *_lines(error.__cause__)])) from error
    except SystemExit as error:
        head = f"the model ended the program ({error})"
        raise UserError("\n".join([head, *_lines(error)])) from error


def _lines(error: BaseException) -> list[str]:
    """The last lines of the user's code behind an error: file, line, function, text."""
    here = Path.cwd()
    walked = zip(
        traceback.walk_tb(error.__traceback__), traceback.extract_tb(error.__traceback__), strict=True
    )
    foreign = [shown for (frame, _), shown in walked if not _library(frame.f_globals.get("__name__", ""))]
    near = [frame for frame in foreign if Path(frame.filename).is_relative_to(here)] or foreign
    return [
        f"  {os.path.relpath(frame.filename, here)}:{frame.lineno} in {frame.name}: {frame.line}"
        for frame in near[-FRAMES:]
    ]


def _library(module: str) -> bool:
    return module.partition(".")[0] in ("avnir", "importlib", "torch", "snntorch")
