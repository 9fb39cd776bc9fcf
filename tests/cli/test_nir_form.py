"""`avnir export --nir-form`: graph.nir in the standard and in the strict form."""

from __future__ import annotations

from pathlib import Path

import nir
import pytest

from avnir.cli import main
from avnir.export import read_nir, write_nir
from tests.export.nir_cases import chain


def export(reset: str, folder: Path, *options: str) -> int:
    write_nir(chain(reset), folder / "net.nir")
    arguments = ["export", str(folder / "net.nir"), "--target", "loihi2", "--out", str(folder / "out")]
    try:
        main([*arguments, *options])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.mark.parametrize(("options", "kind"), [((), "LIF"), (("--nir-form", "strict"), "Threshold")])
def test_both_forms_are_the_same_graph(options: tuple[str, ...], kind: str, tmp_path: Path) -> None:
    assert export("subtract_delayed", tmp_path, *options) == 0
    path = tmp_path / "out" / "graph.nir"
    assert type(nir.read(path).nodes["lif1"]).__name__ == kind
    assert read_nir(path) == chain("subtract_delayed")


def test_a_reset_that_the_strict_form_lacks_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export("zero_next", tmp_path, "--nir-form", "strict") == 2
    assert not (tmp_path / "out").exists()
    assert "a product with its spikes" in capsys.readouterr().err
