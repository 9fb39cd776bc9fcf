"""Targets: every figure has a source, and bad descriptions are refused whole."""

from __future__ import annotations

import pytest

from avnir import target
from avnir.errors import TargetError


@pytest.mark.parametrize("name", target.names())
def test_every_target_loads_and_every_unknown_price_says_so(name: str) -> None:
    chip = target.load(name)
    assert chip.name == name
    for cost in chip.costs.values():
        assert (cost.value is None) == (cost.grade == "unknown")


def test_loihi1_has_the_published_limits() -> None:
    limits = target.load("loihi1").limits
    assert limits.cores.value == 128
    assert limits.neurons_per_core.value == 1024
    assert limits.synaptic_words_per_core.value * 8 == 128 * 1024
    assert limits.message_bits.value == 0


def test_an_unknown_target_names_the_known() -> None:
    with pytest.raises(TargetError, match="known are loihi1, loihi2"):
        target.load("../../etc/passwd")


def test_all_wrong_fields_are_named_at_once() -> None:
    with pytest.raises(TargetError) as caught:
        target.parse('name = "X"\nprogrammable = 1\nsurplus = 2\n', "mine.toml")
    for field in ("name", "title", "limits", "costs", "surplus"):
        assert f"- {field}" in str(caught.value)
    with pytest.raises(TargetError, match="not valid TOML"):
        target.parse("name = ", "mine.toml")
