"""The real command line, in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
Avnir = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def model() -> Path:
    """The trained network that comes with the project."""
    return ROOT / "examples" / "av_digits.pt"


@pytest.fixture
def avnir() -> Avnir:
    """Run `avnir ARGUMENTS`; `environment` adds variables, `status` is what must come back."""

    def run(*arguments: Any, status: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "avnir", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=600,
            env={**os.environ, **environment},
        )
        assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture
def require_lava() -> None:
    """Skip where Lava is not set up, unless `AVNIR_REQUIRE_LAVA=1` asks for a failure."""
    from avnir.hardware.lava import in_process

    missing = in_process.missing()
    if missing and os.environ.get("AVNIR_REQUIRE_LAVA") != "1":
        pytest.skip(missing)
    assert missing is None, missing


def as_json(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What a command printed with --json."""
    record: dict[str, Any] = json.loads(done.stdout)
    return record
