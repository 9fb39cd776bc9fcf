"""Lava's environment and one worker for all tests of a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

import pytest

from avnir.hardware.lava.backend import LavaSession
from avnir.hardware.lava.environment import Environment, find, why_missing
from avnir.hardware.lava.supervisor import Worker, scratch
from avnir.ir.graph import Graph
from avnir.ir.operation import Array
from avnir.program import Program
from avnir.trace import Trace

Runner = Callable[..., Trace]
LIMIT_SECONDS = 60.0


@pytest.fixture(scope="session")
def environment() -> Environment:
    """Lava's environment; a test without it is skipped, or fails where AVNIR_REQUIRE_LAVA=1."""
    found = find()
    if found is None:
        end = pytest.fail if os.environ.get("AVNIR_REQUIRE_LAVA") == "1" else pytest.skip
        end(str(why_missing()))
    return found


@pytest.fixture(scope="session")
def run_lava(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Runs a graph on Lava; one worker does the jobs of all tests."""
    with scratch() as own, Worker(environment, own) as worker:

        def run(
            graph: Graph, inputs: Mapping[str, Array], way: str = "in-process", states: bool = False
        ) -> Trace:
            folder = tmp_path_factory.mktemp("job")
            program = Program(graph, "test")
            program.save(folder / "program")
            return LavaSession(worker, program, folder, way, LIMIT_SECONDS).run(inputs, states)

        yield run
