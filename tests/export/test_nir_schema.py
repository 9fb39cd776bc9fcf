"""The published schema of avnir's metadata is what the code writes, and the files keep to it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import jsonschema
import pytest

import avnir.export
from avnir import target
from avnir.compile import compile_graph
from avnir.export.nir_program import write_program_nir
from avnir.export.nir_schema import metadata_schema
from avnir.export.nir_write import write_nir
from tests.export.nir_cases import audio_visual, chain, convolutions, current
from tests.networks import audio_visual as network

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = Path(avnir.export.__file__).parent / "nir_metadata.schema.json"


def texts(path: Path) -> Iterator[tuple[str, Any]]:
    """Each metadata text of a file, and whether it is the graph's or a node's."""
    with h5py.File(path) as file:
        graph = file["node"]
        yield "graph", json.loads(graph["metadata/avnir"][()])
        for node in graph["nodes"].values():
            if "metadata" in node:
                yield "node", json.loads(node["metadata/avnir"][()])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Real networks and a program, as they are exported."""
    folder = tmp_path_factory.mktemp("nir")
    graphs = [chain("subtract"), current("zero"), audio_visual(), convolutions()]
    compiled = compile_graph(network(0), target.load("loihi2"))
    for index, graph in enumerate([*graphs, compiled.nir_graph]):
        write_nir(graph, folder / f"{index}.nir", {"from": ["a test", index, 0.5, None]})
    write_program_nir(compiled.program, folder / "program.nir")
    return sorted(folder.iterdir())


def test_the_published_schema_is_that_of_the_code() -> None:
    said = "run `python -m avnir.export.nir_schema > export/nir_metadata.schema.json`"
    assert json.loads(SCHEMA.read_text()) == metadata_schema(), said


def test_every_written_text_keeps_to_the_schema(files: list[Path]) -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    written = [(place, text) for path in files for place, text in texts(path)]
    assert {place for place, _ in written} == {"graph", "node"}
    assert any("program" in text for _, text in written)
    for place, text in written:
        validator.validate({place: text})
        with pytest.raises(jsonschema.ValidationError):
            validator.validate({place: {**text, "more": 1}})


def test_the_schema_says_what_a_program_needs(files: list[Path]) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    program = next(path for path in files if path.name == "program.nir")
    node = next(text for place, text in texts(program) if place == "node" and text["integer"]["op"] == "Lif")
    for wrong in ({"dtype": "int9"}, {"runs": [[1, 0]]}, {"runs": [[1]]}, {"shape": [-1]}):
        array = {**node["integer"]["values"]["threshold"], **wrong}
        values = {**node["integer"]["values"], "threshold": array}
        with pytest.raises(jsonschema.ValidationError):
            validator.validate({"node": {**node, "integer": {**node["integer"], "values": values}}})


def test_the_schema_is_shipped() -> None:
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert any(SCHEMA.match(pattern) for pattern in shipped["avnir.export"])
