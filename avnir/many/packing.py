"""Networks as bytes, for the way to a worker: made once, read once in each process.

Graphs keep what they have worked out about themselves, and operations hold arrays that nobody may write to:
both are made anew from their parts, and so checked again where they arrive.
"""

from __future__ import annotations

import io
import pickle
from functools import lru_cache
from typing import Any

from avnir.ir.graph import Graph
from avnir.ir.operation import Operation


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Graph):
            return Graph, (obj.level, obj.nodes, obj.dt)
        if isinstance(obj, Operation):
            return type(obj), tuple(value for _, value in obj.items())
        return NotImplemented


def packed(value: object) -> bytes:
    """The value as bytes, for a worker of the same version of avnir."""
    buffer = io.BytesIO()
    _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(value)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def unpacked(content: bytes) -> Any:
    """What `packed` was given; the same object for the same bytes, as long as no other was asked for."""
    return pickle.loads(content)
