"""From a PyTorch module to avnir's graph and back to files.

`trace` reads a model, `save` and `load` keep it as `model.pt`, `reference` runs it in snnTorch.
A module is imported when one of its names is first used, so that the interchange formats, which live in
this package too, do not wait for torch. No module may be called like a public name: importing it would
put the module in the name's place.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avnir.export.checkpoint import Checkpoint as Checkpoint
    from avnir.export.checkpoint import load as load
    from avnir.export.checkpoint import save as save
    from avnir.export.nir_read import read_nir as read_nir
    from avnir.export.nir_write import write_nir as write_nir
    from avnir.export.replay import TieError as TieError
    from avnir.export.time_shift import delayed as delayed
    from avnir.export.torch_reference import reference as reference
    from avnir.export.tracing import trace as trace

_LAZY = {
    "Checkpoint": "avnir.export.checkpoint",
    "TieError": "avnir.export.replay",
    "delayed": "avnir.export.time_shift",
    "load": "avnir.export.checkpoint",
    "read_nir": "avnir.export.nir_read",
    "reference": "avnir.export.torch_reference",
    "save": "avnir.export.checkpoint",
    "trace": "avnir.export.tracing",
    "write_nir": "avnir.export.nir_write",
}

__all__ = [
    "Checkpoint",
    "TieError",
    "delayed",
    "load",
    "read_nir",
    "reference",
    "save",
    "trace",
    "write_nir",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
