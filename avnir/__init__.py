"""avnir takes a spiking network trained in snnTorch to a neuromorphic chip, exactly.

`avnir.save`, `avnir.delayed` and `avnir.export` need torch (`pip install "avnir[torch]"`); everything else
does not.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "save": "avnir.export",
    "delayed": "avnir.export",
    "Graph": "avnir.ir.graph",
    "Program": "avnir.program",
    "Trace": "avnir.trace",
}
"""Public names and the module that defines each; imported when first used."""

__all__ = ["Graph", "Program", "Trace", "__version__", "delayed", "save"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'avnir' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
