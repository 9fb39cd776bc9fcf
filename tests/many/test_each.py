"""Pieces of work on worker processes: every result once, whatever becomes of the workers."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

from avnir.errors import BackendError, Finding, LimitError
from avnir.many.clusters import check, on_machines, on_this_machine, threads
from avnir.many.each import each
from avnir.many.packing import packed, unpacked
from tests.networks import audio_visual

if TYPE_CHECKING:
    from distributed import Client


def product(common: int, item: int) -> int:
    return common * item


def interrupted(marks: Path, item: int) -> int:
    """The item; but the first process that gets to item 5 is killed there."""
    mark = marks / "killed"
    if item == 5 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def fatal(common: int, item: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return item


def refused(common: int, item: int) -> int:
    if item == 3:
        raise LimitError("too large", [Finding("here", "3 is too much", "Take 2")])
    return item


def missing(name: str) -> str:
    raise ModuleNotFoundError(name)


def environment(common: int, item: str) -> str | None:
    return os.environ.get(item)


def test_the_same_results_in_this_process_and_on_workers(client: Client) -> None:
    items = range(600)  # more than are handed out at a time
    expected = [(place, 7 * item) for place, item in enumerate(items)]
    assert list(each(None, product, 7, items)) == expected
    assert sorted(each(client, product, 7, items)) == expected


def test_a_killed_workers_work_is_done_again(client: Client, tmp_path: Path) -> None:
    assert sorted(each(client, interrupted, tmp_path, range(20))) == [(i, i) for i in range(20)]
    assert (tmp_path / "killed").exists()


def test_what_ends_every_worker_is_given_up() -> None:
    told = "ended (4 workers, one after another|every worker); perhaps they have too little memory"
    with on_this_machine(2) as client, pytest.raises(BackendError, match=told):
        list(each(client, fatal, 0, [0]))


def test_workers_that_do_not_come_back_are_not_waited_for() -> None:
    """As where one is killed again before its restart is complete."""
    with on_this_machine(1) as client:
        [nanny] = client.cluster.workers.values()  # type: ignore[union-attr]
        client.sync(nanny.close)
        with pytest.raises(BackendError, match="the work ended every worker"):
            list(each(client, product, 2, [0]))


def test_an_error_comes_as_it_was_raised(client: Client) -> None:
    with pytest.raises(LimitError, match="here: 3 is too much"):
        list(each(client, refused, 0, range(8)))


def test_a_worker_of_another_version_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avnir.many.each.__version__", "0.0.9")
    with pytest.raises(BackendError, match=r"a worker has avnir \S+, but this is 0.0.9"):
        list(each(client, product, 1, [1]))


def test_workers_are_asked_for_their_version(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    check(client)
    monkeypatch.setattr("avnir.many.clusters.__version__", "0.0.9")
    with pytest.raises(
        BackendError, match=r"this is avnir 0\.0\.9, but the scheduler has \S+, tcp://"
    ) as refusal:
        check(client)
    assert str(refusal.value).count(" has ") == 3
    monkeypatch.setattr("avnir.many.clusters.resolve_name", missing)
    with pytest.raises(BackendError, match="the scheduler has none, tcp://"):
        check(client)


def test_workers_share_the_processors_and_leave_nothing_behind() -> None:
    before = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    with on_this_machine(2) as client:
        assert threads(client) == 2
        [(_, given)] = each(client, environment, 0, ["NUMBA_NUM_THREADS"])
        assert given == str(max(1, len(os.sched_getaffinity(0)) // 2))
        processes = [process for process in psutil.Process().children() if "spawn_main" in _called(process)]
        assert len(processes) >= 2
    assert not any(process.is_running() for process in processes[-2:])
    assert {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"} == before


def _called(process: psutil.Process) -> str:
    return " ".join(process.cmdline())


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://there", "127.0.0.1", ""])
def test_an_address_where_nobody_answers(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avnir.many.clusters.ANSWER", "1s")
    with pytest.raises(BackendError, match="no Dask scheduler answers at") as refusal, on_machines(address):
        pass
    assert "give the address that `dask scheduler` prints" in str(refusal.value)


def test_a_graph_arrives_as_it_was() -> None:
    graph = audio_visual(0)
    assert graph.shapes  # kept by the graph, and no part of it
    content = packed({"graph": graph})
    arrived = unpacked(content)["graph"]
    assert arrived == graph
    assert arrived.shapes == graph.shapes
    assert unpacked(content)["graph"] is arrived
    arrays = [value for node in arrived for _, value in node.op.items() if isinstance(value, np.ndarray)]
    assert arrays
    assert not any(array.flags.writeable for array in arrays)
