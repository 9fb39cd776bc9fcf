"""Budgets are read whole, or refused with everything that is wrong in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avnir.errors import DataError
from avnir.verify.budget import Budget, budget_of, read_budgets, seconds


def written(folder: Path, text: str) -> Path:
    path = folder / "avnir.toml"
    path.write_text(text)
    return path


def test_a_table_gives_the_fields_it_sets_with_paths_from_its_folder(tmp_path: Path) -> None:
    text = """
        [models."nets/a.pt"]
        backends = ["cpu", "lava"]
        max_latency = "20us"
        golden = "golden/a.npz"
        inputs = "a_inputs.npz"
        calibrate = "seen.npz"
        [models."b:build"]
        calibrate = "examples"
    """
    found = read_budgets(written(tmp_path, text))
    assert found == {
        "nets/a.pt": {
            "backends": ("cpu", "lava"),
            "max_latency": 20e-6,
            "golden": tmp_path / "golden" / "a.npz",
            "inputs": tmp_path / "a_inputs.npz",
            "calibrate": str(tmp_path / "seen.npz"),
        },
        "b:build": {"calibrate": "examples"},
    }
    assert budget_of(found["nets/a.pt"]).limits == {"max_latency": 20e-6}


def test_what_is_wrong_is_named_all_at_once(tmp_path: Path) -> None:
    text = """
        defaults = 1
        [models.a]
        min_agreement = 1.5
        max_core = 3
        max_cores = 2.5
        samples = true
        max_latency = "5 weeks"
        backends = []
        [models.b]
        weight_bits = 9
    """
    with pytest.raises(DataError) as refusal:
        read_budgets(written(tmp_path, text))
    lines = str(refusal.value).splitlines()[1:]
    wrong = {line.split(": ")[0].strip(" -") for line in lines}
    fields = ("min_agreement", "max_core", "max_cores", "samples", "max_latency", "backends")
    assert wrong == {"defaults", "models.b.weight_bits", *(f"models.a.{field}" for field in fields)}
    assert all(field in str(refusal.value) for field in Budget.model_fields), "the fields that are known"
    assert "500us" in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models = 3", "models"),
        ("", "models"),
        ("[models]", "models"),
        ("[models.a", "not valid TOML"),
        ("\ufeff\x00", "not valid TOML"),
    ],
)
def test_files_that_are_no_budget(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=message) as refusal:
        read_budgets(path)
    assert str(path) in str(refusal.value)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_budgets(tmp_path / "nothing.toml")


def test_later_sources_win() -> None:
    found = budget_of({"samples": 3, "max_cores": 5}, {"samples": 4, "min_accuracy": 0.5}, {"samples": 5})
    assert (found.samples, found.limits) == (5, {"min_accuracy": 0.5, "max_cores": 5})
    with pytest.raises(DataError, match="samples"):
        budget_of({"samples": 0})


@pytest.mark.parametrize(
    ("text", "value"),
    [("2ms", 2e-3), ("500us", 5e-4), (" 7 ns ", 7e-9), ("1.5e-3", 1.5e-3), ("3s", 3.0), (0.25, 0.25)],
)
def test_times(text: str | float, value: float) -> None:
    assert float(seconds(text)) == pytest.approx(value, rel=1e-15)


@given(st.text())
def test_what_is_no_time_is_refused_and_nothing_else_raised(text: str) -> None:
    try:
        assert float(seconds(text)) is not None
    except ValueError as error:
        assert str(error)
