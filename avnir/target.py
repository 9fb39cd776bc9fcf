"""A target: what a chip can hold and what its work costs, read from `hardware/targets/*.toml`.

Every figure carries its source and a grade, so that nobody takes a guess for a measurement:
measured (on silicon, published), published (the vendor's, pre-silicon or a brief), fitted (a model
fitted to silicon), derived (computed from published artefacts), scaled (from another chip),
convention (arithmetic only). A figure that was never published has no value, and says so.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from avnir.errors import TargetError

Grade = Literal["measured", "published", "fitted", "derived", "scaled", "convention", "unknown"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limit(_Strict):
    """A whole number that a program must not exceed."""

    value: int = Field(ge=0)
    grade: Grade
    source: str = Field(min_length=1)


class Cost(_Strict):
    """A price, or the stated error of totals made from such prices (%); None where it was never published."""

    value: float | None = Field(default=None, ge=0)
    unit: Literal["pJ", "ns", "mW", "%"]
    grade: Grade
    source: str = Field(min_length=1)


class Limits(_Strict):
    """What one chip holds; the names are those of the limits in messages.

    Those that are None are no limits of that chip. The chip is a mesh of `mesh_columns` x `mesh_rows` tiles
    of `cores_per_tile` cores; `cores` of them are usable.
    """

    cores: Limit
    cores_per_tile: Limit
    mesh_columns: Limit
    mesh_rows: Limit
    neurons_per_core: Limit
    synaptic_words_per_core: Limit
    axons_in_per_core: Limit
    axons_out_per_core: Limit | None = None
    groups_per_core: Limit | None = None
    axon_map_per_core: Limit | None = None
    axon_memory_per_core: Limit | None = None
    pool_per_core: Limit | None = None
    weight_bits: Limit
    threshold_bits: Limit
    delay_steps: Limit
    message_bits: Limit

    @model_serializer(mode="wrap")
    def _those_there_are(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}


class Target(_Strict):
    """One chip; `programmable` says whether neurons are microcode, so that every reset can be had.

    `core_memory` names the rules by which a core's memory fills (`avnir.place.memory`): one pool of words,
    or separate memories.
    """

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    title: str
    programmable: bool
    core_memory: Literal["pool", "separate"]
    limits: Limits
    costs: Mapping[str, Cost]
    notes: tuple[str, ...] = ()

    def price(self, name: str) -> Cost:
        """The cost called `name`; TargetError where it was never published."""
        cost = self.costs.get(name)
        if cost is None or cost.value is None:
            raise TargetError(
                f"{self.title} has no published value for {name}, and no total is given that needs it; "
                f"known are {', '.join(sorted(n for n, c in self.costs.items() if c.value is not None))}"
            )
        return cost

    def barrier(self, tiles: int) -> Cost:
        """The cost of the barrier over `tiles` tiles: of the least number in the table that is not below.

        Above the largest number in the table, that of the largest. The table is the costs called
        `barrier_latency_NUMBER_tiles`.
        """
        table = {
            int(name.split("_")[2]): name
            for name in self.costs
            if name.startswith("barrier_latency_") and name.endswith("_tiles")
        }
        enough = [count for count in sorted(table) if count >= tiles] or [max(table, default=0)]
        return self.price(table.get(enough[0], "barrier_latency"))


def names() -> tuple[str, ...]:
    """The targets that come with avnir, sorted."""
    return tuple(
        sorted(f.name.removesuffix(".toml") for f in _folder().iterdir() if f.name.endswith(".toml"))
    )


def load(name: str) -> Target:
    """The target called `name`; TargetError naming those known."""
    if name not in names():
        raise TargetError(f"there is no target {name!r}; known are {', '.join(names())}")
    return parse((_folder() / f"{name}.toml").read_text(encoding="utf-8"), f"{name}.toml")


def parse(text: str, origin: str) -> Target:
    """A target from TOML text; TargetError naming every field that is wrong."""
    try:
        return Target.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise TargetError(f"{origin} is not valid TOML: {error}") from error
    except ValidationError as error:
        wrong = "\n".join(f"  - {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise TargetError(f"{origin} does not describe a target:\n{wrong}") from error


def _folder() -> Traversable:
    return files("avnir") / "hardware" / "targets"
