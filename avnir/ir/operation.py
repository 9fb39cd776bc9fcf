"""What every operation answers for itself, on any level.

An operation is a frozen dataclass: plain numbers, strings and tuples, and numpy arrays that nobody
may write to. It knows its output shape, whether its output is a spike train, and how to print
itself. Graphs compare operations by value, arrays included, bit for bit.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from avnir.errors import GraphError

Shape = tuple[int, ...]
Array = NDArray[Any]


def frozen(array: Array) -> Array:
    """The array, C-contiguous and read-only; a copy unless it was both already."""
    if array.flags.c_contiguous and not array.flags.writeable:
        return array
    result = array.copy(order="C")
    result.flags.writeable = False
    return result


def same_array(a: Array, b: Array) -> bool:
    """Equal dtype, shape and bits: -0.0 and 0.0 differ, equal NaNs do not."""
    return a is b or (a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())


def digest(array: Array) -> str:
    """SHA-256 over dtype, shape and bytes (little-endian), the name of an array in a saved file."""
    plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    head = f"{plain.dtype.str}{tuple(np.shape(array))}".encode()
    return hashlib.sha256(head + plain.tobytes()).hexdigest()


@dataclass(frozen=True, eq=False)
class Operation:
    """The base of every operation: refuses politely what a subclass does not answer."""

    level: ClassVar[str]
    spiking: ClassVar[bool] = False
    """Whether the output travels on axons: a train of binary spikes, or of graded messages."""
    stateful: ClassVar[bool] = False
    """Whether the operation keeps a membrane potential from one time step to the next."""

    def __post_init__(self) -> None:
        for field, value in self.items():
            if isinstance(value, np.ndarray | np.generic):
                object.__setattr__(self, field, frozen(np.asarray(value)))
            elif isinstance(value, list):
                object.__setattr__(self, field, tuple(value))
        self.check()

    def check(self) -> None:
        """Raise GraphError where a parameter is out of its range."""

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of one sample's output for one sample's input, without time and batch."""
        raise GraphError(f"{self.kind} does not say what shape it makes of {shape}")

    @property
    def delayed(self) -> bool:
        """Whether its output follows from earlier steps alone, so that a loop may close through it."""
        return False

    @property
    def rehearsed(self) -> bool:
        """Whether what it gives was made when the window was shown before (`avnir.ir.presentations`)."""
        return False

    def begin(self, state: dict[str, Array]) -> None:
        """Leave in `state` what stays when a window begins: nothing."""
        state.clear()

    @property
    def kind(self) -> str:
        """The operation's name in text and in files."""
        return type(self).__name__

    def items(self) -> Iterator[tuple[str, Any]]:
        """Parameter names and values, in the order of declaration."""
        return ((f.name, getattr(self, f.name)) for f in dataclasses.fields(self))

    def replace(self, **changes: Any) -> Self:
        """A copy with some parameters changed."""
        return dataclasses.replace(self, **changes)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        pairs = zip(self.items(), other.items(), strict=True)
        return all(_same(a, b) for (_, a), (_, b) in pairs)

    def __hash__(self) -> int:
        return hash((self.kind, tuple(k for k, v in self.items() if v is not None)))

    def text(self) -> str:
        """`Kind(name=value, ...)`; an array prints as dtype, shape and the head of its digest.

        A parameter that is None unless given is left out where it is None.
        """
        absent = {field.name for field in dataclasses.fields(self) if field.default is None}
        shown = ((name, value) for name, value in self.items() if value is not None or name not in absent)
        return f"{self.kind}({', '.join(f'{name}={_text(value)}' for name, value in shown)})"


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return same_array(a, b)
    return type(a) is type(b) and bool(a == b)


def _text(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return repr(value)
    if value.ndim == 0:
        return f"{value.dtype}:{value.item()!r}"
    return f"{value.dtype}{list(value.shape)}#{digest(value)[:12]}".replace(" ", "")


def require(condition: bool, operation: Operation, field: str, limit: str) -> None:
    """Raise GraphError naming the operation, the parameter, its value and its limit."""
    if not condition:
        value = getattr(operation, field)
        shown = f"values in [{value.min()}, {value.max()}]" if isinstance(value, np.ndarray) else repr(value)
        raise GraphError(f"{operation.kind}.{field} is {shown}, but must be {limit}")
