"""Spoken digits at other sizes than the small networks take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avnir.models.data.fsdd import load_fsdd
from avnir.models.data.spectrogram import log_mel
from tests.models.data.files import tone, write_sound


def test_the_size_is_a_choice(tmp_path: Path) -> None:
    for index in (0, 5):
        write_sound(tmp_path / "recordings" / f"3_theo_{index}.wav", 500)
    train, test = load_fsdd(tmp_path, 28)
    assert train.values.shape == test.values.shape == (1, 1, 28, 28)
    assert list(train.labels) == [3]
    stored = (np.round(tone(500) * 32768) / 32768).astype(np.float32)
    assert test.values[0, 0] == pytest.approx(log_mel(stored, 8000, 28, 28), abs=0.01)


@pytest.mark.data
def test_the_official_split_of_the_real_recordings(data_dir: Path) -> None:
    train, test = load_fsdd(data_dir, 28)
    assert (train.values.shape, test.values.shape) == ((2700, 1, 28, 28), (300, 1, 28, 28))
    assert (np.bincount(test.labels) == 30).all()
    assert 0 <= train.values.min() <= train.values.max() <= 1
