"""The conformance suite: small programs that every backend must run exactly as the definition does.

For a backend of your own:

    from avnir.testing import CHECKS, run_check

    @pytest.mark.parametrize("check", CHECKS)
    def test_backend(check):
        result = run_check(my_backend, check)
        assert result.ok, result.detail

What a backend cannot do it lists in a mapping `expected_failures` {check: reason}, an attribute of the
backend or an argument here. Such a check must then fail or be refused: when it starts to work, the
suite says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from avnir.backend import Backend
from avnir.errors import AvnirError, BackendError
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.operation import Array
from avnir.testing.cases import CASES, Case
from avnir.trace import Trace

CHECKS = tuple(CASES)
"""The names of all checks."""
STATES = "states"
"""The one check for which a backend must be able to read its registers."""

Outcome = Literal["passed", "failed", "expected failure", "unexpected pass"]


@dataclass(frozen=True)
class Result:
    """What became of a check; `detail` is the first difference, the refusal, or the reason."""

    check: str
    outcome: Outcome
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether the backend did what it promises."""
        return self.outcome in ("passed", "expected failure")


def run_conformance(backend: Backend, expected_failures: Mapping[str, str] | None = None) -> list[Result]:
    """Every check, in the order of CHECKS; see `run_check`."""
    return [run_check(backend, check, expected_failures) for check in CHECKS]


def run_check(backend: Backend, check: str, expected_failures: Mapping[str, str] | None = None) -> Result:
    """Run one check: every spike, every output and, where the backend gives them, every state.

    `expected_failures` replaces the backend's own attribute of that name. An AvnirError counts as a
    refusal; any other exception is the backend's bug and passes through. Raises ValueError where an
    expected failure names no check.
    """
    expected = getattr(backend, "expected_failures", {}) if expected_failures is None else expected_failures
    unknown = sorted(expected.keys() - CASES.keys())
    if unknown:
        raise ValueError(f"expected failures of {backend.name} name no check: {', '.join(unknown)}")
    detail = _difference(backend, check)
    if check in expected:
        if detail is None:
            return Result(check, "unexpected pass", f"{check} works, but is listed: {expected[check]}")
        return Result(check, "expected failure", expected[check])
    return Result(check, "passed") if detail is None else Result(check, "failed", detail)


def _difference(backend: Backend, check: str) -> str | None:
    """The first thing that is not as in the definition, or None."""
    case = CASES[check]()
    definition = interpret_integer(case.program.graph, case.inputs, states=True)
    try:
        trace = _run(backend, case, states_needed=check == STATES)
    except AvnirError as error:
        return f"refused: {error}"
    return next(_differences(definition, trace), None)


def _run(backend: Backend, case: Case, states_needed: bool) -> Trace:
    with backend.session(case.program) as session:
        try:
            return session.run(case.inputs, states=True)
        except BackendError:
            if states_needed:
                raise
            return session.run(case.inputs)


def _differences(definition: Trace, trace: Trace) -> Iterator[str]:
    if len(trace.rehearsals) != len(definition.rehearsals):
        yield f"there are {len(trace.rehearsals)} rehearsals instead of {len(definition.rehearsals)}"
    for number, pair in enumerate(zip(definition.rehearsals, trace.rehearsals, strict=False)):
        yield from (f"rehearsal {number}: {found}" for found in _differences(*pair))
    yield from _group_differences("spikes", definition.spikes, trace.spikes)
    yield from _group_differences("outputs", definition.outputs, trace.outputs)
    if trace.states:
        if trace.states.keys() != definition.states.keys():
            yield f"states of {sorted(trace.states)} instead of {sorted(definition.states)}"
        for layer, registers in trace.states.items():
            yield from _group_differences(f"states of {layer}", definition.states[layer], registers)


def _group_differences(what: str, wanted: Mapping[str, Array], got: Mapping[str, Array]) -> Iterator[str]:
    if wanted.keys() != got.keys():
        yield f"{what}: there are {sorted(got)} instead of {sorted(wanted)}"
        return
    for name, array in wanted.items():
        if (got[name].dtype, got[name].shape) != (array.dtype, array.shape):
            yield f"{what}: {name} is {got[name].dtype}{got[name].shape}, not {array.dtype}{array.shape}"
        elif not np.array_equal(got[name], array):
            yield f"{what}: {_first(name, array, got[name])}"


def _first(name: str, wanted: Array, got: Array) -> str:
    """The earliest entry that differs, in words."""
    wrong = np.argwhere(wanted != got)
    step, sample, *place = (int(k) for k in wrong[0])
    values = f"{got[tuple(wrong[0])]} instead of {wanted[tuple(wrong[0])]}"
    where = f"{name} at step {step}, sample {sample}, neuron {tuple(place)}"
    return f"{where}: {values} ({len(wrong)} of {wanted.size} entries differ)"
