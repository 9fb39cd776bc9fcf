"""Weights of a user's own model from a file: a PyTorch state_dict, or safetensors.

Nothing in either file is run. The file must fit the model to the last entry: a name that one of them lacks,
another shape, or a value that the model's type cannot hold is one of the findings of a single error.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avnir.errors import CheckpointError
from avnir.export.container import MAX_BYTES

SAFETENSORS = ".safetensors"
_REMEDY = "Give the state_dict of this very model, as torch.save(model.state_dict(), path) writes it"


def load_weights(model: nn.Module, path: Path) -> None:
    """Put the weights in `path` (`.safetensors`, else a state_dict of torch.save) into `model`.

    Raises CheckpointError where the file is missing, damaged or no state_dict, or with everything in which
    it differs from the model; the model is changed only if nothing does.
    """
    given = read_weights(path)
    own = model.state_dict()
    if problems := list(_problems(own, given)):
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise CheckpointError(f"{path} does not fit the model:\n{listed}\n{_REMEDY}")
    model.load_state_dict(dict(given))


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """The tensors in `path` by name, on the CPU; CheckpointError where they cannot be read."""
    try:
        size = path.stat().st_size
        if not path.is_file() or not 0 < size <= MAX_BYTES:
            raise CheckpointError(f"{path} has {size} bytes, but weights have 1 to {MAX_BYTES}. {_REMEDY}")
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}). Check the path") from error
    return _safetensors(path) if path.suffix == SAFETENSORS else _state_dict(path)


def _safetensors(path: Path) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file ({error}). {_REMEDY}") from error


def _state_dict(path: Path) -> Mapping[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch raises whatever its parts raise
        reason = (str(error).splitlines() or [""])[0][:200]
        raise CheckpointError(
            f"{path} holds something else than tensors, and was not run ({type(error).__name__}: {reason}). "
            f"{_REMEDY}"
        ) from error
    if not isinstance(loaded, dict) or not all(isinstance(tensor, Tensor) for tensor in loaded.values()):
        raise CheckpointError(f"{path} is no state_dict: {_shown(loaded)}. {_REMEDY}")
    return loaded


def _shown(loaded: Any) -> str:
    if not isinstance(loaded, dict):
        return f"it holds a {type(loaded).__name__}"
    others = [str(name) for name, value in loaded.items() if not isinstance(value, Tensor)]
    return f"its entries {', '.join(others[:8])} are no tensors"


def _problems(own: Mapping[str, Any], given: Mapping[str, Tensor]) -> Iterator[str]:
    yield from (f"{name} is missing" for name in own if name not in given)
    yield from (f"{name} is not in the model" for name in given if name not in own)
    for name, value in own.items():
        if not isinstance(value, Tensor):
            yield f"{name} is a {type(value).__name__} in the model, not a tensor"
        elif name in given:
            yield from _tensor_problems(name, value, given[name])


def _tensor_problems(name: str, own: Tensor, given: Tensor) -> Iterator[str]:
    if given.shape != own.shape:
        yield f"{name} has shape {tuple(given.shape)}, but the model's has {tuple(own.shape)}"
    elif not bool(torch.isfinite(given).all()):
        yield f"{name} has values that are not finite"
    elif not torch.equal(given.to(own.dtype).to(given.dtype), given):
        yield f"{name} is {given.dtype} and has values that {own.dtype} does not hold"
