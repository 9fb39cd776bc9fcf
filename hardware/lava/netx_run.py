"""Has lava-dl's netx read a file that `avnir.hardware.lava.netx` wrote, and run it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from avnir.errors import BackendError
from avnir.files import read_npz
from avnir.hardware.lava.backend import time_limit
from avnir.hardware.lava.environment import Environment, find, why_missing
from avnir.hardware.lava.install import LAVA_DL_VERSION, has_netx
from avnir.hardware.lava.netx_chain import Link, chain
from avnir.hardware.lava.supervisor import scratch
from avnir.ir.operation import Array
from avnir.program import Program
from avnir.trace import Trace, checked_inputs

REMEDY = "run `avnir lava setup --netx`"
WORKER = Path(__file__).with_name("netx_worker.py")
TAIL_LINES = 15


def netx_missing() -> str | None:
    """What is missing for a run and the remedy, or None."""
    environment = find()
    if environment is None:
        return f"{why_missing()}, then {REMEDY}"
    if not has_netx(environment):
        return f"lava-dl {LAVA_DL_VERSION} is not in Lava's environment; {REMEDY}"
    return None


def run_netx(file: Path, program: Program, inputs: Mapping[str, Array]) -> Trace:
    """The spikes that netx makes of `file`, written from `program`, for inputs `[T, B, *shape]`.

    Samples follow one another in one run, as `reset_interval=T, reset_offset=1` has them do. Where a layer
    feeds itself each has a run of its own: netx lets the last spikes of one into the next.
    Raises BackendError where netx is not there, fails, or takes too long.
    """
    missing = netx_missing()
    environment = find()
    if missing is not None or environment is None:
        raise BackendError(str(missing))
    links = chain(program.graph)
    (spikes,) = checked_inputs(program.graph, inputs).values()
    with scratch() as folder:
        given, made = folder / "inputs.npy", folder / "spikes.npz"
        np.save(given, _runs(links, spikes))
        steps = spikes.shape[0] * spikes.shape[1] + spikes.shape[1] * program.latency
        _call(environment, [str(file.absolute()), str(given), str(made)], time_limit(program.graph, steps))
        return _trace(program, links, read_npz(made))


def _runs(links: tuple[Link, ...], spikes: Array) -> Array:
    """The inputs in netx's layout, `[runs, T, B, *shape]`."""
    runs = spikes.swapaxes(0, 1)[:, :, None] if any(link.recurrent for link in links) else spikes[None]
    if links[0].forward.op.kind == "Dense":
        return runs.reshape(*runs.shape[:3], -1)
    return runs.transpose(0, 1, 2, 5, 4, 3)


def _trace(program: Program, links: tuple[Link, ...], made: Mapping[str, Array]) -> Trace:
    spikes = {}
    for index, link in enumerate(links):
        runs = made[f"layer_{index}"]
        if len(link.shape) == 3:
            runs = runs.transpose(0, 1, 2, 5, 4, 3)
        samples = np.concatenate(list(runs), axis=1)
        spikes[link.neurons.name] = samples.reshape(*samples.shape[:2], *link.lif.shape)
    (output,) = program.graph.outputs
    last = spikes[output.inputs[0]]
    return Trace(spikes, {output.name: last.reshape(*last.shape[:2], *program.graph.shapes[output.name])})


def _call(environment: Environment, arguments: list[str], limit: float) -> None:
    command: list[str | Path] = [environment.python, "-E", "-s", WORKER, *arguments]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=limit, start_new_session=True
        )
    except subprocess.TimeoutExpired as error:
        raise BackendError(f"netx did not answer within {limit:.0f} s and was stopped") from error
    if answer.returncode != 0:
        said = (answer.stderr or answer.stdout).strip().splitlines()[-TAIL_LINES:]
        raise BackendError("\n".join([f"netx failed with status {answer.returncode}; it last said:", *said]))
