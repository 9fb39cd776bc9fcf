"""Operations along one axis: a sample (C, L) is a picture (C, 1, L) of one row.

The real level has two-dimensional windows only; a reshape before and behind makes them the
one-dimensional ones, with the same sums. Between two of them the reshapes cancel.
"""

from __future__ import annotations

from typing import Any

from avnir.export.builder import Call, Refused, Value
from avnir.ir import real


def row(sizes: Any, other: int = 0) -> Any:
    """A size along L as a pair for (1, L); a word, such as 'same', stays."""
    if isinstance(sizes, str):
        return sizes
    return (other, int(sizes if isinstance(sizes, int) else sizes[0]))


def in_rows(call: Call, op: real.RealOperation, x: Value, label: str = "") -> Value:
    """`op`, which takes (C, 1, L), on a sample (C, L)."""
    return to_sequence(call, call.emit(op, to_rows(call, x), label=label))


def to_rows(call: Call, x: Value) -> Value:
    """(C, L) as (C, 1, L)."""
    if x.producers in call.builder.rows:
        return call.builder.rows[x.producers]
    if len(x.shape) != 2:
        raise Refused(f"works on samples (C, L), but this one is {x.shape}", "Keep a channel axis: [B, C, L]")
    channels, length = x.shape
    return call.emit(real.Flatten((channels, 1, length)), x, label="rows")


def to_sequence(call: Call, x: Value) -> Value:
    """(C, 1, L) as (C, L)."""
    channels, _, length = x.shape
    flat = call.emit(real.Flatten((channels, length)), x, label="sequence")
    call.builder.rows[flat.producers] = x
    return flat
