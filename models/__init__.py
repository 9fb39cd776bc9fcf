"""The networks that avnir trains and ships, rebuilt from a name and a JSON configuration."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from avnir.errors import UserError

if TYPE_CHECKING:
    from torch import nn

MODULES = {"av-digits": "av_digits", "l2act": "l2act", "scmrl": "scmrl", "taaf": "taaf"}
"""The file of this package that holds each architecture."""


def module_of(name: str) -> ModuleType:
    """Where architecture `name` is: `build`, `config_for` and `training_defaults`.

    Raises `UserError` for an unknown name.
    """
    if name not in MODULES:
        raise UserError(f"unknown architecture {name!r}; known are: {', '.join(sorted(MODULES))}")
    return import_module(f"avnir.models.{MODULES[name]}")


def build(name: str, config: Mapping[str, Any]) -> nn.Module:
    """The untrained network of architecture `name`, as its JSON `config` describes it.

    Raises `UserError` for an unknown name, and for unknown keys or values out of range in `config`.
    """
    return module_of(name).build(config)
