"""The table of `python -m tests.quantisation`, for one width and a few pairs."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the example model is of snnTorch")

ROOT = Path(__file__).resolve().parents[2]


def test_calibrated_integers_are_nearer_to_the_model_on_test_pairs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.quantisation import __main__ as table

    for name, value in (("BITS", (4,)), ("CALIBRATION_PAIRS", 10), ("TEST_PAIRS", 20)):
        monkeypatch.setattr(table, name, value)
    table.main(ROOT / "examples" / "av_digits.pt")
    free, calibrated = (line.split(" | ") for line in capsys.readouterr().out.splitlines()[-2:])
    assert (free[1], calibrated[1]) == ("data-free", "calibrated")
    assert float(calibrated[2].removesuffix(" %")) > float(free[2].removesuffix(" %")) + 1
