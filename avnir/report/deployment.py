"""What a report is made of: a compiled network, what was run of it, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from avnir.compile import Compiled
from avnir.cost.costs import Costs
from avnir.ir.operation import Array
from avnir.target import Target
from avnir.trace import Trace
from avnir.verify.stages import GRAPH, INTEGER, Stages, Verification


@dataclass(frozen=True)
class Run:
    """All stages over the same inputs, what they say, and the class of each sample `[B]`, where known."""

    stages: Stages
    verification: Verification
    labels: Array | None = None

    def trace(self, stage: str) -> Trace:
        """The spikes of a stage by its name in the comparisons."""
        known = {**self.stages.floats, GRAPH: self.stages.graph, INTEGER: self.stages.integer}
        return {**known, **self.stages.backends}[stage]

    @property
    def reference(self) -> Trace:
        """The run in floating point that the integers are measured against."""
        return self.trace(self.verification.quantisation.first)


@dataclass(frozen=True)
class Deployment:
    """A network called `name` on a chip; the page says so where nothing was run, or a cost is refused.

    `record`: what kind of model it came from, with digests; `history`: what its file says of its making;
    `examples`: which data it was run on.
    `refused`: why there are no costs. `attribution`: the record of `avnir.verify.attribution.Attribution`.
    """

    name: str
    compiled: Compiled
    chip: Target
    record: Mapping[str, Any] = field(default_factory=dict)
    history: Mapping[str, Any] = field(default_factory=dict)
    examples: Mapping[str, Any] = field(default_factory=dict)
    run: Run | None = None
    costs: Costs | None = None
    refused: str = ""
    attribution: Mapping[str, Any] | None = None
