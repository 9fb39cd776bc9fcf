"""Other models than a model.pt: the user's own program with its weights, NIR files, and what is refused."""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from avnir.cli import main
from avnir.ir.operation import Array
from tests.end_to_end.conftest import Avnir, as_json

Run = Callable[..., tuple[int, str, str]]

NET = """
import snntorch as snn
from torch import nn
import torch

print("a word of the program's own")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(6, 9)
        self.norm = nn.BatchNorm1d(9)
        self.lif1 = snn.Leaky(0.9, init_hidden=True, reset_mechanism="zero", reset_delay=False)
        self.fc2 = nn.Linear(9, 4)
        self.lif2 = snn.Leaky(0.75, init_hidden=True)

    def forward(self, x):
        return self.lif2(self.fc2(self.lif1(self.norm(self.fc1(x)))))


class Window(Net):
    def forward(self, x):
        return torch.stack([Net.forward(self, step) for step in x])


class Both(Net):
    def __init__(self):
        super().__init__()
        self.lif2 = snn.Leaky(0.75, init_hidden=True, output=True)


class Untraceable(Net):
    def forward(self, x):
        return self.lif2(torch.softmax(self.fc2(self.lif1(torch.sin(self.fc1(x)))), 1))


class Counting(Net):
    steps = 0

    def forward(self, x):
        self.steps += 1
        return super().forward(x if self.steps < 4 else 1 - x)


class Alone(nn.Module):
    def __init__(self, threshold):
        super().__init__()
        self.lif = snn.Leaky(1.0, threshold=threshold, init_hidden=True)

    def forward(self, x):
        return self.lif(x)


def tied():
    return Alone(torch.tensor(0.040973525) + torch.tensor(0.016527636))


class Failing(Net):
    def forward(self, x):
        return self.lif2(self.fc1(x[:, :3]))


class TwoInputs(Net):
    def forward(self, x, sound):
        return self.lif2(self.fc2(self.lif1(self.fc1(x + sound))))


def build():
    return Net()


def broken():
    return deeper()


def deeper():
    raise ValueError("no such file: settings.yaml")


def leaves():
    raise SystemExit(0)


def number():
    return 7


ready = nn.ReLU()
"""


def weights() -> dict[str, Tensor]:
    """Weights for Net, large enough that every layer spikes."""
    generator = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    return {
        "fc1.weight": normal(9, 6),
        "fc1.bias": normal(9),
        "norm.weight": normal(9).abs() + 0.5,
        "norm.bias": normal(9),
        "norm.running_mean": normal(9),
        "norm.running_var": normal(9).abs() + 0.5,
        "norm.num_batches_tracked": torch.tensor(5),
        "lif1.threshold": torch.tensor(1.0),
        "lif1.graded_spikes_factor": torch.tensor(1.0),
        "lif1.reset_mechanism_val": torch.tensor(1),
        "lif1.beta": torch.tensor(0.9),
        "fc2.weight": normal(4, 9),
        "fc2.bias": normal(4),
        "lif2.threshold": torch.tensor(1.0),
        "lif2.graded_spikes_factor": torch.tensor(1.0),
        "lif2.reset_mechanism_val": torch.tensor(0),
        "lif2.beta": torch.tensor(0.75),
    }


def spikes(steps: int = 12, batch: int = 5, size: int = 6) -> Array:
    return (np.random.default_rng(0).random((steps, batch, size)) < 0.4).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with the user's program, its weights in both forms, and example inputs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").touch()
    (tmp_path / "mine" / "net.py").write_text(NET)
    torch.save(weights(), tmp_path / "weights.pt")
    save_file(weights(), tmp_path / "weights.safetensors")
    np.savez(tmp_path / "x.npz", x=spikes(), labels=np.arange(5) % 4)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("mine", "typo", "needs"):
            del sys.modules[name]


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """`avnir ARGUMENTS` in this process and that folder: exit status, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = int(stop.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return call


def import_net(folder: Path) -> Any:
    """The user's program as a module."""
    sys.path.insert(0, str(folder))
    return import_module("mine.net")


def refusal(result: tuple[int, str, str]) -> str:
    """The one message of a run that was refused."""
    status, out, err = result
    assert status == 2, out + err
    assert not out
    assert "Traceback" not in err
    assert "avnir: " in err
    return err.partition("avnir: ")[2]


def pairs(record: Mapping[str, Any]) -> dict[tuple[str, str], bool]:
    return {(c["first"], c["second"]): c["identical"] for c in record["exact"]}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_a_program_of_ones_own_through_the_real_command_line(avnir: Avnir, folder: Path, name: str) -> None:
    """Exported, its folder runs, and gives the spikes of the same weights in the model."""
    given = ("mine.net:build", "--weights", name, "--inputs", "x.npz")
    manifest = as_json(avnir("export", *given, "--target", "loihi2", "--json"))
    assert manifest["model"] == {
        "kind": "module:build",
        "name": "mine.net:build",
        "sha256": sha256(folder / "mine" / "net.py"),
        "time": "step",
        "weights": {"name": name, "sha256": sha256(folder / name)},
        "inputs": {"name": "x.npz", "sha256": sha256(folder / "x.npz")},
    }
    assert manifest["compared_samples"] == 5
    assert set(pairs(manifest)) == {("model", "graph"), ("snntorch", "graph"), ("integer", "cpu")}
    assert all(pairs(manifest).values())
    assert all(min(layer["spikes"].values()) > 0 for layer in manifest["quantisation"]["layers"])
    assert json.loads((folder / "net_loihi2" / "manifest.json").read_text())["model"] == manifest["model"]
    assert set(manifest["accuracy"]) == {"model", "snntorch", "graph", "integer", "cpu"}


def test_the_installed_command_finds_the_program_in_the_current_folder(folder: Path) -> None:
    """As the script `avnir`, which does not put the current folder on Python's path by itself."""
    code = "from avnir.cli import main; main()"
    arguments = ("check", "mine.net:build", "--inputs", "x.npz", "--json")
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["exportable"] is True
    assert "a word of the program's own" in done.stderr


def test_both_forms_of_weights_and_of_time_give_the_same_program(run: Run) -> None:
    found = set()
    for build, *options in (
        ("mine.net:build", "--weights", "weights.pt"),
        ("mine.net:build", "--weights", "weights.safetensors", "--time", "step"),
        ("mine.net:Window", "--weights", "weights.pt", "--time", "window"),
    ):
        status, out, err = run("verify", build, *options, "--inputs", "x.npz", "--json")
        assert status == 0, err
        assert all(pairs(json.loads(out)).values())
        found.add(json.loads(out)["program"])
    assert len(found) == 1
    other = json.loads(run("verify", "mine.net:build", "--inputs", "x.npz", "--json")[1])["program"]
    assert other not in found


def test_outputs_that_the_chip_has_not_are_left_out_on_request(run: Run) -> None:
    given = ("--weights", "weights.pt", "--inputs", "x.npz")
    message = refusal(run("verify", "mine.net:Both", *given))
    assert "is the membrane potential of lif2" in message and "outputs=" in message
    made = [
        json.loads(run("verify", build, *given, *more, "--json")[1])["program"]
        for build, *more in (("mine.net:build",), ("mine.net:Both", "--outputs", "0"))
    ]
    assert made[0] is not None
    assert "spk" in refusal(run("verify", "mine.net:Both", *given, "--outputs", "spk"))
    assert "--outputs is for module:build" in refusal(run("verify", "model.pt", "--outputs", "0"))


def test_the_program_is_that_of_the_same_model_saved(run: Run, folder: Path) -> None:
    import avnir

    status, out, _ = run("verify", "mine.net:build", "--weights", "weights.pt", "--inputs", "x.npz", "--json")
    assert status == 0
    model = import_net(folder).Net()
    model.load_state_dict(weights())
    avnir.save(model, torch.from_numpy(spikes()).float(), folder / "model.pt")
    again = json.loads(run("verify", "model.pt", "--json")[1])
    assert again["program"] == json.loads(out)["program"]


def test_without_weights_the_same_code_gives_the_same_bytes(run: Run) -> None:
    given = ("export", "mine.net:build", "--inputs", "x.npz", "--target", "loihi2", "--json")
    made = [json.loads(run(*given, "--out", out)[1]) for out in ("a", "b")]
    assert made[0].pop("folder") != made[1].pop("folder")
    assert made[0] == made[1]


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_that_do_not_fit_are_all_named(run: Run, folder: Path, suffix: str) -> None:
    wrong = weights()
    del wrong["fc1.bias"], wrong["norm.weight"]
    wrong |= {"fc3.weight": torch.ones(2), "fc2.weight": torch.ones(4, 8)}
    wrong |= {"fc2.bias": torch.full((4,), 1 / 3).double() / 3, "norm.bias": torch.full((9,), torch.nan)}
    path = folder / f"wrong{suffix}"
    save_file(wrong, path) if suffix == ".safetensors" else torch.save(wrong, path)
    message = refusal(run("check", "mine.net:build", "--weights", path, "--inputs", "x.npz"))
    for part in (
        "fc1.bias is missing",
        "norm.weight is missing",
        "fc3.weight is not in the model",
        "fc2.weight has shape (4, 8), but the model's has (4, 9)",
        "fc2.bias is torch.float64 and has values that torch.float32 does not hold",
        "norm.bias has values that are not finite",
    ):
        assert f"  - {part}\n" in message
    assert message.count("  - ") == 6


class Payload:
    """A pickle that would leave a file behind if it were run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch executed",)


def test_weights_files_that_are_none(run: Run, folder: Path) -> None:
    torch.save(Payload(), folder / "malicious.pt")
    torch.save({"state_dict": weights(), "epoch": 3}, folder / "nested.pt")
    torch.save([1, 2], folder / "list.pt")
    (folder / "text.safetensors").write_text("no weights at all")
    (folder / "empty.pt").touch()
    expected = {
        "malicious.pt": "was not run",
        "nested.pt": "its entries state_dict, epoch are no tensors",
        "list.pt": "it holds a list",
        "text.safetensors": "is damaged or no safetensors file",
        "empty.pt": "has 0 bytes",
        "nowhere.pt": "cannot be read (No such file or directory)",
    }
    for name, part in expected.items():
        message = refusal(run("verify", "mine.net:build", "--weights", name, "--inputs", "x.npz"))
        assert message.startswith(name)
        assert part in message
    assert not (folder / "executed").exists()


def test_a_reset_that_disagrees_with_the_weights_is_refused(run: Run, folder: Path) -> None:
    torch.save(weights() | {"lif2.reset_mechanism_val": torch.tensor(1)}, folder / "reset.pt")
    status, out, _ = run("check", "mine.net:build", "--weights", "reset.pt", "--inputs", "x.npz")
    assert status == 2
    assert "built with the reset 'subtract', but its state says 'zero'" in out


@pytest.mark.parametrize(
    ("build", "parts"),
    [
        ("broken", ("mine.net:broken failed in your code (ValueError: no such file: settings.yaml)",)),
        ("broken", ("mine/net.py:74 in broken: return deeper()\n", "mine/net.py:78 in deeper: raise ")),
        ("leaves", ("failed in your code (SystemExit: 0)", "in leaves")),
        ("number", ("returned a int; return the torch.nn.Module",)),
        ("ready", ("is a ReLU; give a function that returns the model",)),
        ("nothing", ("mine.net has no 'nothing'; it has Net, Window",)),
        ("Failing", ("the model fails on the example inputs (RuntimeError", "in forward: return self.lif2(")),
        ("TwoInputs", ("x.npz does not fit forward(x, sound): it lacks 'sound'",)),
    ],
)
def test_the_users_errors_are_theirs(run: Run, build: str, parts: tuple[str, ...]) -> None:
    message = refusal(run("export", f"mine.net:{build}", "--inputs", "x.npz", "--target", "loihi2"))
    for part in parts:
        assert part in message


def test_modules_that_cannot_be_imported(run: Run, folder: Path) -> None:
    (folder / "typo.py").write_text("def build(:\n")
    (folder / "needs.py").write_text("import a_package_that_nobody_has\n")
    expected = {
        "nowhere:build": "there is no module 'nowhere'",
        "mine.nowhere:build": "there is no module 'mine.nowhere'",
        "typo:build": "failed in your code (SyntaxError: ",
        "needs:build": "needs.py:1 in <module>: import a_package_that_nobody_has",
    }
    for name, part in expected.items():
        assert part in refusal(run("verify", name, "--inputs", "x.npz"))


def test_inputs_that_do_not_fit_a_program(run: Run, folder: Path) -> None:
    np.savez(folder / "names.npz", y=spikes(), x=spikes())
    np.savez(folder / "doubles.npz", x=np.full((4, 2, 6), 1 / 3))
    np.savez(folder / "text.npz", x=np.array(["a"]))
    np.savez(folder / "labels.npz", x=spikes(), labels=np.zeros(3, np.int64))
    np.savez(folder / "nothing.npz", labels=np.zeros(3, np.int64))
    expected = {
        "names.npz": "forward takes no 'y'",
        "doubles.npz": "values that float32 does not hold",
        "text.npz": "values that float32 does not hold",
        "labels.npz": "one for each of 5 samples",
        "nothing.npz": "has no arrays",
        "nowhere.npz": "cannot be read",
    }
    for name, part in expected.items():
        assert part in refusal(run("verify", "mine.net:build", "--inputs", name))
    assert "give --inputs FILE.npz" in refusal(run("verify", "mine.net:build"))


def test_a_model_that_cannot_be_traced_lists_every_finding(run: Run) -> None:
    status, out, err = run("check", "mine.net:Untraceable", "--inputs", "x.npz", "--json")
    assert status == 2
    assert "avnir:" not in err
    record = json.loads(out)
    assert not record["exportable"]
    assert record["not_evaluated"] == ["passes", "limits"]
    assert len(record["findings"]) == 2
    assert {finding["place"].split(" ")[0] for finding in record["findings"]} == {"forward"}
    problems = " ".join(finding["problem"] for finding in record["findings"])
    assert "sin" in problems
    assert "softmax" in problems
    status, out, _ = run("check", "mine.net:Untraceable", "--inputs", "x.npz")
    assert status == 2
    assert "it cannot be exported for loihi2:" in out
    assert "forward (net.py:35)" in out


def test_a_model_that_is_not_its_graph_is_a_finding(run: Run) -> None:
    status, out, _ = run("check", "mine.net:Counting", "--inputs", "x.npz", "--json")
    assert status == 2
    record = json.loads(out)
    assert "the traced graph is not the model" in record["findings"][0]["problem"]
    assert record["rounding_ties"] == []


def test_samples_that_rounding_decides_are_named(run: Run, folder: Path) -> None:
    """The two inputs of sample 1 add up to the threshold in float32, and to more than it exactly."""
    x = np.zeros((4, 3, 1), np.float32)
    x[0, 1], x[1, 1] = 0.040973525, 0.016527636
    x[:, 2] = 0.02
    np.savez(folder / "tie.npz", x=x)
    status, out, _ = run("check", "mine.net:tied", "--inputs", "tie.npz", "--json")
    assert status == 2
    record = json.loads(out)
    assert record["rounding_ties"] == [1]
    assert "float32 rounding decides a spike" in record["findings"][0]["problem"]
    assert "Leave these samples out" in refusal(run("verify", "mine.net:tied", "--inputs", "tie.npz"))


def test_spikes_that_the_graph_does_not_give_are_a_finding(run: Run, folder: Path) -> None:
    """A model.pt whose record says another spike than its network makes."""
    import avnir
    from avnir.export import checkpoint
    from avnir.export.container import from_bytes, to_bytes
    from avnir.export.record import Store

    path = folder / "model.pt"
    torch.manual_seed(0)
    avnir.save(import_net(folder).Net(), torch.from_numpy(spikes()).float(), path)
    assert run("check", path)[0] == 0
    record, arrays = from_bytes(path.read_bytes(), path)
    changed = checkpoint.load(path).recorded.spikes["lif1"].copy()
    changed[3, 2, 5] ^= 1
    store = Store()
    record["spikes"]["lif1"] = store.packed(changed)
    path.write_bytes(to_bytes(record, {**arrays, **store.arrays}))
    status, out, _ = run("check", path)
    assert status == 2
    assert "does not give the spikes that were recorded, first at lif1, neuron (5,), step 3, sample 2" in out


OBLONG = """
import snntorch as snn
from torch import nn


class Oblong(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, (2, 3))
        self.lif = snn.Leaky(0.9, init_hidden=True)

    def forward(self, x):
        return self.lif(self.conv(x))


def build():
    return Oblong()
"""


def test_what_a_nir_file_cannot_hold_is_left_out_and_check_says_so(run: Run, folder: Path) -> None:
    """The two must not disagree, and neither stops at it: the program needs no NIR."""
    np.savez(folder / "oblong.npz", x=np.ones((9, 2, 2, 5, 6), np.float32))
    (folder / "oblong.py").write_text(OBLONG)
    arguments = ("oblong:build", "--inputs", "oblong.npz", "--target", "loihi2")
    status, out, _ = run("check", *arguments, "--json")
    assert status == 0
    checked = json.loads(out)
    assert checked["exportable"]
    assert list(checked["left_out"]) == ["graph.nir"]
    (reason,) = checked["left_out"]["graph.nir"]
    assert "no square form" in reason
    assert "an odd or an even size" in reason
    status, out, _ = run("check", *arguments)
    assert status == 0
    assert f"left out of an export: graph.nir: {reason}" in out
    status, out, _ = run("export", *arguments, "--json")
    assert status == 0
    exported = json.loads(out)
    assert list(exported["left_out"]) == ["graph.nir"]
    assert reason in exported["left_out"]["graph.nir"]
    assert "graph.nir" not in exported["files"]


def test_check_writes_nothing(run: Run, folder: Path) -> None:
    before = {p for p in folder.rglob("*") if "__pycache__" not in p.parts}
    status, out, _ = run("check", "mine.net:build", "--inputs", "x.npz")
    assert status == 0
    assert "programmable only" in out
    assert {p for p in folder.rglob("*") if "__pycache__" not in p.parts} == before
    status, out, _ = run("check", "mine.net:build", "--inputs", "x.npz", "--target", "loihi1")
    assert status == 2
    assert "lif2" in out
    assert "is not the chip's" in out


DT = 1e-3


def foreign(path: Path) -> None:
    """A network of the `nir` package's own writer: no time step, no metadata."""
    rng = np.random.default_rng(2)

    def lif(size: int) -> nir.LIF:
        zeros = np.zeros(size)
        return nir.LIF(np.full(size, 5e-3), np.ones(size), zeros, np.full(size, 0.3), zeros)

    nodes = {
        "x": nir.Input(np.array([6])),
        "fc1": nir.Affine(rng.normal(0, 2, (9, 6)), rng.normal(0, 0.3, 9)),
        "first": lif(9),
        "fc2": nir.Linear(rng.normal(0, 2, (4, 9))),
        "second": lif(4),
        "out": nir.Output(np.array([4])),
    }
    names = list(nodes)
    nir.write(path, nir.NIRGraph(nodes, list(itertools.pairwise(names))))


def test_a_foreign_nir_file_through_the_real_command_line(avnir: Avnir, folder: Path) -> None:
    foreign(folder / "foreign.nir")
    given = ("foreign.nir", "--dt", DT, "--inputs", "x.npz")
    record = as_json(avnir("verify", *given, "--backend", "cpu", "--backend", "interpreter", "--json"))
    assert pairs(record) == {("integer", "cpu"): True, ("integer", "interpreter"): True}
    assert (record["quantisation"]["first"], record["quantisation"]["second"]) == ("graph", "integer")
    assert all(min(layer["spikes"].values()) > 0 for layer in record["quantisation"]["layers"])
    assert set(record["accuracy"]) == {"graph", "integer", "cpu", "interpreter"}
    manifest = as_json(avnir("export", *given, "--target", "loihi1", "--json"))
    assert manifest["program"] != record["program"]
    assert manifest["model"] == {
        "kind": "nir",
        "name": "foreign.nir",
        "sha256": sha256(folder / "foreign.nir"),
        "dt": DT,
        "inputs": {"name": "x.npz", "sha256": sha256(folder / "x.npz")},
    }
    assert manifest["compared_samples"] == 5
    assert (folder / "foreign_loihi1" / "report.html").read_text().count("graph ~ integer") == 1


def test_a_nir_file_without_inputs_is_exported_and_says_that_nothing_was_compared(
    run: Run, folder: Path
) -> None:
    foreign(folder / "foreign.nir")
    status, out, err = run("export", "foreign.nir", "--dt", DT, "--target", "loihi2")
    assert status == 0, err
    assert "nothing was compared" in out
    made = folder / "foreign_loihi2"
    assert json.loads((made / "manifest.json").read_text())["compared_samples"] == 0
    assert "Nothing was compared." in (made / "report.html").read_text()
    assert "The export is exact" not in (made / "report.html").read_text()
    status, out, _ = run("run", made, "--inputs", "x.npz", "--json")
    assert status == 0
    assert sum(json.loads(out)["spikes_per_sample"].values()) > 0
    assert "holds no example inputs; give --inputs" in refusal(run("verify", "foreign.nir", "--dt", DT))


def test_what_avnir_exported_is_read_again_to_the_same_program(run: Run, folder: Path) -> None:
    given = ("mine.net:build", "--weights", "weights.pt", "--inputs", "x.npz")
    first = json.loads(run("export", *given, "--target", "loihi2", "--json")[1])
    status, out, err = run("verify", "net_loihi2/graph.nir", "--inputs", "x.npz", "--json")
    assert status == 0, err
    assert json.loads(out)["program"] == first["program"]
    (folder / "net_loihi2" / "graph.nir").rename(folder / "graph.h5")
    status, out, _ = run("check", "graph.h5", "--json")
    assert status == 0
    assert json.loads(out)["placement"] == first["placement"]


def test_nir_files_that_are_refused(run: Run, folder: Path) -> None:
    foreign(folder / "foreign.nir")
    (folder / "text.nir").write_text("no HDF5")
    np.savez(folder / "wrong.npz", x=spikes(size=5))
    assert "it does not say how long a time step is; give it in seconds (--dt)" in refusal(
        run("check", "foreign.nir")
    )
    assert "must be positive" in refusal(run("check", "foreign.nir", "--dt", "-1"))
    assert "text.nir" in refusal(run("check", "text.nir"))
    assert "nowhere.nir" in refusal(run("export", "nowhere.nir", "--target", "loihi2"))
    wrong = ("verify", "foreign.nir", "--dt", DT, "--inputs", "wrong.npz")
    assert "input 'x' has shape (12, 5, 5)" in refusal(run(*wrong))


def test_files_of_other_frameworks_are_refused_with_a_remedy(run: Run, folder: Path) -> None:
    layer = nn.Linear(3, 2)
    torch.export.save(torch.export.export(layer, (torch.ones(1, 3),)), folder / "program.pt2")
    (folder / "disguised.pt").write_bytes((folder / "program.pt2").read_bytes())
    with zipfile.ZipFile(folder / "script.pt", "w") as archive:
        archive.writestr("script/code/__torch__.py", "op_version_set = 1")
    for name in ("script.ts", "model.onnx"):
        (folder / name).write_bytes(b"anything")
    expected = {
        "program.pt2": ("runs code that is pickled in it", "avnir.save("),
        "disguised.pt": ("runs code that is pickled in it", "avnir.save("),
        "script.ts": ("is TorchScript", "avnir.save("),
        "script.pt": ("is TorchScript", "avnir.save("),
        "model.onnx": ("is ONNX", "avnir.save("),
        "weights.safetensors": ("holds weights without a network", "--weights"),
        "weights.pt": ("it is a plain state_dict", "avnir.save("),
        "mine/net.py": ("is a program", "net:build"),
    }
    for name, parts in expected.items():
        message = refusal(run("check", name))
        assert message.startswith(name)
        assert all(part in message for part in parts)


def test_options_that_belong_to_another_kind(run: Run, folder: Path, model: Path) -> None:
    foreign(folder / "foreign.nir")
    message = refusal(run("verify", model, "--weights", "weights.pt", "--time", "step", "--dt", "0.1"))
    assert "--weights is for module:build, --time is for module:build, --dt is for nir" in message
    assert "--dt is for nir" in refusal(run("check", "mine.net:build", "--dt", "0.1"))
    assert "--weights is for module:build" in refusal(run("check", "foreign.nir", "--weights", "weights.pt"))


def test_a_model_file_is_exported_with_other_inputs(run: Run, folder: Path, model: Path) -> None:
    from avnir.export import load

    checkpoint = load(model)
    np.savez(folder / "few.npz", **{name: array[:, :3] for name, array in checkpoint.inputs.items()})
    given = (model, "--inputs", "few.npz", "--target", "loihi2", "--out", "out", "--json")
    record = json.loads(run("export", *given)[1])
    assert record["compared_samples"] == 3
    assert pairs(record) == {("snntorch", "graph"): True, ("integer", "cpu"): True}
    assert record["model"]["kind"] == "model.pt"
    assert record["model"]["inputs"]["name"] == "few.npz"
