"""`avnir diff` on exported folders: text, Markdown, JSON, limits, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from avnir import target
from avnir.cli import main
from avnir.compile import compile_graph
from avnir.export import write_nir
from tests.cli.calls import Run
from tests.networks import audio_visual, spikes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the exports `before` (8 bits) and `after` (3 bits), `net.nir` and `x.npz`."""
    folder = tmp_path_factory.mktemp("exports")
    graph = compile_graph(audio_visual(0, reset="zero"), target.load("loihi2")).nir_graph
    write_nir(graph, folder / "net.nir")
    np.savez(folder / "x.npz", **spikes(graph, 0, steps=6), labels=np.arange(3))
    export = ["export", str(folder / "net.nir"), "--target", "loihi2", "--weight-bits"]
    for name, bits in (("before", "8"), ("after", "3")):
        main([*export, bits, "--out", str(folder / name)])
    return folder


@pytest.fixture(autouse=True)
def here(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which holds them."""
    monkeypatch.chdir(made)
    return made


def test_without_inputs_the_integers_are_compared(run: Run) -> None:
    status, out, _ = run("diff", "before", "after")
    assert status == 0
    assert "nothing was run" in out
    assert "weight_bits" in out
    assert "SynOps a sample, stored" not in out
    status, out, _ = run("diff", "before", "before")
    assert (status, out.splitlines()[0].startswith("the same program: ")) == (0, True)


def test_with_inputs_every_figure_is_compared(run: Run) -> None:
    status, out, _ = run("diff", "before", "after", "--inputs", "x.npz", "--samples", 2)
    assert status == 0
    assert "of the spike slots are equal, first at " in out
    assert all(
        name in out for name in ("SynOps a sample, nonzero", "latency of a window", "accuracy", "cores")
    )
    status, out, _ = run("diff", "before", "after", "--inputs", "x.npz", "--json")
    record = json.loads(out)
    assert (status, record["same_program"]) == (0, False)
    assert set(record["figures"]["accuracy"]) == {"before", "after", "growth"}
    status, out, _ = run("diff", "before", "after", "--inputs", "x.npz", "--markdown")
    assert (status, out.startswith("## avnir diff: before to after\n")) == (0, True)


def test_limits_decide_the_exit_status(run: Run) -> None:
    grown = ("diff", "before", "after", "--inputs", "x.npz", "--max-growth", 0)
    status, out, err = run(*grown)
    assert status == 1
    assert "(--max-growth)" in err
    assert "figures" in out
    status, out, err = run(*grown, "--json")
    assert (status, json.loads(out)["exit_status"]) == (1, 1)
    assert json.loads(out)["error"] == err.removeprefix("avnir: ").strip()
    assert (
        run("diff", "before", "before", "--inputs", "x.npz", "--max-growth", 0, "--max-accuracy-drop", 0)[0]
        == 0
    )


def test_what_it_refuses(run: Run, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(here, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    Path("after/placement.json").unlink()
    Path("bad.nir").write_bytes(b"no")
    np.savez("wrong.npz", image=np.zeros((2, 1, 3)))
    np.savez("flat.npz", image=np.zeros(3))
    for arguments, message in (
        (("before", "nowhere"), "nowhere"),
        (("before", "after"), "placement.json cannot be read"),
        (("before", "before", "--inputs", "wrong.npz"), "the inputs do not fit the network"),
        (("before", "before", "--inputs", "flat.npz", "--samples", "1"), "the inputs do not fit the network"),
        (("before", "before", "--inputs", "x.npz", "--model", "m.pt"), "leave one out"),
        (("before", "before", "--model", "bad.nir"), "bad.nir"),
        (("before", "before", "--model", "net.nir"), "holds no example inputs"),
        (("before", "before", "--markdown", "--json"), "leave one out"),
        (("before", "before", "--max-growth", "0.1"), "needs inputs"),
    ):
        status, _, err = run("diff", *arguments)
        assert (status, message in err) == (2, True), err


@pytest.fixture
def printed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: Path) -> Path:
    """A folder with what `avnir verify --json` says of 8 and of 3 bits, and of two models at once."""
    verify = ("verify", "--backend", "interpreter", "--json", "--samples", 2)
    one = (here / "net.nir", "--inputs", here / "x.npz")
    for name, bits in (("eight", 8), ("three", 3)):
        (tmp_path / f"{name}.json").write_text(run(*verify, *one, "--weight-bits", bits)[1])
    listed = [f'[models."{name}.nir"]\ninputs = "x.npz"\n' for name in ("net", "again")]
    for name in ("net.nir", "again.nir", "x.npz"):
        shutil.copy(here / name.replace("again", "net"), tmp_path / name)
    (tmp_path / "avnir.toml").write_text("\n".join(listed))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "both.json").write_text(run(*verify)[1])
    return tmp_path


@pytest.mark.usefixtures("printed")
def test_two_verifications_are_compared_by_their_figures(run: Run) -> None:
    status, out, _ = run("diff", "eight.json", "three.json")
    assert status == 0
    assert "net.nir: program " in out
    assert all(
        name in out for name in ("agreement with the float model", "SynOps a sample, fan_out", "accuracy")
    )
    record = json.loads(run("diff", "eight.json", "three.json", "--json")[1])
    [found] = record["models"].values()
    eight, three = (json.loads(Path(f"{name}.json").read_text()) for name in ("eight", "three"))
    assert found["programs"] == {"before": eight["program"], "after": three["program"]}
    agreement = found["figures"]["agreement with the float model"]
    assert (agreement["before"], agreement["after"]) == tuple(
        r["quantisation"]["agreement"] for r in (eight, three)
    )
    status, _, err = run("diff", "eight.json", "three.json", "--max-growth", 0)
    assert (status, "SynOps a sample, stored grew from" in err) == (1, True)
    status, out, _ = run("diff", "both.json", "both.json", "--markdown", "--max-growth", 0)
    assert (status, out.count("the same program"), out.count("| cores |")) == (0, 2, 2)
    assert json.loads(run("diff", "both.json", "eight.json", "--json")[1])["models"] == {}


@pytest.mark.usefixtures("printed")
def test_files_that_are_no_verification(run: Run) -> None:
    for name, text in {"list": "[]", "none": "no", "bare": "{}", "odd": '{"models": {"a": 3}}'}.items():
        Path(f"{name}.json").write_text(text)
        status, _, err = run("diff", "eight.json", f"{name}.json")
        assert (status, f"{name}.json is not what avnir verify --json prints" in err) == (2, True)
    status, _, err = run("diff", "eight.json", "three.json", "--samples", 2)
    assert (status, "leave out --inputs, --model and --samples" in err) == (2, True)
