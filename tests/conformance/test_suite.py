"""The suite itself: its cases reach what they are about, and a wrong backend is caught."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from avnir.backend import Session
from avnir.errors import BackendError, UnsupportedError
from avnir.hardware.interpreter import backend as interpreter
from avnir.ir.graph import Node
from avnir.ir.integer import Conv, Lif
from avnir.ir.interpret_integer import _Chip, interpret_integer
from avnir.numerics import fixed
from avnir.program import Program
from avnir.testing import CHECKS, run_check, run_conformance
from avnir.testing.cases import CASES
from avnir.trace import Trace

M = fixed.STATE_LIMIT


def trace_of(check: str) -> Trace:
    case = CASES[check]()
    return interpret_integer(case.program.graph, case.inputs, states=True)


@dataclass
class Mutant:
    """The interpreter, with one function of the arithmetic replaced while it runs."""

    change: Callable[[pytest.MonkeyPatch], None]
    name: str = "mutant"
    summary: str = "wrong on purpose"
    expected_failures: Mapping[str, str] = field(default_factory=dict)

    def missing(self) -> str | None:
        return None

    @contextmanager
    def session(self, program: Program) -> Iterator[Session]:
        yield _MutantSession(program, self.change)


@dataclass
class _MutantSession:
    program: Program
    change: Callable[[pytest.MonkeyPatch], None]

    def run(self, inputs: Mapping[str, Any], states: bool = False) -> Trace:
        with pytest.MonkeyPatch.context() as patch:
            self.change(patch)
            return interpret_integer(self.program.graph, inputs, states)


def swap(name: str, function: Callable[..., Any]) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(fixed, name, function)


def same(values: Any, *_: Any) -> Any:
    return values


def unflipped(patch: pytest.MonkeyPatch) -> None:
    step = Conv.step
    patch.setattr(Conv, "step", lambda op, x, s: step(op.replace(weight=op.weight[..., ::-1]), x, s))


def a_step_late(patch: pytest.MonkeyPatch) -> None:
    """A recurrent connection that waits for its neurons before it delivers."""
    silence = _Chip._silence

    def longer(chip: _Chip, node: Node, batch: int) -> deque[Any]:
        queue = silence(chip, node, batch)
        return queue + deque([queue[0]] * node.op.delayed)

    patch.setattr(_Chip, "_silence", longer)


def heard_early(patch: pytest.MonkeyPatch) -> None:
    step = _Chip.step
    patch.setattr(_Chip, "step", lambda chip, shown, silent: step(chip, shown, frozenset()))


def zero_at_once(patch: pytest.MonkeyPatch) -> None:
    """`zero_next` taken for `zero_delayed`, which loses the potential and not the step's input."""
    step, other = Lif.step, {"zero_next": "zero_delayed"}
    patch.setattr(Lif, "step", lambda op, x, s: step(op.replace(reset=other.get(op.reset, op.reset)), x, s))


MUTANTS = {
    "current wraps as often as needed": (swap("wrap_current", fixed.wrap24), "wrap_u_once"),
    "current does not wrap": (swap("wrap_current", same), "wrap_u"),
    "potential wraps": (swap("clip_potential", fixed.wrap24), "clip_v_high"),
    "potential clips at -M": (swap("clip_potential", lambda v: np.clip(v, -M, M - 1)), "clip_v_low"),
    "decay rounds down": (swap("toward_zero", lambda v, shift: v >> shift), "dense"),
    "convolution does not wrap": (swap("wrap24", same), "wrap_conv"),
    "kernel is flipped": (unflipped, "conv"),
    "spikes come back late": (a_step_late, "recurrent"),
    "spikes come back late over places": (a_step_late, "recurrent_conv"),
    "a loop is too long": (a_step_late, "recurrent_ring"),
    "a lag is too long": (a_step_late, "lag"),
    "spikes from before the window come back": (heard_early, "recurrent_late"),
    "input is kept at a reset": (zero_at_once, "reset_zero_next"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_backend_is_caught(name: str) -> None:
    change, check = MUTANTS[name]
    result = run_check(Mutant(change), check)
    assert result.outcome == "failed"
    assert "at step" in result.detail


@pytest.mark.parametrize("check", [c for c in CHECKS if c != "clip_v_low"])
def test_layers_of_a_case_spike_sometimes(check: str) -> None:
    for name, spikes in trace_of(check).spikes.items():
        assert 0 < spikes.mean() < 1, name


def test_overflows_are_reached() -> None:
    once = trace_of("wrap_u_once").states["layer"]["u"]
    assert once.max() > 2 * M
    assert once.min() < -2 * M
    current = trace_of("wrap_u").states["layer"]["u"][:, 0, 0].astype(np.int64)
    assert np.abs(np.diff(current)).max() > M
    assert trace_of("clip_v_high").states["layer"]["v"].max() == M - 1
    assert trace_of("clip_v_low").states["layer"]["v"].min() == -M + 1


def test_the_convolution_overflows() -> None:
    case = CASES["wrap_conv"]()
    sums = (
        case.program.graph["synapses"]
        .op.replace(exponent=0)
        .step(  # type: ignore[attr-defined]
            case.inputs["input"][0].astype(np.int64) >> 12, {}
        )
    )
    assert np.abs(sums).max() << (12 + 7) > 2 * M


def test_expected_failures_are_watched() -> None:
    wrong = Mutant(swap("wrap24", same), expected_failures={"wrap_conv": "wide sums", "dense": "no reason"})
    outcomes = {result.check: result.outcome for result in run_conformance(wrong)}
    assert outcomes["wrap_conv"] == "expected failure"
    assert outcomes["dense"] == "unexpected pass"
    assert outcomes["fan_in"] == "passed"
    assert list(outcomes) == list(CHECKS)


def test_an_unknown_expected_failure_is_refused() -> None:
    with pytest.raises(ValueError, match="no check: dens"):
        run_check(interpreter, "dense", {"dens": "misspelt"})


@dataclass
class Blind:
    """A backend that cannot read registers and refuses convolutions."""

    name: str = "blind"
    summary: str = "spikes only"

    def missing(self) -> str | None:
        return None

    @contextmanager
    def session(self, program: Program) -> Iterator[Session]:
        if any(node.op.kind == "Conv" for node in program.graph):
            raise UnsupportedError("no convolutions", [])
        yield _BlindSession(program)


@dataclass
class _BlindSession:
    program: Program

    def run(self, inputs: Mapping[str, Any], states: bool = False) -> Trace:
        if states:
            raise BackendError("blind cannot read registers; run without states")
        return interpret_integer(self.program.graph, inputs)


def test_a_backend_without_states_fails_only_the_check_of_states() -> None:
    results = {check: run_check(Blind(), check) for check in ("dense", "states", "conv")}
    assert results["dense"].outcome == "passed"
    assert results["states"].detail.startswith("refused: blind cannot read")
    assert results["conv"].detail.startswith("refused: no convolutions")
    assert run_check(Blind(), "conv", {"conv": "no convolutions"}).ok
