"""The wheel holds every package, and nothing is installed under a name of the user's."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = (".py", ".toml", ".txt", ".typed", ".json", ".html", ".css", ".js")
MAPPED = {"avnir": "avnir", "models": "avnir.models", "export": "avnir.export", "hardware": "avnir.hardware"}


def packages_in_tree() -> set[str]:
    found = set()
    for folder, package in MAPPED.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            inside = init.parent.relative_to(ROOT / folder)
            if folder == "avnir" and inside.parts[:1] in (("models",), ("export",), ("hardware",)):
                continue
            found.add(".".join([package, *inside.parts]))
    return found


def test_the_package_list_is_the_tree() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert set(listed) == packages_in_tree()


@pytest.mark.parametrize("name", ["models", "export", "hardware"])
def test_the_links_are_there(name: str) -> None:
    link = ROOT / "avnir" / name
    assert link.is_symlink()
    assert link.readlink() == Path("..") / name


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of a copy of the tracked tree, so that no build folder is left in it."""
    scratch = tmp_path_factory.mktemp("wheel")
    copy = scratch / "source"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (copy / name).write_bytes((ROOT / name).read_bytes())
    for name in MAPPED:
        subprocess.run(["cp", "-R", str(ROOT / name), str(copy / name)], check=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(scratch), str(copy)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return next(scratch.glob("avnir-*.whl"))


def test_the_wheel_holds_every_module_and_data_file(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, package in MAPPED.items():
        for source in (ROOT / folder).rglob("*"):
            inside = source.relative_to(ROOT / folder)
            linked = folder == "avnir" and inside.parts[0] in ("models", "export", "hardware")
            if linked or source.suffix not in SUFFIXES:
                continue
            assert "/".join([*package.split("."), *inside.parts]) in names
    assert not {name.split("/")[0] for name in names} - {
        "avnir",
        *(n for n in _tops(names) if "dist-info" in n),
    }


def _tops(names: set[str]) -> set[str]:
    return {name.split("/")[0] for name in names}


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, avnir.cli\n"
        "try: avnir.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'numba', 'h5py', 'pydantic', 'rich', 'snntorch'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_core_imports_no_framework() -> None:
    core = [
        p
        for p in sorted(packages_in_tree())
        if not p.startswith(("avnir.models", "avnir.export", "avnir.cli"))
    ]
    modules = []
    for package in core:
        folder = ROOT.joinpath(*package.split("."))
        modules += [
            package,
            *(f"{package}.{file.stem}" for file in folder.glob("*.py") if file.stem[0] != "_"),
        ]
    skipped = (
        "avnir.testing.strategies",
        "avnir.hardware.lava.worker",
        "avnir.hardware.lava.processes",
        "avnir.hardware.gpu.",
        "avnir.hardware.peers.workers.",
    )
    wanted = [m for m in modules if not m.startswith(skipped)]
    code = (
        f"import sys, importlib\nfor name in {wanted!r}: importlib.import_module(name)\n"
        "heavy = {'torch', 'snntorch', 'lava', 'nir', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
