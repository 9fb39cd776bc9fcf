"""What is said of a machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from avnir.speed.machine import others_at_work, processor, this_machine


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


def test_others_are_those_at_work_while_this_process_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, tick = tmp_path / "stat", os.sysconf("SC_CLK_TCK")
    fields = [100, 10, 50, 9000, 800, 5, 5, 0, 0, 0]

    def wait(seconds: float) -> None:
        busier = [fields[0] + int(1.5 * tick * seconds), *fields[1:3], 9000 + tick, 800 + tick, *fields[5:]]
        file.write_text(f"cpu  {' '.join(map(str, busier))}\n")

    file.write_text(f"cpu  {' '.join(map(str, fields))}\ncpu0 1 2 3\n")
    monkeypatch.setattr("avnir.speed.machine.time.sleep", wait)
    assert others_at_work(file) == 1.5
    assert others_at_work(tmp_path / "nothing") == 0
