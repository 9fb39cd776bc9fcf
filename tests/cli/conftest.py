"""What the tests of the command line share."""

from __future__ import annotations

import pytest

from avnir.cli import main
from tests.cli.calls import Run


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `avnir ARGUMENTS` in this process: exit status, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = int(stop.code or 0)
        return status, *capsys.readouterr()

    return call
