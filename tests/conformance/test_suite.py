"""The suite itself: its cases reach what they are about, and a wrong backend is caught."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import avnir
from avnir.backend import Session
from avnir.errors import BackendError, UnsupportedError
from avnir.hardware.interpreter import backend as interpreter
from avnir.ir.graph import Node
from avnir.ir.integer import Conv, Lif
from avnir.ir.integer_delta import Delta
from avnir.ir.integer_graded import Product, Readout, Relay
from avnir.ir.integer_level import OPERATIONS
from avnir.ir.integer_sparse import Sparse
from avnir.ir.integer_window import WindowSum
from avnir.ir.interpret_integer import _Chip, interpret_integer
from avnir.numerics import fixed
from avnir.program import STRUCTURE, Program
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

    def begun(chip: _Chip, shown: Any, at: Any) -> Any:
        return step(chip, shown, {name: (max(k, 0), t) for name, (k, t) in at.items()})

    patch.setattr(_Chip, "step", begun)


def zero_at_once(patch: pytest.MonkeyPatch) -> None:
    """`zero_next` taken for `zero_delayed`, which loses the potential and not the step's input."""
    step, other = Lif.step, {"zero_next": "zero_delayed"}
    patch.setattr(Lif, "step", lambda op, x, s: step(op.replace(reset=other.get(op.reset, op.reset)), x, s))


def lowered(kind: type[Relay | Product]) -> Callable[[pytest.MonkeyPatch], None]:
    """A threshold one below what was said."""

    def change(patch: pytest.MonkeyPatch) -> None:
        step = kind.step
        patch.setattr(kind, "step", lambda op, x, s: step(op.replace(threshold=op.threshold - 1), x, s))

    return change


def raised(patch: pytest.MonkeyPatch) -> None:
    step = Delta.step
    patch.setattr(Delta, "step", lambda op, x, s: step(op.replace(threshold=op.threshold + 1), x, s))


def error_kept(patch: pytest.MonkeyPatch) -> None:
    """Sending leaves the error as it is."""
    changed = Delta.changed

    def kept(op: Delta, activation: Any, state: dict[str, Any]) -> Any:
        before = state.get("error", 0) + activation - state.get("act", 0) + state.get("residue", 0)
        sent = changed(op, activation, state)
        state["error"] = np.asarray(before)
        return sent

    patch.setattr(Delta, "changed", kept)


def forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(WindowSum, "begin", lambda op, state: state.clear())


def left_over(patch: pytest.MonkeyPatch) -> None:
    """Neurons go on from where the presentation before ended."""
    patch.setattr(Lif, "begin", lambda op, state: None)


def too_late(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_Chip, "_too_late", lambda chip, node, at: False)


def one_port(patch: pytest.MonkeyPatch) -> None:
    """The first of four inputs alone at the first port."""
    patch.setattr(Product, "ports", lambda op, inputs: (inputs[:1], inputs[1:]))


def lost_when_sent(patch: pytest.MonkeyPatch) -> None:
    step = Readout.step

    def forgetful(op: Readout, x: Any, state: dict[str, Any]) -> Any:
        sent = step(op, x, state)
        state["v"] = np.zeros_like(sent)
        return sent

    patch.setattr(Readout, "step", forgetful)


def left_out(patch: pytest.MonkeyPatch) -> None:
    step = Sparse.step

    def shorter(op: Sparse, x: Any, state: dict[str, Any]) -> Any:
        kept = {name: getattr(op, name)[:-1] for name in ("weight", "source", "target")}
        return step(op.replace(**kept), x, state)

    patch.setattr(Sparse, "step", shorter)


def either(patch: pytest.MonkeyPatch) -> None:
    step = Lif.step
    patch.setattr(Lif, "step", lambda op, x, s: step(op.replace(threshold=op.threshold // 2), x, s))


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
    "a message of the threshold is sent": (lowered(Relay), "relay_loop"),
    "a product of the threshold is sent": (lowered(Product), "product_signed"),
    "a relay does not wrap": (swap("wrap32", same), "relay_wrap"),
    "a product does not wrap": (swap("wrap32", same), "product_wrap"),
    "all inputs meet at one port": (one_port, "product_gate"),
    "a potential that is sent is lost": (lost_when_sent, "readout_no_leak"),
    "a change of the threshold waits": (raised, "delta"),
    "an error is kept": (error_kept, "delta_cumulative"),
    "a change does not wrap": (swap("wrap32", same), "delta_wrap"),
    "a synapse is left out": (left_out, "sparse"),
    "one of two is enough": (either, "and"),
    "a sum is forgotten": (forgotten, "window_sum_held"),
    "a sum does not wrap": (swap("wrap32", same), "window_sum_wrap"),
    "a running sum does not wrap": (swap("wrap32", same), "window_sum_running_wrap"),
    "a potential is left": (left_over, "window_sum_held"),
    "late spikes arrive when the window is shown again": (too_late, "window_sum_looped"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_backend_is_caught(name: str) -> None:
    change, check = MUTANTS[name]
    result = run_check(Mutant(change), check)
    assert result.outcome == "failed"
    assert "at step" in result.detail


@pytest.mark.parametrize("check", [c for c in CHECKS if c != "clip_v_low"])
def test_layers_of_a_case_spike_sometimes(check: str) -> None:
    for name, sent in trace_of(check).spikes.items():
        if sent.dtype == np.uint8:
            assert 0 < sent.mean() < 1, name
        else:
            assert len(np.unique(sent)) > 1, name


def test_messages_leave_their_registers() -> None:
    """A relay's input, and a product, of more than 32 bits; a potential that stops at both ends."""
    case = CASES["relay_wrap"]()
    sums = case.program.graph["synapses"].op.step(case.inputs["input"][:, 0].astype(np.int64), {})  # type: ignore[attr-defined]
    assert np.abs(sums).max() >= 1 << 31
    case = CASES["product_wrap"]()
    first, second = (
        case.program.graph[f"from_{name}"].op.step(case.inputs[name][:, 0].astype(np.int64), {})  # type: ignore[attr-defined]
        for name in "ab"
    )
    assert np.abs(first * second).max() >= 1 << 31
    clipped = trace_of("readout_clip").spikes["layer"]
    assert (clipped.min(), clipped.max()) == (-M + 1, M - 1)


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


def test_the_published_schema_describes_every_case(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(avnir.__file__).parent / "program.schema.json").read_text())
    assert set(schema["$defs"]) >= set(OPERATIONS)
    for check in CHECKS:
        CASES[check]().program.write_into(tmp_path)
        jsonschema.validate(json.loads((tmp_path / STRUCTURE).read_text()), schema)


def test_every_operation_has_a_case() -> None:
    assert {n.op.kind for build in CASES.values() for n in build().program.graph} == set(OPERATIONS)


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
