"""Runs saved programs as Lava processes, in Lava's environment, for a parent that speaks JSON lines.

One job a line on standard input:

    {"way": "in-process" | "runtime" | "chip", "program": folder, "inputs": file, "trace": file,
     "states": bool}

and one reply a line on standard output: `{"done": seconds}` or `{"error": text}`. Whatever Lava prints
goes to standard error. The parent ends the worker by closing its input.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Iterator
from multiprocessing import shared_memory
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).resolve().parent
LEAST_FRAMES = 1000
"""Python's own limit of calls within calls."""
FRAMES_A_MODEL = 8
"""More than the calls within one another from a model that waits to the next that runs."""

if TYPE_CHECKING:
    import numpy as np

    from avnir.hardware.lava.processes.network import Network


class Turns:
    """Lava's compiled, unmodified process models, of which each runs once a step, one after the other.

    A model that waits for what was not sent yet lets those after it run first. On a loop a connection
    with a lag waits, and so comes before all others: it has sent what is due before it waits.
    """

    def __init__(self) -> None:
        self.models: list[Any] = []
        self.left: Iterator[Any] = iter(())
        self.now = 0

    def step(self) -> None:
        self.now += 1
        self.left = iter(self.models)
        for model in self.left:
            self._run(model)

    def run_next(self) -> None:
        self._run(next(self.left))

    def _run(self, model: Any) -> None:
        model.time_step = self.now
        model.run_spk()


class Wire:
    """One end of a channel within a process: what is sent arrives as a copy in the sender's type."""

    def __init__(self, name: str, dtype: Any, queue: deque[np.ndarray], turns: Turns) -> None:
        self.name, self.dtype, self.queue, self.turns = name, dtype, queue, turns

    def send(self, data: np.ndarray) -> None:
        self.queue.append(data.astype(self.dtype))

    def recv(self) -> np.ndarray:
        while not self.queue:
            self.turns.run_next()
        return self.queue.popleft()


def connect(executable: Any, turns: Turns) -> None:
    """Lay queues in place of the shared memory between Lava's compiled processes."""
    from lava.magma.core.process.ports.ports import create_port_id

    for channel in executable.channel_builders:
        start, end = channel.src_port_initializer, channel.dst_port_initializer
        queue: deque[np.ndarray] = deque()
        sender, receiver = (Wire(port.name, start.d_type, queue, turns) for port in (start, end))
        executable.proc_builders[channel.src_process].set_csp_ports([sender])
        builder = executable.proc_builders[channel.dst_process]
        builder.set_csp_ports([receiver])
        builder.add_csp_port_mapping(create_port_id(channel.src_process.id, start.name), receiver)


def run_in_process(network: Network, states: bool) -> dict[str, Any]:
    """All process models in this process, step by step.

    Returns the registers of every layer after each step, named as in a saved trace, if `states`.
    """
    import numpy as np

    turns = Turns()
    built: dict[Any, Any] = {}
    for _, executable in network.executables():
        connect(executable, turns)
        built |= {process: executable.proc_builders[process].build() for process in executable.process_list}
    turns.models = [built[process] for process in network.processes]
    sys.setrecursionlimit(LEAST_FRAMES + FRAMES_A_MODEL * len(turns.models))
    watched = (
        {f"states/{n}/{r}": (built[p], r) for n, p in network.layers.items() for r in network.registers(n)}
        if states
        else {}
    )
    records = {
        key: np.zeros((network.steps, *getattr(model, register).shape), np.int32)
        for key, (model, register) in watched.items()
    }
    for step in range(network.steps):
        turns.step()
        for key, (model, register) in watched.items():
            records[key][step] = getattr(model, register)
    aligned = (network.aligned(key, record) for key, record in records.items())
    return {name: array for arrays in aligned for name, array in arrays.items()}


def run(job: dict[str, Any]) -> float:
    """One job; returns the seconds that the steps took."""
    import numpy as np

    network = importlib.import_module("network")

    with np.load(job["inputs"], allow_pickle=False) as file:
        inputs = {key.removeprefix("inputs/"): file[key] for key in file.files}
    with tempfile.TemporaryDirectory(dir=Path(job["trace"]).parent) as folder:
        program, chip = network.Program(Path(job["program"])), job["way"] == "chip"
        built = network.Network(program, inputs, Path(folder), chip)
        started = time.perf_counter()
        if job["way"] == "in-process":
            registers = run_in_process(built, job["states"])
        else:
            network.run_in_runtime(built)
            registers = {}
        seconds = time.perf_counter() - started
        np.savez(job["trace"], **built.trace(), **registers)
    return seconds


def forget_processes() -> None:
    """Let go of the last job's processes, which Lava lists for ever."""
    from lava.magma.core.process.process import ProcessServer
    from lava.magma.core.process.variable import VarServer

    ProcessServer.reset_singleton()
    VarServer.reset_singleton()


def serve() -> None:
    """Answer jobs until the input ends."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        job = json.loads(line)
        signal.alarm(job["limit"])
        try:
            reply: dict[str, Any] = {"done": run(job)}
        except Exception:
            reply = {"error": traceback.format_exc()}
        signal.alarm(0)
        replies.write(json.dumps(reply) + "\n")
        forget_processes()


def prepare(token: str) -> None:
    """Import Lava before anything else uses multiprocessing, and give shared memory a name of ours.

    The name lets the parent clean up after a worker that was killed. A worker whose parent was killed
    ends its group itself when its alarm rings.
    """
    shared_memory._SHM_NAME_PREFIX = f"/{token}_"  # type: ignore[attr-defined]
    shared_memory._SHM_SAFE_NAME_LENGTH = len(token) + 18  # type: ignore[attr-defined]
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(0, signal.SIGTERM))
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != HERE]
    sys.path.append(str(HERE / "processes"))


if __name__ == "__main__":
    compatible = importlib.import_module("compatible")
    prepare(sys.argv[1])
    compatible.make_importable()
    importlib.import_module("network")
    serve()
