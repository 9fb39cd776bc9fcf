"""A network whose steps the host weighs: its decision travels from the model to every command."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import avnir
from avnir.cli import main
from avnir.decision import Decision, output_units
from avnir.errors import DataError
from avnir.ir.interpret_integer import interpret_integer
from avnir.program import Program

torch = pytest.importorskip("torch")
snntorch = pytest.importorskip("snntorch")

WEIGHED = Decision("classes", "score")
Json = Callable[..., dict[str, Any]]


def network() -> Any:
    """Spikes to the values of 3 classes and the score of each step."""
    torch.manual_seed(0)

    class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.classes, self.score = (torch.nn.Linear(*size) for size in ((6, 8), (8, 3), (8, 1)))
            self.lif = snntorch.Leaky(beta=0.5, init_hidden=True, reset_mechanism="zero", reset_delay=False)
            torch.nn.init.normal_(self.fc.weight)
            torch.nn.init.normal_(self.score.weight, std=3.0)

        def forward(self, x):  # type: ignore[no-untyped-def]
            self.lif.reset_mem()
            sent = torch.stack([self.lif(step) for step in self.fc(x)])
            return {"classes": self.classes(sent), "score": self.score(sent)}

    return Net()


def examples() -> Any:
    torch.manual_seed(1)
    return (torch.rand(5, 40, 6) < 0.5).float()


def answers() -> Any:
    """What the network says, its steps weighed: the labels."""
    with torch.no_grad():
        made = network()(examples())
    return (made["score"].softmax(0) * made["classes"]).sum(0).argmax(1)


def saved(path: Path, decision: Decision | None = WEIGHED) -> Path:
    avnir.save(network(), examples(), path, time="window", labels=answers(), decision=decision)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("weighed") / "model.pt")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Json:
    def run(*arguments: object) -> dict[str, Any]:
        main([*map(str, arguments), "--json"])
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return run


@pytest.fixture(scope="module")
def exported(model: Path) -> Path:
    folder = model.parent / "out"
    main(["export", str(model), "--target", "loihi2", "--out", str(folder)])
    return folder


def integer_classes(folder: Path, inputs: dict[str, Any]) -> list[int]:
    program = Program.load(folder / "program")
    units = output_units(program.graph)
    found: list[int] = program.decision.classes(interpret_integer(program.graph, inputs), units).tolist()
    return found


def test_a_file_keeps_it_and_one_with_the_usual_decision_is_as_before(model: Path, tmp_path: Path) -> None:
    from avnir.export import load

    checkpoint = load(model)
    assert checkpoint.decision == WEIGHED
    assert np.array_equal(WEIGHED.classes(checkpoint.recorded), answers().numpy())
    plain, usual = saved(tmp_path / "plain.pt", None), saved(tmp_path / "usual.pt", Decision())
    assert plain.read_bytes() == usual.read_bytes()
    assert b'"decision"' in model.read_bytes()
    assert b'"decision"' not in plain.read_bytes()
    assert load(plain).decision == Decision()


def test_a_decision_that_does_not_fit_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="reads 'attention', but the outputs are classes, score"):
        saved(tmp_path / "model.pt", Decision("classes", "attention"))
    assert not list(tmp_path.iterdir())


def test_accuracies_are_of_the_weighed_steps(model: Path, run: Json, tmp_path: Path) -> None:
    found = run("verify", model)["accuracy"]
    assert found["model"] == found["graph"] == found["snntorch"] == 1
    assert found["integer"] == found["cpu"] > 0.9
    unweighed = run("verify", saved(tmp_path / "plain.pt", None))["accuracy"]
    assert unweighed["model"] < 0.9


def test_labels_take_no_part_in_calibration(model: Path, run: Json) -> None:
    assert run("verify", model, "--calibrate")["accuracy"]["integer"] > 0.9


def test_run_decides_by_it(exported: Path, run: Json, tmp_path: Path) -> None:
    inputs = {"x": examples().numpy().astype(np.uint8)}
    np.savez(tmp_path / "x.npz", **inputs, labels=answers().numpy())
    found = run("run", exported, "--inputs", tmp_path / "x.npz")
    assert found["decisions"] == integer_classes(exported, inputs)
    assert found["accuracy"] == np.mean(np.array(found["decisions"]) == answers().numpy()) > 0.9


def test_every_account_says_what_the_host_does(model: Path, run: Json, tmp_path: Path) -> None:
    checked = run("check", model)
    made = run("export", model, "--target", "loihi2", "--out", tmp_path / "out", "--explain")
    assert made["runs_where"] == checked["runs_where"]
    decision = checked["runs_where"][-1]
    assert (decision["name"], decision["runs"]) == ("decision", "host")
    assert "softmax of score; a step 1 exponential, 3 multiplications, 3 additions" in decision["how"]
    page = unescape((tmp_path / "out" / "report.html").read_text())
    assert all(part["how"] in page for part in checked["runs_where"])
    assert checked["left_out"].keys() == made["left_out"].keys() == {"program.nir"}


def test_bench_charges_the_host(model: Path, run: Json) -> None:
    host = run("bench", model, "--target", "loihi2")["energy_per_sample"]["host"]
    assert {entry["term"]: entry["count"] for entry in host["entries"]} == {
        "host: values shown": 5 * 6,
        "host: values read": 5 * 4,
        "host: exponentials of the decision": 5,
        "host: multiplications of the decision": 5 * 3,
        "host: additions of the decision": 5 * 3,
    }
    assert host["dynamic_joules"] is None
