"""A layer by itself: what another run sent into it, and what that run made it answer.

Where two runs of a network differ, most layers only pass a difference on. So each layer is replayed alone, on
the spikes that the *other* run recorded of the layers before it: if it answers as that run's layer did, it
computes the same; if not, the difference enters there. That also is where a cause can be looked for: an
altered layer that turns the recorded input into the recorded answer explains it.

Arrays are on the model's time base, `[T, B, *shape]`. A layer that the other run did not record is taken to
do what the definition does with what reaches it. Only the last presentation of a window is replayed; sums
over the window are those of the same window.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array, Shape
from avnir.trace import Trace
from avnir.verify.diagnosis.neuron import PLAIN, Course, Rule, course
from avnir.verify.diagnosis.real import real_arrivals, way_to


@dataclass(frozen=True, eq=False)
class Wire:
    """One way into a layer: what its source sent in each step, `raw` `[T, B, *source]`, goes through `ops`.

    They are the one connection of the chip, or on the real level the operations without a state that follow
    one another up to the layer; none where a layer is fed directly. `parts` names them, the last one `name`.
    `source` names what sends, `lag` is the steps between a spike and its arrival; below 0 nothing is known of
    the last steps, which count as silent.
    """

    name: str
    ops: tuple[Any, ...]
    parts: tuple[str, ...]
    source: str
    raw: Array
    lag: int = 0

    @cached_property
    def sent(self) -> Array:
        """What enters in the step in which it counts, `[T, B, *source]`."""
        return later(self.raw, self.lag)

    @cached_property
    def arriving(self) -> Array:
        """What the layer sees of it in each step, `[T, B, *shape]` of what the last operation gives."""
        steps, batch = self.sent.shape[:2]
        x = self.sent.reshape(steps * batch, *self.sent.shape[2:])
        for op in self.ops:
            x = op.step(x, {})
        return x.reshape(steps, batch, *x.shape[1:])

    @property
    def op(self) -> Any:
        """The connection of the chip."""
        return self.ops[0]

    def altered(self, at: int = 0, **changes: Any) -> Wire:
        """The same with other parameters of one operation."""
        made = self.ops[at].replace(**changes)
        return dataclasses.replace(self, ops=(*self.ops[:at], made, *self.ops[at + 1 :]))

    def moved(self, steps: int) -> Wire:
        """The same, `steps` later, earlier below 0."""
        return dataclasses.replace(self, lag=self.lag + steps)

    def carrying(self, change: Callable[[Array], Array]) -> Wire:
        """The same with what is sent changed."""
        return dataclasses.replace(self, raw=change(self.raw))


@dataclass(frozen=True)
class Prediction:
    """What a layer would give: `arrays` holds what it sends as "sent", and registers, all `[T, B, *shape]`.

    Only the steps from `begin` to before `end` follow from what was recorded.
    """

    arrays: Mapping[str, Array]
    begin: int = 0
    end: int | None = None

    @property
    def sent(self) -> Array:
        return self.arrays["sent"]

    def wrong(self, theirs: Mapping[str, Array]) -> int:
        """In how many slots it is not what was recorded, registers included where both have them."""
        known, both = slice(self.begin, self.end), self.arrays.keys() & theirs.keys()
        return sum(int(np.sum(self.arrays[n][known] != theirs[n][known])) for n in both)


@dataclass(frozen=True, eq=False)
class Site:
    """A layer, all ways into it, and what the other run recorded of it: "sent", and registers if it did."""

    node: Node
    shape: Shape
    level: str
    wires: tuple[Wire, ...]
    theirs: Mapping[str, Array]
    rule: Rule = PLAIN

    @cached_property
    def arriving(self) -> Array:
        """What the neurons see, `[T, B, *shape]`, of several ports `[T, ports, B, *shape]`."""
        ports = self.node.op.ports(tuple(wire.name for wire in self.wires))  # type: ignore[attr-defined]
        known = {wire.name: wire.arriving for wire in self.wires}
        sums = [self._shaped(np.sum([known[name] for name in port], axis=0)) for port in ports]
        return sums[0] if len(sums) == 1 else np.stack(sums, axis=1)

    def _shaped(self, array: Array) -> Array:
        return array.reshape(*array.shape[:2], *self.shape)

    @cached_property
    def course(self) -> Course:
        """The layer by its own definition, on what the other run sent into it."""
        return course(self.node.op, self.arriving, self.rule)

    @cached_property
    def plain(self) -> Prediction:
        """The same as what it would give."""
        return predicted(self.course)

    @cached_property
    def wrong(self) -> int:
        """In how many slots the other run's layer answered otherwise than the definition."""
        return self.plain.wrong(self.theirs)

    @cached_property
    def place(self) -> tuple[int, ...]:
        """The first slot that differs, (step, sample, *neuron), in what is sent, else in a register.

        ValueError where nothing differs.
        """
        for name in ("sent", *(self.plain.arrays.keys() & self.theirs.keys() - {"sent"})):
            unlike = self.plain.arrays[name] != self.theirs[name]
            if unlike.any():
                return tuple(int(k) for k in np.unravel_index(int(np.argmax(unlike)), unlike.shape))
        raise ValueError(f"{self.node.name} answers as defined")

    @property
    def neurons(self) -> Array:
        """Which neurons ever answer otherwise, bool of the layer's shape."""
        return np.any(self.plain.sent != self.theirs["sent"], axis=(0, 1))

    def samples(self, chosen: Sequence[int]) -> Site:
        """The same of some samples of the batch."""
        index = list(chosen)
        wires = (wire.carrying(lambda raw: raw[:, index]) for wire in self.wires)
        theirs = {name: array[:, index] for name, array in self.theirs.items()}
        return dataclasses.replace(self, wires=tuple(wires), theirs=theirs)

    def with_op(self, **changes: Any) -> Site:
        """The same with other parameters of the neurons; what arrives is not computed again."""
        node = dataclasses.replace(self.node, op=self.node.op.replace(**changes))
        return self._sharing(dataclasses.replace(self, node=node))

    def ruled(self, **changes: Any) -> Site:
        """The same with arithmetic done otherwise."""
        return self._sharing(dataclasses.replace(self, rule=dataclasses.replace(self.rule, **changes)))

    def rewired(self, index: int, wire: Wire) -> Site:
        """The same with one way into it replaced."""
        wires = (*self.wires[:index], wire, *self.wires[index + 1 :])
        return dataclasses.replace(self, wires=wires)

    def receiving(self, arriving: Array) -> Site:
        """The same, but its neurons see this."""
        made = dataclasses.replace(self)
        made.__dict__["arriving"] = arriving
        return made

    def _sharing(self, other: Site) -> Site:
        return other.receiving(self.arriving)


def predicted(found: Course, begin: int = 0, end: int | None = None) -> Prediction:
    """A course as what a layer would give."""
    return Prediction({"sent": found.sent, **found.registers}, begin, end)


def later(array: Array, steps: int) -> Array:
    """`array` `[T, ...]` moved by steps of time, zeros in the free places."""
    moved = np.zeros_like(array)
    count = max(len(array) - abs(steps), 0)
    early, late = max(-steps, 0), max(steps, 0)
    moved[late : late + count] = array[early : early + count]
    return moved


def sites(graph: Graph, inputs: Mapping[str, Array], theirs: Trace) -> Iterator[Site]:
    """Every layer that `theirs` recorded, in the graph's order; `inputs` `[T, B, *shape]`.

    Layers that it lacks are filled in on the way. Registers count where they are integers.
    """
    known = {**inputs, **theirs.spikes}
    for node in graph.neurons:
        wires = tuple(WIRES[graph.level](graph, node, known))
        recorded = {} if node.name not in theirs.spikes else {"sent": theirs.spikes[node.name]}
        registers = theirs.states.get(node.name, {}) if graph.level == "integer" else {}
        site = Site(node, graph.shapes[node.name], graph.level, wires, {**recorded, **registers})
        if recorded:
            yield site
        else:
            known[node.name] = site.course.sent


def _connections(graph: Graph, node: Node, known: Mapping[str, Array]) -> Iterator[Wire]:
    """Of an integer layer. A layer of a loop that is not known yet counts as silent."""
    head = next(iter(known.values())).shape[:2]
    for name in node.inputs:
        connection = graph[name]
        silent = {s: np.zeros((*head, *graph.shapes[s]), np.int64) for s in connection.inputs}
        sent = sum(known.get(s, silent[s]).astype(np.int64) for s in connection.inputs)
        lag: int = connection.op.lag  # type: ignore[attr-defined]
        source = " + ".join(connection.inputs)
        yield Wire(name, (connection.op,), (name,), source, np.asarray(sent), lag)


def _stateless_operations(graph: Graph, node: Node, known: Mapping[str, Array]) -> Iterator[Wire]:
    """Of a real layer."""
    ways = {name: way_to(graph, name) for name in node.inputs}
    entered = real_arrivals(graph, node, known, ways)
    for name, way in ways.items():
        source = " + ".join(way[0].inputs) if way else name
        ops, parts = tuple(each.op for each in way), tuple(each.name for each in way)
        yield Wire(name, ops, parts, source, entered[name])


WIRES = {"integer": _connections, "real": _stateless_operations}
