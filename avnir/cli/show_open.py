"""Which of the files that `avnir show` prints one is, told by its content."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avnir.cli.shown import ShownGraph, ShownPlacement, ShownProgram, ShownRun
from avnir.cli.source import HDF5

if TYPE_CHECKING:
    from avnir.place import Placement

STRUCTURE, MANIFEST = "program.json", "manifest.json"
KINDS = (
    "a model.pt, a .nir file, an exported folder or its program, a placement.json, or what `avnir run --out` "
    "wrote"
)


def opened(path: Path) -> ShownGraph | ShownProgram | ShownPlacement | ShownRun:
    """What a file or folder holds, told by its content; DataError where it is nothing that is shown."""
    from avnir.errors import DataError

    if path.is_dir():
        return _folder(path)
    try:
        with path.open("rb") as file:
            head = file.read(len(HDF5))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); give {KINDS}") from error
    if head == HDF5:
        return _nir(path)
    if zipfile.is_zipfile(path):
        return _archive(path)
    if head.lstrip()[:1] == b"{":
        return _json(path)
    raise DataError(f"{path} is nothing that avnir shows; give {KINDS}")


def _folder(path: Path) -> ShownProgram:
    from avnir.errors import DataError
    from avnir.program import Program

    inside = path / "program" if (path / "program").is_dir() else path
    if not (inside / STRUCTURE).is_file():
        raise DataError(f"{path} holds no program ({STRUCTURE}); give {KINDS}")
    program = Program.load(inside)
    beside = inside.parent / "placement.json"
    placement = _placement(beside, _record(beside)) if beside.is_file() else None
    return ShownProgram(program, placement if placement and placement.program == program.digest else None)


def _nir(path: Path) -> ShownGraph | ShownProgram:
    """A program where it is one, else a graph."""
    from avnir.errors import InterchangeError
    from avnir.export import read_nir
    from avnir.export.nir_program import read_program_nir

    try:
        return ShownProgram(read_program_nir(path), None)
    except InterchangeError:
        return ShownGraph(read_nir(path))


def _archive(path: Path) -> ShownGraph | ShownRun:
    """An .npz with a trace's format is a trace; a zip with torch's pickle a model."""
    from avnir.errors import DataError

    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("data.pkl") for name in names):
        from avnir.export import load

        return ShownGraph(load(path).graph)
    if "format.npy" in names:
        from avnir.trace import Trace

        return ShownRun(Trace.load(path), path)
    held = ", ".join(name.removesuffix(".npy") for name in names[:5]) or "nothing"
    raise DataError(f"{path} is no recorded run, it holds {held}; give {KINDS}")


def _json(path: Path) -> ShownPlacement | ShownProgram:
    """A placement; or the folder of which the file is a part."""
    record = _record(path)
    if path.name in (STRUCTURE, MANIFEST):
        return _folder(path.parent)
    return ShownPlacement(_placement(path, record))


def _record(path: Path) -> Mapping[str, Any]:
    from avnir.errors import DataError

    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error}); give {KINDS}") from error
    if not isinstance(record, dict) or not isinstance(record.get("target"), str):
        raise DataError(f"{path} is no JSON that avnir shows; give {KINDS}")
    return record


def _placement(path: Path, record: Mapping[str, Any]) -> Placement:
    from avnir import target
    from avnir.place import Placement

    return Placement.from_json(path.read_text(encoding="utf-8"), target.load(record["target"]))
