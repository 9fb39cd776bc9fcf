"""Sigma-delta layers, against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avnir.errors import GraphError
from avnir.ir.integer_delta import Delta, SigmaDelta
from avnir.ir.operation import Array


def run(op: Delta, *steps: int) -> tuple[list[int], dict[str, int]]:
    """What one neuron sends in each step, and what it holds in the end."""
    state: dict[str, Array] = {}
    sent = [op.step(np.array([[x]]), state).item() for x in steps]
    return sent, {register: held.item() for register, held in state.items()}


def test_a_change_waits_until_it_is_large_enough() -> None:
    sent, state = run(Delta((1,), threshold=5), 3, 4, 5, 5, -1, 1)
    assert sent == [0, 0, 5, 0, -6, 0]
    assert state == {"act": 1, "residue": 2, "error": 0}


def test_changes_that_last_add_up_to_an_error() -> None:
    """The error grows by 2, 2 and 2; the third step sends the change of 2 and forgets it."""
    sent, state = run(Delta((1,), threshold=5, cumulative=True), 2, 2, 2, 2, 1)
    assert sent == [0, 0, 2, 0, 0]
    assert state == {"act": 1, "residue": -1, "error": -1}


def test_exponents_scale_registers_and_lose_the_lowest_bits() -> None:
    """3 << 3 is 24, sent as 24 >> 2; -1 is a change of -32, at least 1 << 3 and sent as -8."""
    sent, state = run(Delta((1,), 1, spike_exponent=1, state_exponent=2), 3, -1, -1)
    assert sent == [6, -8, 0]
    assert state["act"] == -8


def test_what_the_last_shift_drops_is_lost() -> None:
    op = SigmaDelta((1,), threshold=0, state_exponent=2)
    assert run(op, 5, 1, -6)[0] == [1, 0, -2]


def test_changes_are_added_up_and_rectified() -> None:
    op = SigmaDelta((1,), threshold=2, bias=np.array(1, np.int32))
    sent, state = run(op, 3, -1, -9, 4, 10)
    assert sent == [4, 0, -4, 0, 8]
    assert state == {"sigma": 7, "act": 8, "residue": 0, "error": 0}
    assert run(op.replace(rectify=False), 3, -1, -9, 4, 10)[0] == [4, 0, -10, 4, 10]


def test_the_largest_magnitude_counts_as_none() -> None:
    """-2^31 is its own magnitude in 32 bits, below every threshold: it waits, and wraps round the next."""
    assert run(Delta((1,), threshold=0), -(2**31), 2**31 - 1)[0] == [0, (2**31 - 1) + 2**31 - 2**31]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spike_exponent": 8}, "Delta.spike_exponent is 8"),
        ({"state_exponent": -1}, "Delta.state_exponent is -1"),
        ({"threshold": 2**16, "spike_exponent": 7}, r"Delta.threshold is 65536, .* after a shift by 7"),
        ({"threshold": -1}, "Delta.threshold is -1"),
    ],
)
def test_an_encoder_out_of_range_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        Delta((1,), **change)


@pytest.mark.parametrize("bias", [np.array(2**15), np.array(2**15, np.int32), np.zeros(2, np.int32)])
def test_a_bias_out_of_range_is_refused(bias: Array) -> None:
    with pytest.raises(GraphError, match=r"SigmaDelta\.bias is"):
        SigmaDelta((1,), bias=bias)
