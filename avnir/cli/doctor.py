"""`avnir doctor`: what is installed here, what is missing, and what to do about it."""

from __future__ import annotations

import platform
from importlib import metadata

import click

from avnir.cli.output import emit, json_option, table

PACKAGES = (
    *("avnir", "numpy", "numba", "h5py", "pydantic", "torch", "snntorch", "scikit-learn"),
    *("onnxruntime", "nir", "nirtorch", "norse", "distributed"),
)


@click.command("doctor")
@json_option
def command(as_json: bool) -> None:
    """Say what is installed here and what is missing; always exits 0."""
    from avnir.backend import available

    versions = {name: _version(name) for name in PACKAGES}
    backends = {name: backend.missing() for name, backend in available().items()}
    if as_json:
        emit({"python": platform.python_version(), "packages": versions, "backends": backends})
        return
    table(
        f"Python {platform.python_version()}",
        ("package", "version"),
        [(n, v or "missing") for n, v in versions.items()],
    )
    table("backends", ("name", "state"), [(n, reason or "ready") for n, reason in backends.items()])


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
