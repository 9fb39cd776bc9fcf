"""A saved program as a network of Lava processes.

Runs in Lava's environment (Python 3.10 or later, numpy below 2) and imports nothing of avnir. It is one
file because it is also the body of an exported folder's `lava.py`, and alone in its folder because Lava's
compiler executes every `.py` file beside a process of one's own.

Every node becomes Lava's own process where there is one: `Dense` and `DelayDense`, `Conv`, `LIFReset`,
and `RingBuffer` for the inputs. Ours are `ProgrammableLif` (the resets that the fixed neuron lacks),
`Delay` (a Conv that delivers later) and `Sink` (the record of a layer).

Layout: every process keeps the program's `(C, H, W)`; only Conv counts its axes as `(W, H, C)`, and the
ports that lead into and out of it are transposed. Samples run back to back, and a layer of latency L is
set to zero whenever a window's first spikes reach it: `LIFReset(interval=T, offset=1 + L)`, where Lava
counts its steps from 1.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.conv.process import Conv
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.io.source import RingBuffer
from lava.proc.lif.models import PyLifResetModelBitAcc
from lava.proc.lif.process import LIFReset
from lava.utils.weightutils import SignMode

PROGRAM_FORMAT = "avnir-program-1"
TRACE_FORMAT = "avnir-trace-1"
GRADED = 24
"""`num_message_bits` of a connection that multiplies by what arrives; Lava only asks whether it is 0."""


class ProgrammableLif(LIFReset):
    """A LIF whose reset needs microcode: `subtract`, `none`, `zero_delayed` or `subtract_delayed`."""

    def __init__(self, *, reset: str, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.proc_params["reset"] = reset


@implements(proc=ProgrammableLif, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ProgrammableLifModel(PyLifResetModelBitAcc):
    """Lava's fixed-point LIF, its widths and its update; what the reset adds goes in before the clip."""

    implements_process = None  # for the decorator: not the parent's
    effective_vth: Any
    effective_bias: Any

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.reset = proc_params["reset"]
        self.above = np.zeros(proc_params["shape"], np.int32)

    def scale_threshold(self) -> None:
        super().scale_threshold()
        self.effective_vth = np.int32(self.effective_vth)

    def subthr_dynamics(self, activation_in: np.ndarray) -> None:
        self.above = (self.v > self.effective_vth).astype(np.int32)
        if self.reset == "zero_delayed":
            self.v *= 1 - self.above
        if self.reset in ("subtract", "subtract_delayed"):
            self.effective_bias = self.effective_bias - self.above * self.effective_vth
        super().subthr_dynamics(activation_in)

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        if self.reset == "subtract":
            limit = self.max_uv_val - 1
            rest = self.v - (spike_vector.astype(np.int32) - self.above) * self.effective_vth
            self.v[:] = np.clip(rest, -limit, limit)


class Delay(AbstractProcess):
    """Hands on spikes of `shape` after `delay` steps, at least one."""

    def __init__(self, *, shape: tuple[int, ...], delay: int) -> None:
        super().__init__(shape=shape, delay=delay)
        self.s_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)


@implements(proc=Delay, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class DelayModel(PyLoihiProcessModel):
    """A queue of whole steps."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        silence = np.zeros(proc_params["shape"], np.int32)
        self.waiting = deque([silence] * proc_params["delay"])

    def run_spk(self) -> None:
        self.s_out.send(self.waiting.popleft())
        self.waiting.append(self.s_in.recv())


class Sink(AbstractProcess):
    """Keeps the binary spikes of `steps` steps and writes them to `path`, uint8 `[steps, *shape]`.

    Reading a Lava variable from outside goes element by element, which takes longer than the run.
    """

    def __init__(self, *, shape: tuple[int, ...], steps: int, path: str) -> None:
        super().__init__(shape=shape, steps=steps, path=path)
        self.a_in = InPort(shape=shape)


@implements(proc=Sink, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SinkModel(PyLoihiProcessModel):
    """An array that is filled step by step and written at the last."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.path = proc_params["path"]
        self.spikes = np.zeros((proc_params["steps"], *proc_params["shape"]), np.uint8)

    def run_spk(self) -> None:
        self.spikes[self.time_step - 1] = self.a_in.recv()
        if self.time_step == len(self.spikes):
            np.save(self.path, self.spikes)


class Program:
    """The nodes of a saved program in order: name, op, inputs and values, arrays filled in."""

    def __init__(self, folder: Path) -> None:
        record = json.loads((folder / "program.json").read_text(encoding="utf-8"))
        if record["format"] != PROGRAM_FORMAT:
            raise ValueError(f"{folder} is not a program of format {PROGRAM_FORMAT}")
        with np.load(folder / "arrays.npz", allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        self.nodes = [_filled(node, arrays) for node in record["nodes"]]
        self.by_name = {node["name"]: node for node in self.nodes}

    def of(self, op: str) -> list[dict[str, Any]]:
        """The nodes with this operation."""
        return [node for node in self.nodes if node["op"] == op]

    def latencies(self) -> dict[str, int]:
        """Steps from an input to each node's result: one a connection, and its delay."""
        late: dict[str, int] = {}
        for node in self.nodes:
            hop = 1 + node["values"]["delay"] if "weight" in node["values"] else 0
            late[node["name"]] = max((late[name] for name in node["inputs"]), default=0) + hop
        return late

    def binary(self, names: Sequence[str]) -> bool:
        """Whether these sources together send only 0 or 1: two layers that meet send up to 2."""
        return len(names) == 1 and not self.by_name[names[0]]["values"].get("message_bits", 0)


def _filled(node: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    values = {k: arrays[v["array"]] if isinstance(v, dict) else v for k, v in node["values"].items()}
    return {**node, "values": values}


class Network:
    """Lava processes for one run of a program, `processes` in an order in which data flow.

    `inputs` integers `[T, B, *shape]` by name; `folder` takes what the sinks write.
    """

    def __init__(self, program: Program, inputs: Mapping[str, np.ndarray], folder: Path) -> None:
        self.program = program
        self.folder = folder
        self.late = program.latencies()
        self.window, self.batch = next(iter(inputs.values())).shape[:2]
        self.steps = self.window * self.batch + max(self.late.values())
        self.processes: list[AbstractProcess] = []
        self.neurons: dict[str, AbstractProcess] = {}
        self._ports: dict[str, OutPort] = {}
        make: dict[str, Any] = {
            "Input": self._input,
            "Dense": self._dense,
            "Conv": self._conv,
            "Lif": self._lif,
        }
        read = {name for node in program.nodes for name in node["inputs"]}
        for node in program.nodes:
            name, op = node["name"], node["op"]
            if op != "Output" and (op == "Lif" or name in read):
                feed = inputs[name] if op == "Input" else [self._ports[source] for source in node["inputs"]]
                self._ports[name] = make[op](node, feed, **node["values"])

    def _add(self, process: AbstractProcess) -> AbstractProcess:
        self.processes.append(process)
        return process

    def _input(self, node: Any, window: np.ndarray, shape: Sequence[int], message_bits: int) -> OutPort:
        samples = np.moveaxis(window, 0, 1).reshape(-1, *shape)
        data = np.zeros((*shape, self.steps), np.int32)
        data[..., : len(samples)] = np.moveaxis(samples, 0, -1)
        return self._add(RingBuffer(data=data)).s_out

    def _dense(
        self, node: Any, sources: list[OutPort], weight: np.ndarray, exponent: int, delay: int
    ) -> OutPort:
        # Lava keeps 9 bits and drops the lowest of mixed weights: 2q is kept whole, and halved after the sum.
        parameters = {
            "weights": 2 * weight.astype(np.int32),
            "weight_exp": exponent - 1,
            "num_weight_bits": 8,
            "sign_mode": SignMode.MIXED,
            "num_message_bits": 0 if self.program.binary(node["inputs"]) else GRADED,
        }
        late = {"delays": delay} if delay else {}
        process = self._add((DelayDense if delay else Dense)(**parameters, **late))
        for source in sources:
            source.flatten().connect(process.s_in)
        return process.a_out

    def _conv(
        self, node: Any, sources: list[OutPort], weight: np.ndarray, exponent: int, delay: int, **window: Any
    ) -> OutPort:
        shape = sources[0].shape
        if delay:
            wait = self._add(Delay(shape=shape, delay=delay))
            for source in sources:
                source.connect(wait.s_in)
            sources = [wait.s_out]
        # [C_out, C_in, kH, kW] to (C_out, kW, kH, C_in), turned round: Lava's is a true convolution.
        kernel = weight.astype(np.int32).transpose(0, 3, 2, 1)[:, ::-1, ::-1] << exponent
        process = self._add(
            Conv(
                weight=np.ascontiguousarray(kernel),
                input_shape=shape[::-1],
                stride=tuple(window["stride"][::-1]),
                padding=tuple(window["padding"][::-1]),
                dilation=tuple(window["dilation"][::-1]),
                groups=window["groups"],
                num_message_bits=0 if self.program.binary(node["inputs"]) else GRADED,
            )
        )
        for source in sources:
            source.transpose((2, 1, 0)).connect(process.s_in)
        return process.a_out.transpose((2, 1, 0))

    def _lif(
        self, node: Any, sources: list[OutPort], shape: Sequence[int], reset: str, **values: Any
    ) -> OutPort:
        parameters = {
            "shape": tuple(shape),
            "du": _parameter(values["decay_u"]),
            "dv": _parameter(values["decay_v"]),
            "vth": _parameter(values["threshold"]),
            "bias_mant": _parameter(values["bias_mantissa"]),
            "bias_exp": values["bias_exponent"],
            "reset_interval": self.window,
            "reset_offset": 1 + self.late[node["name"]],
        }
        native = reset == "zero"
        process = self._add(LIFReset(**parameters) if native else ProgrammableLif(reset=reset, **parameters))
        for source in sources:
            source.reshape(tuple(shape)).connect(process.a_in)
        sink = self._add(Sink(shape=tuple(shape), steps=self.steps, path=str(self._record(node["name"]))))
        process.s_out.connect(sink.a_in)
        self.neurons[node["name"]] = process
        return process.s_out

    def _record(self, name: str) -> Path:
        return self.folder / f"{name}.npy"

    def executables(self) -> Iterator[tuple[AbstractProcess, Any]]:
        """A process and Lava's compiled form of each part of the network that hangs together."""
        left = list(self.processes)
        while left:
            executable = left[0].compile(Loihi2SimCfg(select_tag="fixed_pt"))
            yield left[0], executable
            left = [process for process in left if process not in executable.process_list]

    def aligned(self, name: str, record: np.ndarray) -> np.ndarray:
        """A layer's record of all steps, `[steps, *shape]`, on the model's time base: `[T, B, *shape]`."""
        first = self.late[name]
        samples = record[first : first + self.window * self.batch]
        return np.moveaxis(samples.reshape(self.batch, self.window, *record.shape[1:]), 0, 1)

    def trace(self) -> dict[str, Any]:
        """What the sinks wrote, named as in a saved trace."""
        spikes = {name: self.aligned(name, np.load(self._record(name))) for name in self.neurons}
        arrays: dict[str, Any] = {
            "format": np.array(TRACE_FORMAT),
            **{f"spikes/{name}": s for name, s in spikes.items()},
        }
        for node in self.program.of("Output"):
            total = sum(spikes[source] for source in node["inputs"])
            shape = (self.window, self.batch, *node["values"]["shape"])
            arrays[f"outputs/{node['name']}"] = np.reshape(total, shape)
        return arrays


def _parameter(array: np.ndarray) -> Any:
    return array if array.ndim else int(array)


def run_in_runtime(network: Network) -> None:
    """Run on Lava's own runtime: one system process for each Lava process, messages between them."""
    for process, executable in network.executables():
        process.create_runtime(executable=executable)
        process.run(condition=RunSteps(num_steps=network.steps))
        process.stop()


def problems(program: Program, inputs: Mapping[str, np.ndarray]) -> list[str]:
    """What is wrong with inputs, which Lava would take as they are."""
    found = []
    for node in program.of("Input"):
        name, shape, bits = node["name"], node["values"]["shape"], node["values"]["message_bits"]
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if bits else (0, 1)
        array = inputs.get(name, np.zeros(0))
        if array.ndim < 2 or list(array.shape[2:]) != list(shape) or not array.size:
            found.append(f"{name} must be an array [T, B, {', '.join(map(str, shape))}]")
        elif np.any(array != np.round(array)) or array.min() < low or array.max() > high:
            found.append(f"{name} must hold integers in [{low}, {high}]")
    if len({array.shape[:2] for array in inputs.values()}) > 1:
        found.append("all inputs must have the same [T, B]")
    return found


def main() -> None:
    """Run the program beside this file over the inputs of a file."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--inputs", type=Path, required=True, help=".npz: integers [T, B, *shape] for each input"
    )
    parser.add_argument("--program", type=Path, default=Path(__file__).resolve().parent / "program")
    parser.add_argument(
        "--trace", type=Path, default=Path("trace.npz"), help=".npz to write: spikes and outputs"
    )
    arguments = parser.parse_args()
    program = Program(arguments.program)
    with np.load(arguments.inputs, allow_pickle=False) as file:
        inputs = {n["name"]: file[n["name"]] for n in program.of("Input") if n["name"] in file.files}
    wrong = problems(program, inputs)
    if wrong:
        parser.error(f"{arguments.inputs}: {'; '.join(wrong)}")
    with tempfile.TemporaryDirectory() as folder:
        network = Network(program, inputs, Path(folder))
        run_in_runtime(network)
        trace = network.trace()
    np.savez_compressed(arguments.trace, **trace)
    for name, array in trace.items():
        if name.startswith("outputs/"):
            counts = array.sum(axis=0).reshape(network.batch, -1)
            print(f"{name[8:]}: most spikes at {counts.argmax(axis=1).tolist()}")


if __name__ == "__main__":
    main()
