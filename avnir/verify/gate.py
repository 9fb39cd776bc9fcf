"""What a deployment must reach: each demand with what was found, its limit, and what to do where it fails.

Two kinds of demand. Every pair of stages that must be equal is one, always. A gate is a limit that was asked
for (`GATES`); its name says its sense: `min_` must be reached, `max_` must not be passed. A golden trace
(`avnir.verify.golden`) is checked as one more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from avnir.verify.compare import Comparison
from avnir.verify.stages import GRAPH, INTEGER, REFERENCE, Verification

STAGES, GATE, GOLDEN = "stages", "gate", "golden"
"""The kinds of demand."""
EVERY_SPIKE = "every spike"
LABELS = "Save labels with the model (avnir.save(..., labels=)), or put them into the file of --inputs"


@dataclass(frozen=True)
class Measures:
    """What one verification found.

    `agreement`, `accuracy` of the integers in [0, 1]; `accuracy_drop`: the float reference's less theirs;
    `synops` a sample, in the convention `stored`; `latency` of a window, seconds, mean. None where it was
    not measured: accuracies without labels, the latency unless it was asked for.
    """

    agreement: float
    accuracy: float | None
    accuracy_drop: float | None
    cores: int
    synops: float
    latency: float | None = None

    @classmethod
    def of(
        cls, verification: Verification, cores: int, synops: float, latency: float | None = None
    ) -> Measures:
        """Those of a verification, with what placement and run cost."""
        reached = verification.accuracy.get(INTEGER)
        wanted = verification.accuracy.get(REFERENCE, verification.accuracy.get(GRAPH))
        drop = None if reached is None or wanted is None else wanted - reached
        return cls(verification.quantisation.agreement, reached, drop, cores, synops, latency)


@dataclass(frozen=True)
class Gate:
    """A limit that may be asked for: `sentence` and `text` say a value of `Measures.measure`."""

    name: str
    measure: str
    sentence: str
    text: Callable[[float], str]
    advice: str

    def check(self, measures: Measures, limit: float, model: str) -> Check:
        """Whether the measures of a model, called so, keep it."""
        value: float | None = getattr(measures, self.measure)
        if value is None:
            problem = f"{self.measure.replace('_', ' ')} was asked for, but the inputs have no labels"
            return Check(GATE, self.name, "no labels", self.text(limit), f"{problem}. {LABELS}", None, limit)
        least = self.name.startswith("min_")
        kept = value >= limit if least else value <= limit
        problem = f"{self.sentence.format(self.text(value))}, {'below' if least else 'above'} "
        told = None if kept else f"{problem}{self.text(limit)} ({self.name}). {self.advice.format(model)}"
        return Check(GATE, self.name, self.text(value), self.text(limit), told, value, limit)


@dataclass(frozen=True)
class Check:
    """One demand, of a kind: STAGES, GATE or GOLDEN; `problem` None if it was kept.

    What was found and the limit are texts and, of gates, numbers too: `value`, None where there was none,
    and `bound`.
    """

    kind: str
    name: str
    found: str
    limit: str
    problem: str | None = None
    value: float | None = None
    bound: float | None = None

    @property
    def passed(self) -> bool:
        """Whether it was kept."""
        return self.problem is None

    def record(self) -> dict[str, Any]:
        """JSON values."""
        numbers = {} if self.bound is None else {"value": self.value, "bound": self.bound}
        texts = {"found": self.found, "limit": self.limit, "problem": self.problem}
        return {"kind": self.kind, "name": self.name, "passed": self.passed, **texts, **numbers}

    def row(self) -> tuple[str, str, str, str]:
        """Name, value, limit, verdict."""
        return self.name, self.found, self.limit, "passed" if self.passed else "FAILED"


def number(value: float) -> str:
    """To nine figures: a value a little beyond its limit shall not look like it."""
    return f"{value:,.9g}"


def microseconds(seconds: float) -> str:
    """A time as text."""
    return f"{1e6 * seconds:,.9g} us"


_WHY = "`avnir why {}` names the cause and what mends it"
_BENCH = "`avnir bench {}` shows what takes most"

GATES = (
    Gate("min_agreement", "agreement", "spike agreement of the integers is {}", number, _WHY),
    Gate("min_accuracy", "accuracy", "accuracy of the integers is {}", number, _WHY),
    Gate("max_accuracy_drop", "accuracy_drop", "the integers lose {} of the accuracy", number, _WHY),
    Gate("max_cores", "cores", "it takes {} cores", number, _BENCH),
    Gate("max_synops", "synops", "it makes {} SynOps a sample", number, _BENCH),
    Gate("max_latency", "latency", "a window takes {} on average", microseconds, _BENCH),
)


COLUMNS = (
    "model",
    "verdict",
    "failed",
    "samples x steps",
    "agreement",
    "accuracy",
    "cores",
    "SynOps",
    "latency",
)
"""Of `Verdict.row`; SynOps a sample, stored, and latency of a window, where it was asked for."""


@dataclass(frozen=True)
class Verdict:
    """One model's deployment: what was compared and measured, and every demand on it.

    `model` and `target` by name, `program` the digest, `seconds` that it took; `golden`: the comparison
    with a golden trace, where there was one; `costs`: plain values for the record.
    """

    model: str
    target: str
    program: str
    verification: Verification
    measures: Measures
    checks: tuple[Check, ...]
    costs: Mapping[str, Any] = field(default_factory=dict)
    golden: Comparison | None = None
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether every demand was kept."""
        return all(check.passed for check in self.checks)

    @property
    def gates(self) -> tuple[Check, ...]:
        """The demands that were asked for: all but the stages that must be equal anyway."""
        return tuple(check for check in self.checks if check.kind != STAGES)

    def record(self) -> dict[str, Any]:
        """JSON values."""
        return {
            **self.verification.record(),
            "model": self.model,
            "target": self.target,
            "program": self.program,
            **self.costs,
            "measures": asdict(self.measures),
            "passed": self.passed,
            "gates": [check.record() for check in self.gates],
        }

    def row(self) -> tuple[str, ...]:
        """One cell for each of COLUMNS."""
        found = self.measures
        failed = ", ".join(check.name for check in self.checks if not check.passed)
        return (
            self.model,
            "passed" if self.passed else "FAILED",
            failed or "-",
            f"{self.verification.samples} x {self.verification.steps}",
            f"{100 * found.agreement:.3f} %",
            "-" if found.accuracy is None else f"{100 * found.accuracy:.2f} %",
            str(found.cores),
            f"{found.synops:,.0f}",
            "-" if found.latency is None else f"{1e6 * found.latency:.2f} us",
        )

    @property
    def problems(self) -> tuple[str, ...]:
        """What was not kept, each with what to do about it."""
        return tuple(check.problem for check in self.checks if check.problem)


def checks(
    verification: Verification, measures: Measures, limits: Mapping[str, float], model: str
) -> tuple[Check, ...]:
    """Every pair of stages that must be equal, then every gate of which `limits` has one, by name.

    `model`: how it is called on the command line, for what to do where one fails.
    """
    asked = (gate.check(measures, limits[gate.name], model) for gate in GATES if gate.name in limits)
    return (*_equalities(verification, model), *asked)


def _equalities(verification: Verification, model: str) -> Iterator[Check]:
    for comparison in verification.exact:
        yield _equality(comparison, model)
    if verification.undecided:
        yield Check(
            STAGES, "float32 rounding", "decides a spike in every sample", EVERY_SPIKE, verification.undecided
        )


def _equality(comparison: Comparison, model: str) -> Check:
    name = f"{comparison.first} = {comparison.second}"
    if comparison.identical:
        return Check(STAGES, name, "equal", EVERY_SPIKE)
    where = f"first at {comparison.divergence or 'the outputs'}"
    remedy = f"`avnir compare {comparison.first} {comparison.second} --model {model}` says why"
    problem = f"{comparison.second} differs from {comparison.first}, {where}. {remedy}"
    return Check(STAGES, name, f"differs, {where}", EVERY_SPIKE, problem)


def failures(verdicts: Mapping[str, Verdict], named: bool) -> list[str]:
    """A line for every demand that a model did not keep; with the model where that is to be `named`."""
    return [
        f"  - {name}: {problem}" if named else f"  - {problem}"
        for name, verdict in verdicts.items()
        for problem in verdict.problems
    ]
