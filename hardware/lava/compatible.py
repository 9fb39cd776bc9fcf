"""Lets Python 3.11 and 3.12 import lava-nc 0.10.0, which was written for 3.10."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

MODULE = "lava.magma.compiler.var_model"


def make_importable() -> None:
    """Import the one module whose dataclasses have instances of dataclasses as field defaults.

    From 3.11 on a default must be hashable, so that module's own dataclasses are made hashable while it is
    imported. Nothing else sees the change.
    """
    original = dataclasses.dataclass

    def hashable(cls: Any = None, **options: Any) -> Any:
        if cls is None:
            return lambda decorated: hashable(decorated, **options)
        if cls.__module__ == MODULE:
            options = {**options, "unsafe_hash": True}
        return original(cls, **options)

    dataclasses.dataclass = hashable
    try:
        importlib.import_module(MODULE)
    finally:
        dataclasses.dataclass = original
