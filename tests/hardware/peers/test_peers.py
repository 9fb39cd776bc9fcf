"""Environments of other simulators, and what each makes of a small program."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from avnir.errors import BackendError
from avnir.hardware import contestants, environments
from avnir.hardware.child import Child
from avnir.hardware.peers import install, registry
from avnir.hardware.peers.registry import PEERS, READY, Peer, peers
from avnir.hardware.peers.session import PeerSession, session
from avnir.ir.interpret_integer import interpret_integer
from avnir.speed.programs import CASES, Case, dense_layers

NAMES = {peer.name: peer for peer in PEERS}
DENSE = Case("dense", "30-20-5", (30,), dense_layers((30, 20, 5)), batch=1, steps=12, density=0.3)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "avnir"


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Set-ups that write the files of an environment and start nothing; what they would have run."""
    ran: list[list[str]] = []

    def run(command: list[Path | str], progress: environments.Progress) -> None:
        ran.append([str(part) for part in command])
        if "venv" in command:
            site = Path(command[-1]) / "lib/python3.11/site-packages"
            site.mkdir(parents=True)
            (Path(command[-1]) / environments.MARKER).touch()

    monkeypatch.setattr(environments, "run", run)
    monkeypatch.setattr(install, "smoke", lambda peer, python: None)
    monkeypatch.setattr(registry, "find_spec", lambda name: True)
    return ran


@pytest.mark.parametrize("name", [name for name, peer in NAMES.items() if peer.own])
def test_set_up_once(
    name: str, cache: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = NAMES[name]
    found = (Path(sys.executable), peer.versions[0])
    monkeypatch.setattr(environments, "interpreter", lambda *asked: found)
    assert peer.missing() == f"not set up; run `avnir bench engine --setup {name}`"
    with pytest.raises(BackendError, match="--setup"):
        peer.python()
    folder = install.setup(peer)
    assert folder.parent == cache
    assert commands[1][-len(peer.packages) :] == list(peer.packages)
    assert install.setup(peer) == folder
    assert len(commands) == 2
    assert (peer.missing(), peer.python()) == (None, folder / "bin" / "python")


def test_those_on_torch_see_the_packages_here_behind_their_own(
    cache: Path, commands: list[list[str]]
) -> None:
    folder = install.setup(NAMES["norse"])
    named = (folder / "lib/python3.11/site-packages" / install.BORROWED).read_text().strip()
    assert Path(named).is_dir()
    assert Path(named).name == "site-packages"


def test_a_set_up_that_fails_leaves_nothing(
    cache: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def smoke(peer: Peer, python: Path) -> None:
        raise BackendError("it does not run")

    monkeypatch.setattr(install, "smoke", smoke)
    with pytest.raises(BackendError, match="it does not run"):
        install.setup(NAMES["norse"])
    assert not list(cache.glob(f"*/{READY}"))
    assert NAMES["norse"].missing()


def test_snntorch_has_no_environment_of_its_own() -> None:
    with pytest.raises(BackendError, match="runs in your own environment"):
        install.setup(NAMES["snntorch"])


def test_without_torch_that_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    assert all(NAMES[name].missing() == registry.TORCH for name in ("snntorch", "norse", "spikingjelly"))


def test_names() -> None:
    assert peers(["all"]) == tuple(peer for peer in PEERS if peer.own)
    assert [peer.name for peer in peers(["norse", "sana-fe"])] == ["norse", "sana-fe"]
    with pytest.raises(BackendError, match="there is no simulator 'nest'; there are snntorch, spikingjelly"):
        peers(["norse", "nest"])


@pytest.mark.parametrize("program", ["dense", "conv"])
@pytest.mark.parametrize("name", NAMES)
def test_its_spikes_are_the_integers(name: str, program: str) -> None:
    """Where potentials are floats, over steps in which no rounding counts: of convolutions over the first."""
    peer = NAMES[name]
    if why := peer.missing():
        pytest.skip(f"{name}: {why}")
    case = DENSE if program == "dense" else CASES["conv"]().resized(1, 6 if peer.exact else 1)
    with session(peer, case, peer.python()) as opened:
        seconds, steps = opened.run()
        spikes = opened.spikes()
    assert seconds != 0
    assert steps >= case.steps
    assert all(opened.versions.values())
    for layer, sent in interpret_integer(case.program.graph, case.inputs).spikes.items():
        assert sent.any() or layer != "layer1"
        np.testing.assert_array_equal(spikes[layer].reshape(sent.shape), sent)


def test_a_simulator_that_fails_is_told(tmp_path: Path) -> None:
    wrong = Peer("none", "Nothing", "no_such_worker")
    with (
        pytest.raises(
            BackendError, match=r"(?s)Nothing's worker process ended with status 1.*no_such_worker"
        ),
        session(wrong, DENSE, Path(sys.executable)),
    ):
        pass


def test_who_fails_when_the_program_is_opened_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contestants, "PEERS", (Peer("snntorch", "Nothing", "no_such_worker"),))
    monkeypatch.setattr(registry, "find_spec", lambda name: True)
    with ExitStack() as stack:
        found, absent = contestants.entered(DENSE, ["snntorch"], stack)
    assert found == []
    assert absent["snntorch"].startswith("Nothing's worker process ended with status 1")
    assert "no_such_worker" in absent["snntorch"]


class Threads(Child):
    """Takes as long as it has threads, times `each`."""

    def __init__(self, each: dict[int, float]) -> None:
        self.each, self.now = each, max(each)

    def ask(self, job: dict[str, object], limit: float) -> dict[str, object]:  # type: ignore[override]
        self.now = int(str(job.get("threads", self.now)))
        return {"seconds": self.each[self.now], "steps": 1}


@pytest.mark.parametrize(("each", "chosen"), [({1: 2.0, 4: 1.0}, 4), ({1: 1.0, 4: 2.0}, 1)])
def test_the_faster_number_of_threads_is_used(each: dict[int, float], chosen: int) -> None:
    opened = PeerSession(Threads(each), {}, 4)
    assert contestants.faster_threads(opened) == chosen
    assert opened.run() == (each[chosen], 1)
