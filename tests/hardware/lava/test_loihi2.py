"""Loihi 2 is refused with the reason, and nothing takes its place in silence."""

from __future__ import annotations

import numpy as np
import pytest

from avnir import backend
from avnir.errors import BackendError
from avnir.hardware import loihi2
from avnir.program import Program
from tests.hardware.lava.lava_networks import residual_network


@pytest.fixture
def program() -> Program:
    return Program(residual_network(0)[0], "test")


def test_without_lava(monkeypatch, tmp_path, program):
    monkeypatch.setenv("AVNIR_LAVA_ENV", str(tmp_path))
    chip = backend.find("loihi2")
    assert "Lava is not set up" in str(chip.missing())
    with pytest.raises(BackendError, match="run `avnir lava setup`"):
        chip.session(program)


@pytest.mark.lava
def test_without_intels_extension(environment, program):
    with pytest.raises(BackendError, match="needs Intel's extension of Lava"):
        loihi2.backend.session(program)


@pytest.mark.parametrize(
    ("says", "reason"), [("True", "never tested on silicon"), ("False", "Intel's extension")]
)
def test_with_the_extension_it_is_refused_too(monkeypatch, tmp_path, program, says, reason):
    site = tmp_path / "lib/python3.10/site-packages/lava_nc-0.10.0.dist-info"
    site.mkdir(parents=True)
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\necho {says}\n")
    python.chmod(0o755)
    monkeypatch.setenv("AVNIR_LAVA_ENV", str(tmp_path))
    with pytest.raises(BackendError, match=reason):
        loihi2.backend.session(program)
    assert np.array_equal(sorted(path.name for path in tmp_path.iterdir()), ["bin", "lib"])
