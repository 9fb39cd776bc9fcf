"""`avnir verify` as a gate: limits, budgets, golden traces, reports and exit statuses."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import numpy as np
import pytest

from avnir import target
from avnir.compile import compile_graph
from avnir.export import read_nir, write_nir
from avnir.ir.graph import Graph
from avnir.ir.interpret_integer import interpret_integer
from avnir.verify.compare import compare
from tests.cli.calls import Run
from tests.networks import audio_visual, spikes

NET = ("verify", "net.nir", "--inputs", "x.npz", "--backend", "interpreter")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with `net.nir`, `x.npz` and no step summary."""
    graph = compile_graph(audio_visual(0, reset="zero"), target.load("loihi2")).nir_graph
    write_nir(graph, tmp_path / "net.nir")
    labels = np.arange(3)
    np.savez(tmp_path / "x.npz", **spikes(graph, 0, steps=6), labels=labels)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return tmp_path


def written(folder: Path, *lines: str) -> None:
    (folder / "avnir.toml").write_text(
        '[models."net.nir"]\ninputs = "x.npz"\nbackends = ["interpreter"]\n' + "\n".join(lines)
    )


def gates(out: str) -> dict[str, bool]:
    return {gate["name"]: gate["passed"] for gate in json.loads(out)["gates"]}


def test_every_limit_that_is_missed_is_named_with_what_to_do(run: Run) -> None:
    status, out, err = run(
        *NET, "--max-cores", 1, "--max-synops", 1, "--max-latency", "1ns", "--min-accuracy", 1
    )
    assert status == 1
    assert err.startswith("avnir: verification failed:\n")
    assert all(f"({name})" in err for name in ("max_synops", "max_latency", "min_accuracy"))
    assert "max_cores" not in err
    assert "above 0.001 us" in err
    assert "`avnir why net.nir`" in err
    assert "`avnir bench net.nir`" in err
    assert "FAILED" in out
    assert run(*NET, "--max-accuracy-drop", 1, "--max-latency", "1s", "--max-cores", 9)[0] == 0


def test_json_is_one_object_whether_it_passes_or_fails(run: Run) -> None:
    status, out, err = run(*NET, "--max-synops", 1, "--json")
    record = json.loads(out)
    assert (status, record["exit_status"], record["passed"]) == (1, 1, False)
    assert record["error"] == err.removeprefix("avnir: ").strip()
    [gate] = record["gates"]
    assert gate["name"] == "max_synops"
    assert gate["value"] == record["synops_per_sample"]["stored"] > gate["bound"] == 1.0
    status, out, _ = run(*NET, "--json")
    assert (status, json.loads(out)["passed"], json.loads(out)["gates"]) == (0, True, [])


@pytest.mark.parametrize("time", ["soon", "-1", "3 weeks", "nan", "inf"])
def test_times_that_are_none(run: Run, time: str) -> None:
    status, _, err = run(*NET, f"--max-latency={time}")
    assert status == 2
    assert "--max-latency" in err


def test_a_budget_holds_for_its_model_and_options_win(run: Run, folder: Path) -> None:
    written(folder, "samples = 2", "max_synops = 1", "max_cores = 9")
    status, out, _ = run("verify", "net.nir", "--json")
    assert (status, json.loads(out)["samples"], gates(out)) == (
        1,
        2,
        {"max_synops": False, "max_cores": True},
    )
    status, out, _ = run("verify", "net.nir", "--max-synops", 1e9, "--samples", 1, "--json")
    assert (status, json.loads(out)["samples"], gates(out)) == (0, 1, {"max_synops": True, "max_cores": True})
    away = folder / "away"
    away.mkdir()
    status, out, _ = run("verify", folder / "net.nir", "--json", "--samples", 1, "--max-synops", 1e9)
    assert gates(out) == {"max_synops": True, "max_cores": True}, "the same file by another name"


def test_defaults_of_options_do_not_win_over_the_budget(run: Run, folder: Path) -> None:
    written(folder, 'target = "loihi1"')
    record = json.loads(run("verify", "--json")[1])["models"]["net.nir"]
    assert record["target"] == "loihi1"
    assert ("integer", "interpreter") in {(c["first"], c["second"]) for c in record["exact"]}
    assert (
        json.loads(run("verify", "--target", "loihi2", "--json")[1])["models"]["net.nir"]["target"]
        == "loihi2"
    )


def test_a_budget_elsewhere(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(folder, "max_synops = 1")
    (folder / "away").mkdir()
    monkeypatch.chdir(folder / "away")
    assert run("verify", "../net.nir", "--inputs", "../x.npz", "--backend", "interpreter")[0] == 0, (
        "no budget in this folder"
    )
    assert run("verify", "--budget", "../avnir.toml")[0] == 1
    assert run("verify", "../net.nir", "--budget", "../avnir.toml")[0] == 1
    status, _, err = run("verify", "other.nir", "--budget", "../avnir.toml")
    assert (status, "has no budget for other.nir; it has net.nir" in err) == (2, True)


def test_all_models_of_a_budget_give_one_verdict(run: Run, folder: Path) -> None:
    (folder / "again.nir").write_bytes((folder / "net.nir").read_bytes())
    written(
        folder,
        "max_cores = 9",
        '[models."again.nir"]',
        'inputs = "x.npz"',
        'backends = ["interpreter"]',
        "max_synops = 1",
    )
    status, out, err = run("verify", "--junit", "j.xml", "--summary", "s.md")
    assert status == 1
    assert "  - again.nir: it makes" in err
    assert "net.nir:" not in err
    assert out.index("passed") < out.index("FAILED")
    assert [suite.get("failures") for suite in xml.parse("j.xml").getroot()] == ["0", "1"]
    assert "| again.nir | FAILED | max" in Path("s.md").read_text()
    record = json.loads(run("verify", "--json")[1])
    assert {name: found["passed"] for name, found in record["models"].items()} == {
        "net.nir": True,
        "again.nir": False,
    }
    assert (record["passed"], record["exit_status"]) == (False, 1)


def test_a_model_that_cannot_be_verified_does_not_hide_the_others(run: Run, folder: Path) -> None:
    written(folder, "max_synops = 1", '[models."gone.nir"]', '[models."bad.nir"]')
    (folder / "bad.nir").write_bytes(b"nothing")
    status, out, err = run("verify", "--junit", "j.xml", "--summary", "s.md", "--json")
    assert status == 2
    assert "2 of 3 models could not be verified" in err
    assert all(name in err for name in ("gone.nir", "bad.nir", "net.nir: it makes"))
    assert json.loads(out)["refused"].keys() == {"gone.nir", "bad.nir"}
    assert [suite.get("errors") for suite in xml.parse("j.xml").getroot()] == ["0", "1", "1"]
    assert "NOT VERIFIED" in Path("s.md").read_text()


def test_what_nobody_can_verify(run: Run, folder: Path) -> None:
    status, _, err = run("verify")
    assert (status, "give MODEL, or list models in avnir.toml" in err) == (2, True)
    written(folder, "max_core = 1", "samples = 0")
    status, _, err = run("verify")
    assert status == 2
    assert 'models."net.nir".max_core: ' in err
    assert 'models."net.nir".samples: ' in err
    written(folder)
    for option in ("--inputs", "--golden", "--weights", "--record"):
        status, _, err = run("verify", option, "x.npz")
        assert (status, option in err, "one model" in err) == (2, True, True)


def test_a_golden_trace_is_recorded_and_holds(run: Run, folder: Path) -> None:
    status, _, err = run(*NET, "--record", "golden/g.npz")
    assert (status, err) == (0, "recorded golden/g.npz\n")
    assert run(*NET, "--golden", "golden/g.npz", "--json")[0] == 0
    written(folder, 'golden = "golden/g.npz"', "samples = 2")
    status, out, _ = run("verify", "--junit", "j.xml")
    assert (status, "equal in 2 of 3 samples" in out) == (0, True)
    groups = {case.get("classname") for case in xml.parse("j.xml").getroot().iter("testcase")}
    assert {"net.nir: golden", "net.nir: integer = interpreter"} <= groups


def test_a_planted_weight_breaks_the_golden_trace_at_its_neuron(run: Run, folder: Path) -> None:
    run(*NET, "--record", "g.npz")
    graph = read_nir(folder / "net.nir")
    write_nir(planted(graph, "fc_out"), folder / "net.nir")
    status, out, err = run(*NET, "--golden", "g.npz", "--junit", "j.xml", "--json")
    with np.load("x.npz") as file:
        inputs = {name: file[name] for name in ("image", "audio")}
    chip = target.load("loihi2")
    before, after = (
        interpret_integer(compile_graph(made, chip).program.graph, inputs)
        for made in (graph, planted(graph, "fc_out"))
    )
    where = compare(before, after, ("before", "after")).divergence
    assert where is not None
    assert (status, where.layer, where.neuron) == (1, "lif_out", (2,))
    assert f"first at {where}; " in err
    assert "--record g.npz" in err
    assert json.loads(out)["equal"], "the stages themselves agree"
    failed = {
        case.get("name")
        for case in xml.parse("j.xml").getroot().iter("testcase")
        if case.find("failure") is not None
    }
    assert failed == {"lif_out", "golden"}


def planted(graph: Graph, name: str) -> Graph:
    """The graph with the weights into one output neuron of a Linear turned round."""
    node = graph[name]
    weight = node.op.weight.copy()  # type: ignore[attr-defined]
    weight[2] = -weight[2]
    changed = dataclasses.replace(node, op=node.op.replace(weight=weight))
    return graph.with_nodes(changed if n is node else n for n in graph)


def test_golden_traces_that_cannot_be_used(run: Run) -> None:
    run(*NET, "--record", "g.npz")
    with np.load("x.npz") as file:
        np.savez("other.npz", **{**file, "audio": 1 - file["audio"]})
    for options, message in (
        (("--inputs", "x.npz", "--golden", "x.npz"), "x.npz is not a golden trace"),
        (("--inputs", "x.npz", "--golden", "gone.npz"), "gone.npz cannot be read"),
        (("--inputs", "other.npz", "--golden", "g.npz"), "g.npz was recorded on other inputs"),
    ):
        status, _, err = run("verify", "net.nir", "--backend", "interpreter", *options)
        assert (status, message in err) == (2, True), err


def test_reports_are_written_and_the_step_summary_appended(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("page.md").write_text("# before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "page.md")
    assert run(*NET, "--max-synops", 1, "--summary", "s.md", "--junit", "j.xml")[0] == 1
    assert Path("page.md").read_text() == "# before\n" + Path("s.md").read_text()
    assert "## avnir verify: failed" in Path("s.md").read_text()
    assert run(*NET, "--summary", "s.md", "--json")[0] == 0
    assert "## avnir verify: passed" in Path("s.md").read_text()
    assert Path("page.md").read_text().count("## avnir verify") == 2
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "no/such/page.md")
    status, _, err = run(*NET)
    assert (status, "no/such/page.md cannot be written" in err) == (2, True)


def test_a_latency_that_cannot_be_said_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: Any = target.load("loihi2")
    bare = loaded.model_copy(update={"costs": {}})
    monkeypatch.setattr("avnir.target.load", lambda name: bare)
    status, _, err = run(*NET, "--max-latency", "1s")
    assert (status, "has no published value" in err) == (2, True)
