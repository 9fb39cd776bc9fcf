"""What the configurations of the networks share: JSON, settings given as text, one error for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, Self, get_args, get_origin, get_type_hints

from avnir.errors import UserError

Shape3 = tuple[int, int, int]
"""(channels, height, width) of one sample at one step; a vector of n values is (n, 1, 1)."""


@dataclass(frozen=True)
class Configuration:
    """Base of a network's frozen dataclass of options.

    Fields are integers, floats, booleans, choices (`Literal`) and shapes (`Shape3`). Every number lies
    within `limits`, by the field's name, and is at least 1 where nothing is said.
    """

    name: ClassVar[str]
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {}

    def __post_init__(self) -> None:
        if problems := self._misfits() or self.conflicts():
            raise UserError(f"{self.name} configuration: {'; '.join(problems)}")

    def conflicts(self) -> list[str]:
        """Which options, each in range, do not go together, and what to change; for subclasses."""
        return []

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives the same configuration back."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild from `to_json`; missing keys take their default, unknown ones raise `UserError`."""
        cls._refuse_unknown(values)
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    @classmethod
    def from_settings(cls, given: Mapping[str, Any], settings: Mapping[str, str]) -> Self:
        """The values `given`, overridden by `settings` as a command line gives them: all of them text.

        Raises `UserError` for an unknown name and for text that is no value of the field's type.
        """
        cls._refuse_unknown({**given, **settings})
        hints = get_type_hints(cls)
        read: dict[str, Any] = {}
        problems = []
        for key, text in settings.items():
            try:
                read[key] = _READERS.get(hints[key], str)(text)
            except (ValueError, KeyError):
                problems.append(f"{key} is {text!r}, must be {_rule(hints[key], cls._limits(key))}")
        if problems:
            raise UserError(f"{cls.name} configuration: {'; '.join(problems)}")
        return cls(**{**given, **read})

    @classmethod
    def _refuse_unknown(cls, values: Mapping[str, Any]) -> None:
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(values) - set(known)):
            raise UserError(f"{cls.name} configuration: unknown keys {unknown}; known are {known}")

    @classmethod
    def _limits(cls, key: str) -> tuple[float, float]:
        return cls.limits.get(key, (1, float("inf")))

    def _misfits(self) -> list[str]:
        hints = get_type_hints(type(self))
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return [
            f"{key} is {value!r}, must be {_rule(hints[key], self._limits(key))}"
            for key, value in values.items()
            if not _fits(value, hints[key], self._limits(key))
        ]


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.replace("x", ",").split(","))


_READERS: Mapping[Any, Callable[[str], Any]] = {
    int: int,
    float: float,
    bool: {"true": True, "false": False}.__getitem__,
    Shape3: _shape,
}


def _fits(value: Any, hint: Any, limits: tuple[float, float]) -> bool:
    low, high = limits
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint == Shape3:
        return type(value) is tuple and len(value) == 3 and all(type(v) is int and v > 0 for v in value)
    if hint is bool:
        return type(value) is bool
    return type(value) in ((int,) if hint is int else (int, float)) and low <= value <= high


def _rule(hint: Any, limits: tuple[float, float]) -> str:
    low, high = limits
    if get_origin(hint) is Literal:
        return " or ".join(get_args(hint))
    if hint == Shape3:
        return "three positive integers: channels, height, width"
    if hint is bool:
        return "true or false"
    kind = "an integer" if hint is int else "a number"
    return f"{kind} of at least {low:g}" if high == float("inf") else f"{kind} in [{low:g}, {high:g}]"
