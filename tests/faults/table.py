"""What the diagnosis makes of each fault, and the table of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from avnir.trace import Trace
from avnir.verify.compare import compare
from avnir.verify.diagnosis.diagnose import Diagnosis, Explanation, diagnose
from tests.faults.faults import FAULTS, NONE, WHOLE, Case
from tests.faults.programs import planted

TABLE = Path(__file__).resolve().parent / "TABLE.md"
HEAD = """# Planted faults

Made by `python -m tests.faults --write`, held by `tests/faults/test_faults.py`. Each fault is planted in a
program that the slow interpreter then runs, or in what was recorded of it; the diagnosis gets the program as
it should be, the inputs and that recording. "Found at" is the first difference in time, checked by a search
of its own. A cause counts as right if it is the first one named, at the layer in which the fault was planted,
and its details say where. "Others" counts further causes and details that explain every slot as well: the
recording cannot tell them apart. The last faults are of kinds that the table of causes does not have: to name
none is right.

"""


@dataclass(frozen=True)
class Found:
    """A fault and what was said about it: `where` by `compare`, `searched` by looking at every slot."""

    case: Case
    where: str
    searched: str
    diagnosis: Diagnosis

    @property
    def exact(self) -> tuple[Explanation, ...]:
        """All causes that explain everything, the first named first."""
        return self.diagnosis.causes

    @property
    def named(self) -> str:
        """The cause that a user reads first."""
        return self.exact[0].name if self.exact else "not named"

    @property
    def right(self) -> bool:
        """Whether the first cause is the planted one, at its layer, and its details say where.

        Of a fault that the table of causes has not: whether none is named.
        """
        if self.case.cause == NONE:
            return not self.diagnosis.named
        return bool(self.exact) and self._meant(self.exact[0], self.exact[0].detail)

    @property
    def among(self) -> bool:
        """Whether the planted cause is at least among those that explain everything."""
        return any(self._meant(e, words) for e in self.exact for words in (e.detail, *e.others))

    def _meant(self, cause: Explanation, words: str) -> bool:
        right = (cause.layer, cause.name) == (self.case.layer, self.case.cause)
        return right and self.case.says in words

    @property
    def entered(self) -> bool:
        """Whether the difference was found to enter at the layer of the fault alone."""
        entries = [entry.layer for entry in self.diagnosis.entries]
        return (
            bool(self.diagnosis.recording) if self.case.layer == WHOLE else entries[:1] == [self.case.layer]
        )


def found(case: Case) -> Found:
    """Plant a fault and diagnose it."""
    made = planted(case.program)
    theirs = case.plant(made)
    where = compare(made.ours, theirs, ("ours", "theirs")).divergence
    assert where is not None, f"{case.fault}: nothing differs"
    place = f"{where.layer}, neuron {where.neuron}, step {where.step}, sample {where.sample}"
    return Found(
        case, place, _searched(made.ours, theirs), diagnose(made.program, made.inputs, theirs, made.ours)
    )


def _searched(ours: Trace, theirs: Trace) -> str:
    """The first differing slot, by looking at one after the other."""
    steps, batch = next(iter(ours.spikes.values())).shape[:2]
    for step in range(steps):
        for layer, sent in ours.spikes.items():
            for sample in range(batch):
                mine, other = (
                    sent[step, sample].ravel().tolist(),
                    theirs.spikes[layer][step, sample].ravel().tolist(),
                )
                for flat, (a, b) in enumerate(zip(mine, other, strict=True)):
                    if a != b:
                        neuron = _unflattened(flat, sent.shape[2:])
                        return f"{layer}, neuron {neuron}, step {step}, sample {sample}"
    return "nowhere"


def _unflattened(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    places = []
    for size in reversed(shape):
        flat, place = divmod(flat, size)
        places.append(place)
    return tuple(reversed(places))


def every() -> list[Found]:
    """All faults."""
    return [found(case) for case in FAULTS]


def table(results: Iterable[Found]) -> str:
    """The page."""
    listed = list(results)
    known = [r for r in listed if r.case.cause != NONE]
    unknown = [r for r in listed if r.case.cause == NONE]
    head = "| fault | program | found at | cause named | others | right |\n|---|---|---|---|---|---|\n"
    placed = sum(r.where == r.searched for r in listed)
    counts = (
        f"{len(listed)} faults, the first difference found in {placed}. Of {len(known)} that have an entry "
        f"in the table of causes the right one is named in {sum(r.right for r in known)}; of {len(unknown)} "
        f"that have none, none is named in {sum(r.right for r in unknown)}."
    )
    return f"{HEAD}{counts}\n\n{head}{''.join(map(_row, listed))}"


def _row(result: Found) -> str:
    detail = f": {result.exact[0].detail}" if result.exact else _nearest(result.diagnosis)
    others = sum(1 + len(cause.others) for cause in result.exact) - bool(result.exact)
    cells = (
        result.case.fault,
        result.case.program,
        result.where,
        f"{result.named}{detail}",
        str(others),
        _verdict(result),
    )
    return f"| {' | '.join(cells)} |\n"


def _verdict(result: Found) -> str:
    if result.right:
        return "yes"
    planted_there = f"{result.case.cause} {result.case.says}".strip()
    return f"among the others: {planted_there}" if result.among else f"no: {planted_there}"


def _nearest(diagnosis: Diagnosis) -> str:
    best = [e for entry in diagnosis.entries for e in entry.explanations]
    return f", nearest {best[0].name}, {100 * best[0].share:.1f} %" if best else ""
