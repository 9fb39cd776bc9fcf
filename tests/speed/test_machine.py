"""What is said of a machine."""

from __future__ import annotations

import platform
from pathlib import Path

from avnir.speed.machine import processor, this_machine


def test_the_processor_has_the_name_that_the_system_gives(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: A processor @ 3 GHz\n\nmodel name\t: Another\n")
    assert processor(file) == "A processor @ 3 GHz"


def test_without_a_name_it_is_its_architecture(tmp_path: Path) -> None:
    assert processor(tmp_path / "nothing") == platform.machine()


def test_this_machine() -> None:
    found = this_machine()
    assert found.cores >= 1
    assert found.memory > 1 << 26
    assert found.packages.keys() >= {"avnir", "numpy", "numba"}
    assert found.record()["python"] == platform.python_version()
