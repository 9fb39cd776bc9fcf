from __future__ import annotations

import os

import pytest

from avnir.backend import find
from avnir.testing import CHECKS, run_check

BACKENDS = (
    "interpreter",
    "cpu",
    pytest.param("lava", marks=pytest.mark.lava),
    pytest.param("lava-runtime", marks=pytest.mark.lava),
)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", BACKENDS)
def test_backend_conforms(name: str, check: str) -> None:
    backend = find(name)
    missing = backend.missing()
    if missing and os.environ.get("AVNIR_REQUIRE_LAVA") != "1":
        pytest.skip(f"{name}: {missing}")
    result = run_check(backend, check)
    assert result.ok, result.detail
