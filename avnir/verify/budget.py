"""Budgets: what to verify of which model and what it must reach, read from a file `avnir.toml`.

One table for each model, by its path from the file's folder or as `package.module:build`; a field has the
name and the meaning of the option of `avnir verify`:

    [models."examples/av_digits.pt"]
    target = "loihi2"
    backends = ["cpu", "lava"]
    samples = 50
    min_agreement = 0.98
    max_cores = 6
    max_latency = "20us"
    golden = "golden/av_digits.npz"

Other paths in it count from the file's folder too.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from avnir.errors import DataError
from avnir.verify.gate import GATES

NAME = "avnir.toml"
"""The file that is looked for in the current folder."""

EXAMPLES = "examples"
"""What `calibrate` says for the model's own examples; else it is a file."""

IN_A_SECOND = {"": 1.0, "s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
TIME = re.compile(r"\s*(?P<number>[0-9.eE+-]+)\s*(?P<unit>[a-z]*)\s*\Z")


def seconds(value: Any) -> Any:
    """A time as seconds: a number, or a text with a unit, `2ms`; ValueError where it is no time."""
    if not isinstance(value, str):
        return value
    match = TIME.match(value)
    if match is None or match["unit"] not in IN_A_SECOND:
        raise ValueError(
            f"{value!r} is no time; write seconds, or a number with s, ms, us or ns, as in 500us"
        )
    return float(match["number"]) / IN_A_SECOND[match["unit"]]


Share = Annotated[float, Field(ge=0, le=1, strict=True)]
Count = Annotated[int, Field(ge=1, strict=True)]
Seconds = Annotated[float, BeforeValidator(seconds), Field(ge=0, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]


class Budget(BaseModel):
    """What to verify of one model, and what it must reach; None where nothing was said or asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: Text = "loihi2"
    backends: Annotated[tuple[Text, ...], Field(min_length=1)] = ("cpu",)
    samples: Count | None = None
    inputs: Path | None = None
    weights: Path | None = None
    time: Literal["step", "window"] | None = None
    dt: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    outputs: Text | None = None
    weight_bits: Annotated[int, Field(ge=2, le=8, strict=True)] | None = None
    calibrate: Text | None = None
    chips: Count = 1
    cores: Count | None = None
    golden: Path | None = None
    min_agreement: Share | None = None
    min_accuracy: Share | None = None
    max_accuracy_drop: Annotated[float, Field(ge=-1, le=1, strict=True)] | None = None
    max_cores: Count | None = None
    max_synops: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    max_latency: Seconds | None = None

    @property
    def limits(self) -> dict[str, float]:
        """The limits that were asked for, by the gate's name."""
        asked = {gate.name: getattr(self, gate.name) for gate in GATES}
        return {name: limit for name, limit in asked.items() if limit is not None}


class _File(BaseModel):
    """The file: at least one model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: Annotated[Mapping[str, Budget], Field(min_length=1)]


def read_budgets(path: Path) -> dict[str, dict[str, Any]]:
    """What a file says of each model, by the model's name in it: the fields that it sets, paths resolved.

    Raises DataError with everything in it that is wrong.
    """
    try:
        file = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); a budget is a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        raise DataError(f"{path} is no budget:\n{_listed(error)}") from error
    return {name: _resolved(budget, path.parent) for name, budget in file.models.items()}


def budget_of(*sources: Mapping[str, Any]) -> Budget:
    """One budget from several sources, each winning over those before; DataError with all that is wrong."""
    try:
        return Budget.model_validate({name: value for source in sources for name, value in source.items()})
    except ValidationError as error:
        raise DataError(f"what is asked of the model is wrong:\n{_listed(error)}") from error


def _resolved(budget: Budget, folder: Path) -> dict[str, Any]:
    """The fields that are set; files by their place from here."""
    fields = {name: getattr(budget, name) for name in budget.model_fields_set}
    named = {name: folder / fields[name] for name in ("inputs", "weights", "golden") if fields.get(name)}
    if fields.get("calibrate", EXAMPLES) != EXAMPLES:
        named["calibrate"] = str(folder / fields["calibrate"])
    return fields | named


def _listed(error: ValidationError) -> str:
    return "\n".join(f"  - {_place(e['loc'])}: {_said(e)}" for e in error.errors())


def _place(loc: tuple[int | str, ...]) -> str:
    """Where in the file, as TOML writes it."""
    return ".".join(f'"{part}"' if "." in str(part) else str(part) for part in loc)


def _said(found: Mapping[str, Any]) -> str:
    """What is wrong with a value, or of a name that is unknown those that are known."""
    if found["type"] == "extra_forbidden":
        return f"there is no such field; known are {', '.join(_known(len(found['loc'])))}"
    if found["type"] == "value_error":
        return str(found["ctx"]["error"])
    if found["type"] == "missing":
        return "it lists no model"
    return f"{found['msg']}, not {found['input']!r}"


def _known(depth: int) -> Iterable[str]:
    return Budget.model_fields if depth > 1 else _File.model_fields
