"""How many samples fit, and pieces put together again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avnir.errors import MemoryLimitError
from avnir.pieces import Need


@given(
    st.builds(Need, each=st.integers(1, 1000), once=st.integers(0, 1000)),
    st.integers(0, 10**5),
    st.integers(1, 200),
    st.integers(1, 70),
)
def test_as_many_samples_as_fit_and_no_more(need: Need, room: int, batch: int, together: int) -> None:
    fewest = min(together, batch)
    try:
        samples = need.samples(room, batch, together)
    except MemoryLimitError as error:
        assert error.needed == need.once + fewest * need.each > room
        return
    assert samples == batch or (samples % together == 0 and samples >= fewest)
    assert need.left(room, samples) >= need.once
    assert samples == batch or need.left(room, min(samples + together, batch)) < need.once


def test_needs_add_up() -> None:
    assert Need(2, 3) + Need(10) == Need(12, 3)


def test_a_single_sample_that_does_not_fit_is_refused_with_what_it_takes() -> None:
    with pytest.raises(MemoryLimitError, match="at least 15 bytes") as refusal:
        Need(each=10, once=5).samples(room=14, batch=3)
    assert refusal.value.needed == 15
