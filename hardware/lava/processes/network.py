"""A saved program as a network of Lava processes.

Runs in Lava's environment (Python 3.10 or later, numpy below 2) and imports nothing of avnir. It is one
file because it is also the body of an exported folder's `lava.py`, and alone in its folder because Lava's
compiler executes every `.py` file beside a process of one's own.

Every node becomes Lava's own process where there is one: `Dense` and `DelayDense`, `Sparse` and
`DelaySparse`, `Conv`, `LIFReset`, `GradedVec` and `GradedReluVec`, `ProdNeuron`, and `RingBuffer` for the
inputs. Ours are `ProgrammableLif` (the resets that the fixed neuron lacks), `Readout` (its LIF without a
threshold, which sends its potential), `InverseRoot` (its `InvSqrt` for any number of neurons and any
value), `WindowSum` (sums over a window), `DeltaReset` and `SigmaDeltaReset` (its sigma-delta neurons, set to
zero before a window), `Delay` (a Conv that delivers later), `Gate` (in front of a connection with a lag) and
`Sink` (the record of a layer).

Layout: every process keeps the program's `(C, H, W)`; only Conv counts its axes as `(W, H, C)`, and the
ports that lead into and out of it are transposed. Samples run back to back, and a layer of latency L is
set to zero whenever a window's first spikes reach it: `LIFReset(interval=T, offset=1 + L)`, where Lava
counts its steps from 1. What still arrives of the sample before is lost with that, but spikes that a
connection with a lag m brings arrive m steps into the window: its gate lets pass only those of the first
T - m steps of a sample's window.

A program with sums over the whole window is shown each sample P times in a row, which is nothing but more
windows to every process, except that a `WindowSum` holds the sum of one for the next of the same sample.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from lava.magma.compiler.compiler_graphs import ProcGroupDiGraphs
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import AbstractNcProcessModel, Loihi2HwCfg, Loihi2SimCfg
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.conv.process import Conv
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.graded.models import inv_sqrt
from lava.proc.graded.process import GradedReluVec, GradedVec
from lava.proc.io.source import RingBuffer
from lava.proc.lif.models import PyLifResetModelBitAcc
from lava.proc.lif.process import LIFReset
from lava.proc.prodneuron.process import ProdNeuron
from lava.proc.sdn.models import PyDeltaModelFixed, PySigmaDeltaModelFixed
from lava.proc.sdn.process import ActivationMode, Delta, SigmaDelta
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils import loihi
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix

PROGRAM_FORMAT = "avnir-program-1"
TRACE_FORMAT = "avnir-trace-1"
GRADED = 24
"""`num_message_bits` of a connection that multiplies by what arrives; Lava only asks whether it is 0."""
ADAPTERS = "lava.proc.embedded_io.spike"
"""Intel's processes between host and chip, part of the extension of Lava for Loihi."""
UNTESTED = "Loihi 2: not tested on silicon; compare what it gives with Lava's simulation"
ROOT_LIMIT = (1 << 24) - 1
"""The largest number that Lava's `inv_sqrt` takes."""
REGISTERS: Mapping[str, tuple[str, ...]] = {
    "Lif": ("u", "v"),
    "Relay": (),
    "Product": (),
    "InverseRoot": (),
    "Readout": ("u", "v"),
    "WindowSum": ("sum", "held"),
    "Delta": ("act", "residue", "error"),
    "SigmaDelta": ("sigma", "act", "residue", "error"),
}
"""The operations that are layers of neurons, which are recorded, and what they keep from step to step."""


class ProgrammableLif(LIFReset):
    """A LIF whose reset needs microcode: `subtract`, `none`, or one that comes a step later."""

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
        if self.reset == "zero_next":
            self.v *= 1 - self.above

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        if self.reset == "subtract":
            limit = self.max_uv_val - 1
            rest = self.v - (spike_vector.astype(np.int32) - self.above) * self.effective_vth
            self.v[:] = np.clip(rest, -limit, limit)


class Readout(LIFReset):
    """Integrates as a LIF, never spikes, and sends its potential in every step."""


@implements(proc=Readout, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ReadoutModel(PyLifResetModelBitAcc):
    """Lava's fixed-point LIF, its widths and its update; the potential goes out in place of spikes."""

    implements_process = None  # for the decorator: not the parent's

    def spiking_activation(self) -> np.ndarray:
        return np.copy(self.v)

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        """Nothing is lost by sending."""


class InverseRoot(AbstractProcess):
    """Lava's inverse square root of each value of `shape`: 0 for 0 and below, above 24 bits that of 24."""

    def __init__(self, *, shape: tuple[int, ...]) -> None:
        super().__init__(shape=shape)
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)


@implements(proc=InverseRoot, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class InverseRootModel(PyLoihiProcessModel):
    """Lava's integer steps, value by value."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def run_spk(self) -> None:
        arriving = self.a_in.recv()
        roots = [inv_sqrt(min(x, ROOT_LIMIT)) if x > 0 else 0 for x in arriving.ravel().tolist()]
        self.s_out.send(np.array(roots, np.int32).reshape(arriving.shape))


class WindowSum(AbstractProcess):
    """Adds up what arrives at `shape` neurons in a window; see `WindowSumModel`.

    Windows have `reset_interval` steps, one begins with step `reset_offset`, and `presentations` in a row are
    of one sample.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        running: bool,
        presentations: int,
        reset_interval: int,
        reset_offset: int,
    ) -> None:
        super().__init__(
            shape=shape,
            running=running,
            presentations=presentations,
            reset_interval=reset_interval,
            reset_offset=reset_offset,
        )
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)


@implements(proc=WindowSum, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class WindowSumModel(PyLoihiProcessModel):
    """Sends the sum so far if `running`, otherwise that of the same sample's window before, 0 in the first.

    In 32 bits, which wrap.
    """

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.sum, self.held = np.zeros((2, *proc_params["shape"]), np.int32)

    def run_spk(self) -> None:
        parameters = self.proc_params
        if begins(self):
            windows = (self.time_step - parameters["reset_offset"]) // parameters["reset_interval"]
            keeps = not parameters["running"] and windows % parameters["presentations"]
            self.held, self.sum = self.sum if keeps else 0 * self.sum, 0 * self.sum
        self.sum = self.sum + self.a_in.recv()
        self.s_out.send(self.sum if parameters["running"] else self.held)


class DeltaReset(Delta):
    """Lava's Delta, whose registers are set to zero before a window, as LIFReset's are."""

    def __init__(self, *, reset_interval: int, reset_offset: int, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.proc_params["reset_interval"] = reset_interval
        self.proc_params["reset_offset"] = reset_offset


class SigmaDeltaReset(SigmaDelta):
    """Lava's SigmaDelta, likewise."""

    def __init__(self, *, reset_interval: int, reset_offset: int, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.proc_params["reset_interval"] = reset_interval
        self.proc_params["reset_offset"] = reset_offset


def begins(model: Any) -> bool:
    """Whether a window of the layer begins with this step."""
    interval = model.proc_params["reset_interval"]
    return bool(model.time_step % interval == model.proc_params["reset_offset"] % interval)


@implements(proc=DeltaReset, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class DeltaResetModel(PyDeltaModelFixed):
    """Lava's fixed-point model as it is, but for the windows."""

    implements_process = None  # for the decorator: not the parent's
    act: Any

    def run_spk(self) -> None:
        if begins(self):
            self.act, self.residue, self.error = (0 * self.act for _ in range(3))
        super().run_spk()


@implements(proc=SigmaDeltaReset, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SigmaDeltaResetModel(PySigmaDeltaModelFixed):
    """Lava's fixed-point model as it is, but for the windows."""

    implements_process = None  # for the decorator: not the parent's
    act: Any

    def run_spk(self) -> None:
        if begins(self):
            self.sigma, self.act, self.residue, self.error = (0 * self.act for _ in range(4))
        super().run_spk()


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


class Gate(AbstractProcess):
    """Hands on spikes of `shape` at once, but silence after the first `steps` steps of each window.

    A window has `interval` steps, and one begins after `offset` steps; what comes before is the end of
    another.
    """

    def __init__(self, *, shape: tuple[int, ...], offset: int, interval: int, steps: int) -> None:
        super().__init__(shape=shape, offset=offset, interval=interval, steps=steps)
        self.s_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)


@implements(proc=Gate, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class GateModel(PyLoihiProcessModel):
    """Multiplies by 1 or 0."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.offset, self.interval, self.steps = (proc_params[k] for k in ("offset", "interval", "steps"))

    def run_spk(self) -> None:
        now = (self.time_step - 1 - self.offset) % self.interval
        self.s_out.send(self.s_in.recv() * (now < self.steps))


class Sink(AbstractProcess):
    """Keeps what a layer sends in `steps` steps and writes it to `path`, `dtype` `[steps, *shape]`.

    Reading a Lava variable from outside goes element by element, which takes longer than the run.
    """

    def __init__(self, *, shape: tuple[int, ...], steps: int, path: str, dtype: type) -> None:
        super().__init__(shape=shape, steps=steps, path=path, dtype=dtype)
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
        self.sent = np.zeros((proc_params["steps"], *proc_params["shape"]), proc_params["dtype"])

    def run_spk(self) -> None:
        self.sent[self.time_step - 1] = self.a_in.recv()
        if self.time_step == len(self.sent):
            np.save(self.path, self.sent)


ON_HOST = (RingBuffer, Sink)
"""What feeds the chip and what keeps what comes from it."""


class Program:
    """The nodes of a saved program in order: name, op, inputs and values, arrays filled in.

    `decision`: the output that classes are read from, and the scores that weigh the steps; empty where it is
    the largest sum of the first output.
    """

    def __init__(self, folder: Path) -> None:
        record = json.loads((folder / "program.json").read_text(encoding="utf-8"))
        if record["format"] != PROGRAM_FORMAT:
            raise ValueError(f"{folder} is not a program of format {PROGRAM_FORMAT}")
        with np.load(folder / "arrays.npz", allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        self.decision: dict[str, str] = record["provenance"].get("decision", {})
        self.nodes = [_filled(node, arrays) for node in record["nodes"]]
        self.by_name = {node["name"]: node for node in self.nodes}

    def of(self, op: str) -> list[dict[str, Any]]:
        """The nodes with this operation."""
        return [node for node in self.nodes if node["op"] == op]

    def latencies(self) -> dict[str, int]:
        """Steps from an input to each node's result: one a connection, and its delay, less its lag."""
        late = {node["name"]: 0 for node in self.nodes}
        before: dict[str, int] = {}
        while late != before:
            before = dict(late)
            for node in self.nodes:
                values = node["values"]
                hop = 1 + values["delay"] - values["lag"] if "weight" in values else 0
                late[node["name"]] = max([0, *(late[name] for name in node["inputs"])]) + hop
        return late

    def presentations(self) -> int:
        """How often a window is shown: once, and again for each sum over the whole of it on a path."""
        behind = {node["name"]: 0 for node in self.nodes}
        before: dict[str, int] = {}
        while behind != before:
            before = dict(behind)
            for node in self.nodes:
                held = node["op"] == "WindowSum" and not node["values"]["running"]
                behind[node["name"]] = max([0, *(behind[name] for name in node["inputs"])]) + held
        return 1 + max(behind.values())

    def binary(self, names: Sequence[str]) -> bool:
        """Whether these sources together send only 0 or 1: two layers that meet send up to 2."""
        source = self.by_name[names[0]]
        graded = sends_messages(source) or source["values"].get("message_bits", 0)
        return len(names) == 1 and not graded

    def shape_into(self, connection: Mapping[str, Any]) -> tuple[int, ...]:
        """The shape of the layers or inputs that feed a connection."""
        return tuple(self.by_name[connection["inputs"][0]]["values"]["shape"])


def sends_messages(node: Mapping[str, Any]) -> bool:
    """Whether a node is a layer that sends integers in place of binary spikes."""
    return node["op"] in REGISTERS and node["op"] != "Lif"


def _filled(node: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    values = {k: arrays[v["array"]] if isinstance(v, dict) else v for k, v in node["values"].items()}
    return {**node, "values": values}


class Ports(NamedTuple):
    """Where a node's result leaves, and what connects it to a port that feeds it (None for an input).

    `take_second` does so for a second port, which the last `second` of what feeds it reach.
    """

    out: OutPort
    take: Any = None
    take_second: Any = None
    second: int = 0


class Network:
    """Lava processes for one run of a program.

    `processes`: those of connections with a lag first, the others in the order in which data flow.
    `inputs` integers `[T, B, *shape]` by name; `folder` takes what the sinks write. `layers`: the
    processes that are recorded, by name. With `chip` everything between inputs and sinks is for Loihi 2,
    reached through Intel's adapters; `on_chip`: those processes, each with the node that it is of.
    """

    def __init__(
        self, program: Program, inputs: Mapping[str, np.ndarray], folder: Path, chip: bool = False
    ) -> None:
        self.program = program
        self.chip = chip
        self.on_chip: dict[AbstractProcess, str] = {}
        self.inputs = inputs
        self.folder = folder
        self.late = program.latencies()
        self.window, self.batch = next(iter(inputs.values())).shape[:2]
        self.presentations = program.presentations()
        self.shown = self.window * self.presentations * self.batch
        self.steps = self.shown + max(self.late.values())
        self.processes: list[AbstractProcess] = []
        self.layers: dict[str, AbstractProcess] = {}
        make: dict[str, Any] = {
            "Input": self._input,
            "Dense": self._dense,
            "Conv": self._conv,
            "Sparse": self._sparse,
            "Lif": self._lif,
            "Relay": self._relay,
            "Product": self._product,
            "InverseRoot": self._inverse_root,
            "Readout": self._readout,
            "WindowSum": self._window_sum,
            "Delta": self._delta,
            "SigmaDelta": self._sigma_delta,
        }
        read = {name for node in program.nodes for name in node["inputs"]}
        made = [node for node in program.nodes if node["op"] in REGISTERS or node["name"] in read]
        made = [node for node in made if node["op"] != "Output"]
        made.sort(key=lambda node: not node["values"].get("lag"))
        ports = {}
        for node in made:
            first = len(self.processes)
            ports[node["name"]] = make[node["op"]](node, **node["values"])
            own = (process for process in self.processes[first:] if type(process) not in ON_HOST)
            self.on_chip |= dict.fromkeys(own, node["name"])
        for node in made:
            self._fed(node, ports)

    def _fed(self, node: Any, ports: Mapping[str, Ports]) -> None:
        """Connect a node to all that feeds it."""
        own, sources = ports[node["name"]], node["inputs"]
        first = len(sources) - own.second
        for source in sources[:first]:
            own.take(ports[source].out)
        for source in sources[first:]:
            own.take_second(ports[source].out)

    def _add(self, process: AbstractProcess) -> AbstractProcess:
        self.processes.append(process)
        return process

    def _input(self, node: Any, shape: Sequence[int], message_bits: int) -> Ports:
        samples = np.repeat(np.moveaxis(self.inputs[node["name"]], 0, 1), self.presentations, axis=0)
        samples = samples.reshape(-1, *shape)
        data = np.zeros((*shape, self.steps), np.int32)
        data[..., : len(samples)] = np.moveaxis(samples, 0, -1)
        source = self._add(RingBuffer(data=data)).s_out
        return Ports(self._crossing("PyToNxAdapter", source, message_bits))

    def _dense(self, node: Any, weight: np.ndarray, exponent: int, delay: int, lag: int) -> Ports:
        # Lava keeps 9 bits and drops the lowest of mixed weights: 2q is kept whole, and halved after the sum.
        parameters = {"weights": 2 * weight.astype(np.int32), **self._doubled(node, exponent)}
        made = DelayDense(**parameters, delays=delay) if delay else Dense(**parameters)
        return self._flat(node, self._add(made))

    def _sparse(
        self, node: Any, weight: np.ndarray, exponent: int, delay: int, size: Sequence[int], **places: Any
    ) -> Ports:
        def matrix(values: np.ndarray, dtype: type) -> csr_matrix:
            return csr_matrix((values, (places["target"], places["source"])), tuple(size), dtype)

        parameters = {
            "weights": matrix(2 * weight.astype(np.int32), np.int32),
            **self._doubled(node, exponent),
        }
        late = {"delays": matrix(np.full(len(weight), delay), int)} if delay else {}
        return self._flat(node, self._add((DelaySparse if delay else Sparse)(**parameters, **late)))

    def _doubled(self, node: Any, exponent: int) -> dict[str, Any]:
        """What Dense and Sparse take beside doubled weights."""
        return {
            "weight_exp": exponent - 1,
            "num_weight_bits": 8,
            "sign_mode": SignMode.MIXED,
            "num_message_bits": 0 if self.program.binary(node["inputs"]) else GRADED,
        }

    def _flat(self, node: Any, process: AbstractProcess) -> Ports:
        """The ports of a connection that sees its input flattened."""
        ports = Ports(process.a_out, lambda source: source.flatten().connect(process.s_in))
        return self._gated(node, ports) if node["values"]["lag"] else ports

    def _conv(
        self, node: Any, weight: np.ndarray, exponent: int, delay: int, lag: int, **window: Any
    ) -> Ports:
        # [C_out, C_in, kH, kW] to (C_out, kW, kH, C_in), turned round: Lava's is a true convolution.
        kernel = weight.astype(np.int32).transpose(0, 3, 2, 1)[:, ::-1, ::-1] << exponent
        process = self._add(
            Conv(
                weight=np.ascontiguousarray(kernel),
                input_shape=self.program.shape_into(node)[::-1],
                stride=tuple(window["stride"][::-1]),
                padding=tuple(window["padding"][::-1]),
                dilation=tuple(window["dilation"][::-1]),
                groups=window["groups"],
                num_message_bits=0 if self.program.binary(node["inputs"]) else GRADED,
            )
        )
        ports = Ports(
            process.a_out.transpose((2, 1, 0)),
            lambda source: source.transpose((2, 1, 0)).connect(process.s_in),
        )
        if delay:
            ports = self._behind(Delay(shape=self.program.shape_into(node), delay=delay), ports)
        return self._gated(node, ports) if lag else ports

    def _behind(self, first: AbstractProcess, ports: Ports) -> Ports:
        """The ports of a connection that gets its spikes through another process."""
        ports.take(self._add(first).s_out)
        return Ports(ports.out, lambda source: source.connect(first.s_in))

    def _gated(self, node: Any, ports: Ports) -> Ports:
        """A connection with a lag, which gets only what is still to arrive within the sample's window."""
        gate = Gate(
            shape=self.program.shape_into(node),
            offset=self.late[node["inputs"][0]],
            interval=self.window,
            steps=self.window - node["values"]["lag"],
        )
        return self._behind(gate, ports)

    def _lif(self, node: Any, shape: Sequence[int], reset: str, **values: Any) -> Ports:
        parameters = {**self._integration(node, shape), "vth": _parameter(values["threshold"])}
        native = reset == "zero"
        process = LIFReset(**parameters) if native else ProgrammableLif(reset=reset, **parameters)
        return self._layer(node, process, process.a_in)

    def _readout(self, node: Any, shape: Sequence[int], **values: Any) -> Ports:
        process = Readout(**self._integration(node, shape))
        return self._layer(node, process, process.a_in)

    def _window_sum(self, node: Any, shape: Sequence[int], running: bool, **values: Any) -> Ports:
        process = WindowSum(
            shape=tuple(shape), running=running, presentations=self.presentations, **self._windows(node)
        )
        return self._layer(node, process, process.a_in)

    def _integration(self, node: Any, shape: Sequence[int]) -> dict[str, Any]:
        """What every process that integrates takes."""
        values = node["values"]
        return {
            "shape": tuple(shape),
            "du": _parameter(values["decay_u"]),
            "dv": _parameter(values["decay_v"]),
            "bias_mant": _parameter(values["bias_mantissa"]),
            "bias_exp": values["bias_exponent"],
            **self._windows(node),
        }

    def _windows(self, node: Any) -> dict[str, Any]:
        """When the registers of a layer are set to zero."""
        return {"reset_interval": self.window, "reset_offset": 1 + self.late[node["name"]]}

    def _delta(self, node: Any, shape: Sequence[int], **values: Any) -> Ports:
        process = DeltaReset(shape=tuple(shape), **self._encoding(node))
        return self._layer(node, process, process.a_in)

    def _sigma_delta(
        self, node: Any, shape: Sequence[int], bias: np.ndarray, rectify: bool, **values: Any
    ) -> Ports:
        mode = ActivationMode.RELU if rectify else ActivationMode.UNIT
        parameters = {"bias": _parameter(bias), "act_mode": mode, **self._encoding(node)}
        process = SigmaDeltaReset(shape=tuple(shape), **parameters)
        return self._layer(node, process, process.a_in)

    def _encoding(self, node: Any) -> dict[str, Any]:
        """What every process that sends changes takes."""
        values = node["values"]
        return {
            "vth": values["threshold"],
            "cum_error": values["cumulative"],
            "spike_exp": values["spike_exponent"],
            "state_exp": values["state_exponent"],
            **self._windows(node),
        }

    def _relay(self, node: Any, shape: Sequence[int], positive: bool, **values: Any) -> Ports:
        process = (GradedReluVec if positive else GradedVec)(shape=tuple(shape), vth=values["threshold"])
        return self._layer(node, process, process.a_in)

    def _inverse_root(self, node: Any, shape: Sequence[int]) -> Ports:
        process = InverseRoot(shape=tuple(shape))
        return self._layer(node, process, process.a_in)

    def _product(self, node: Any, shape: Sequence[int], second: int, **values: Any) -> Ports:
        process = ProdNeuron(shape=tuple(shape), vth=values["threshold"], exp=values["exponent"])
        ports = self._layer(node, process, process.a_in1)
        return ports._replace(take_second=_into(process.a_in2), second=second)

    def _layer(self, node: Any, process: AbstractProcess, port: InPort) -> Ports:
        """The ports of a layer of neurons, which is recorded."""
        name, dtype = node["name"], np.int32 if sends_messages(node) else np.uint8
        self._add(process)
        sink = Sink(shape=port.shape, steps=self.steps, path=str(self._record(name)), dtype=dtype)
        self._crossing("NxToPyAdapter", process.s_out).connect(self._add(sink).a_in)
        self.layers[name] = process
        return Ports(process.s_out, _into(port))

    def _crossing(self, adapter: str, source: OutPort, message_bits: int = 0) -> OutPort:
        """A source's port on the other side of the border between host and chip, where there is a chip."""
        if not self.chip:
            return source
        spikes = importlib.import_module(ADAPTERS)
        bits = {"num_message_bits": message_bits} if message_bits else {}
        made = getattr(spikes, adapter)(shape=source.shape, **bits)
        source.connect(made.inp)
        return made.out

    def registers(self, name: str) -> tuple[str, ...]:
        """What the layer `name` keeps from step to step."""
        return REGISTERS[self.program.by_name[name]["op"]]

    def _record(self, name: str) -> Path:
        return self.folder / f"{name}.npy"

    def executables(self) -> Iterator[tuple[AbstractProcess, Any]]:
        """A process and Lava's compiled form of each part of the network that hangs together."""
        config = (Loihi2HwCfg if self.chip else Loihi2SimCfg)(select_tag="fixed_pt")
        if self.chip and (lacking := list(self._without_chip_form(config))):
            raise ValueError(f"no form for Loihi 2: {', '.join(lacking)}")
        left = list(self.processes)
        while left:
            executable = left[0].compile(config)
            yield left[0], executable
            left = [process for process in left if process not in executable.process_list]

    def _without_chip_form(self, config: Loihi2HwCfg) -> Iterator[str]:
        """Nodes that Lava would leave on the host, in the midst of the chip, and those that send messages.

        How the adapters bring graded messages back was never tried.
        """
        for process, name in self.on_chip.items():
            model = config.select(process, ProcGroupDiGraphs._find_proc_models(process))
            graded = name in self.layers and sends_messages(self.program.by_name[name])
            if graded or not issubclass(model, AbstractNcProcessModel):
                yield f"{name} ({type(process).__name__})"

    def aligned(self, group: str, record: np.ndarray) -> dict[str, np.ndarray]:
        """A layer's record of all steps, `[steps, *shape]`, on the model's time base: `[T, B, *shape]`.

        By their names in a saved trace, each presentation apart; `group` is `spikes/LAYER` or
        `states/LAYER/REGISTER`.
        """
        first = self.late[group.split("/")[1]]
        shape = (self.batch, self.presentations, self.window, *record.shape[1:])
        windows = np.moveaxis(record[first : first + self.shown].reshape(shape), 0, 2)
        before = {f"rehearsals/{number}/{group}": made for number, made in enumerate(windows[:-1])}
        return {group: windows[-1], **before}

    def trace(self) -> dict[str, Any]:
        """What the sinks wrote, named as in a saved trace."""
        arrays: dict[str, Any] = {"format": np.array(TRACE_FORMAT)}
        for name in self.layers:
            arrays |= self.aligned(f"spikes/{name}", np.load(self._record(name)))
        for node in self.program.of("Output"):
            total = sum(arrays[f"spikes/{source}"] for source in node["inputs"])
            shape = (self.window, self.batch, *node["values"]["shape"])
            arrays[f"outputs/{node['name']}"] = np.reshape(total, shape)
        return arrays


def _into(port: InPort) -> Any:
    """What connects a source of any shape of this size to a port of neurons."""
    return lambda source: source.reshape(port.shape).connect(port)


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
    for node in program.of("WindowSum"):
        steps = node["values"]["steps"]
        if any(array.shape[:1] != (steps,) for array in inputs.values()):
            found.append(f"T must be {steps}, the window over which {node['name']} adds up")
    return found


def decided(program: Program, trace: Mapping[str, np.ndarray]) -> np.ndarray:
    """The class of each sample, `[B]`: the largest sum, the steps weighed by the softmax of their scores."""
    names = [node["name"] for node in program.of("Output")]
    values = trace[f"outputs/{program.decision.get('output', names[0])}"]
    weights = np.ones(values.shape[:2])
    if scores := program.decision.get("scores"):
        score = trace[f"outputs/{scores}"].reshape(weights.shape) * unit(program, scores)
        weights = np.exp(score - score.max(axis=0))
    values = values.reshape(*weights.shape, -1)
    return (values * weights[..., np.newaxis]).sum(axis=0).argmax(axis=1)


def unit(program: Program, output: str) -> float:
    """What one step of an output is in the model: of a potential, in 64ths of its scale; of a spike, 1."""
    layer = program.by_name[program.by_name[output]["inputs"][0]]
    return 1 / (float(np.max(layer["values"]["scale"])) * 64) if layer["op"] == "Readout" else 1.0


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
    parser.add_argument("--chip", action="store_true", help="on Loihi 2, with Intel's extension of Lava")
    arguments = parser.parse_args()
    if arguments.chip and not loihi.is_installed():
        parser.error("--chip needs Intel's extension of Lava (members of the INRC have it)")
    program = Program(arguments.program)
    with np.load(arguments.inputs, allow_pickle=False) as file:
        inputs = {n["name"]: file[n["name"]] for n in program.of("Input") if n["name"] in file.files}
    wrong = problems(program, inputs)
    if wrong:
        parser.error(f"{arguments.inputs}: {'; '.join(wrong)}")
    if arguments.chip:
        print(UNTESTED, file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        network = Network(program, inputs, Path(folder), arguments.chip)
        run_in_runtime(network)
        trace = network.trace()
    np.savez_compressed(arguments.trace, **trace)
    for name, array in trace.items():
        if name.startswith("outputs/"):
            counts = array.sum(axis=0).reshape(network.batch, -1)
            print(f"{name[8:]}: most spikes at {counts.argmax(axis=1).tolist()}")
    if program.decision:
        print(f"decided on the host: {decided(program, trace).tolist()}")


if __name__ == "__main__":
    main()
