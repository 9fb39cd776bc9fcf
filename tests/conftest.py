"""Fixtures that every test may use."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

# Two processes whose threads spin while they wait slow each other many times over on few cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Tracing, the models and the main job need torch; the rest, NIR included, is tested without.
NEEDS_TORCH = ["corpus/*", "end_to_end/*", "export/test_[!n]*", "fuzz/*", "models/*", "scaling/*"]
collect_ignore_glob = [] if find_spec("torch") else NEEDS_TORCH

ROOT = Path(__file__).resolve().parent.parent


def pytest_report_header() -> str | None:
    """Say what is left out."""
    return f"without torch, left out: {', '.join(collect_ignore_glob)}" if collect_ignore_glob else None


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets: `AVNIR_DATA`, or `shared/data` beside the checkout."""
    folder = Path(os.environ.get("AVNIR_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "mnist.npz").is_file():
        pytest.skip(f"no real data in {folder}: set AVNIR_DATA to a folder with mnist.npz and fsdd.npz")
    return folder


@pytest.fixture(params=["events", "tiles"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of the CPU engine to the same sums, for each test that asks for it.

    Only event by event, as where a processor has no tiles; or by tiles, however little fills them.
    """
    from avnir.hardware.cpu import conv_tiles, dense, engine, tiles

    if request.param == "events":
        monkeypatch.setattr(engine, "available", lambda: False)
        return "events"
    if not tiles.available():
        pytest.skip("this processor has no products of tiles (AMX)")
    for place, name in (
        (dense, "TILED_FROM"),
        (dense, "FEWEST_ROWS"),
        (conv_tiles, "LEAST_AREA"),
    ):
        monkeypatch.setattr(place, name, 0)
    return "tiles"
