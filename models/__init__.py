"""The networks that avnir trains and ships, rebuilt from a name and a JSON configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from avnir.errors import UserError

if TYPE_CHECKING:
    from torch import nn


def build(name: str, config: Mapping[str, Any]) -> nn.Module:
    """The untrained network of architecture `name`, as its JSON `config` describes it.

    Raises `UserError` for an unknown name, and for unknown keys or values out of range in `config`.
    """
    if name not in _BUILDERS:
        raise UserError(f"unknown architecture {name!r}; known are: {', '.join(sorted(_BUILDERS))}")
    return _BUILDERS[name](config)


def _av_digits(config: Mapping[str, Any]) -> nn.Module:
    from avnir.models.av_digits import AVDigitsConfig, av_digits

    return av_digits(AVDigitsConfig.from_json(config))


_BUILDERS: dict[str, Callable[[Mapping[str, Any]], nn.Module]] = {"av-digits": _av_digits}
