"""The two runs that `avnir compare` compares: recordings in files, or stages that are run here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from avnir.cli.compared_network import INTEGER_LEVEL, REAL_LEVEL, Network
from avnir.cli.progress import stage

if TYPE_CHECKING:
    from avnir.ir.graph import Graph
    from avnir.ir.operation import Array
    from avnir.trace import Trace
    from avnir.trace_check import Frame

FILES = (".npz", ".csv")
MODEL, GRAPH, NIR, INTEGER = "model", "graph", "nir", "integer"


@dataclass(frozen=True)
class Run:
    """One side: a name for it, what it sent, and on which level, None where that is not known."""

    name: str
    trace: Trace
    level: str | None
    recorded: bool


def is_file(name: str) -> bool:
    """Whether a side is a file, by its ending."""
    return Path(name).suffix.lower() in FILES


def level_of(name: str) -> str:
    """The level of a stage; BackendError with all that there are for an unknown one."""
    from avnir.backend import GROUP, REFERENCES, installed
    from avnir.errors import BackendError

    if name in (MODEL, GRAPH, NIR) or name in installed(REFERENCES):
        return REAL_LEVEL
    if name == INTEGER or name in installed(GROUP):
        return INTEGER_LEVEL
    known = ", ".join([MODEL, GRAPH, NIR, INTEGER, *installed(REFERENCES), *installed(GROUP)])
    raise BackendError(f"there is no stage {name!r}; give a recording (.npz or .csv) or one of {known}")


def levels(names: tuple[str, str], network: Network) -> tuple[str | None, str | None]:
    """Both levels; a recording's is that of the other side, of two recordings that of the program."""
    first, second = (None if is_file(name) else level_of(name) for name in names)
    known = first or second or (INTEGER_LEVEL if network.program else None)
    return first or known, second or known


def runs(
    names: tuple[str, str],
    network: Network,
    layers: Mapping[str, str],
    steps: int | None,
    samples: int | None,
) -> tuple[Run, Run]:
    """Both sides, on the same steps and samples; recordings are fitted to the network, or to the other side.

    Raises UserError with what does not fit, or is not known.
    """
    from avnir.trace_check import Frame, read_recording

    found: dict[int, Run] = {}
    known = levels(names, network)
    frame = _frame_of_lists(names, steps, samples)
    for side in sorted((0, 1), key=lambda side: (is_file(names[side]), _is_list(names[side]))):
        name, level = names[side], known[side]
        if is_file(name):
            fitting = _within(frame, network, network.graph(level))
            given = layers if side == 1 or not is_file(names[1]) else {}
            trace = read_recording(Path(name), given, fitting, steps, samples)
            found[side] = Run(_called(names, side), trace, level, True)
        else:
            found[side] = Run(name, _ran(name, network), level, False)
        frame = Frame.of(found[side].trace)
    return found[0], found[1]


def _is_list(name: str) -> bool:
    return Path(name).suffix.lower() == ".csv"


def _frame_of_lists(names: tuple[str, str], steps: int | None, samples: int | None) -> Frame:
    """What holds two lists of events, which do not say themselves how large all is; else nothing is known."""
    from avnir.trace_check import Frame, frame_of_events

    if not all(map(_is_list, names)):
        return Frame()
    return frame_of_events(map(Path, names)).within(steps, samples)


def _within(frame: Frame, network: Network, graph: Graph | None) -> Frame:
    """The frame of a recording: the network's, as far as it is known, else that of the other side."""
    if graph is None:
        return frame
    shapes = {node.name: graph.shapes[node.name] for node in graph.neurons}
    if network.inputs is None:
        return replace(frame, shapes=shapes)
    steps, batch = next(iter(network.inputs.values())).shape[:2]
    return replace(frame, steps=steps, batch=batch, shapes=shapes)


def _called(names: tuple[str, str], side: int) -> str:
    """A recording's file name, with its folder where the other one has the same."""
    short = [Path(name).name for name in names]
    return names[side] if short[0] == short[1] else short[side]


def _ran(name: str, network: Network) -> Trace:
    """What a stage makes of the inputs."""
    from avnir.backend import GROUP, REFERENCES, find, installed, reference
    from avnir.errors import UserError
    from avnir.trace_check import cropped

    if network.inputs is None:
        raise UserError(
            f"{name} needs inputs to run on; give --model, or --inputs FILE.npz, [T, B, ...] per input"
        )
    own, inputs = OWN.get(name), network.inputs
    needed = "--model" if level_of(name) == REAL_LEVEL else "--program or --model"
    if network.graph(level_of(name)) is None:
        raise UserError(f"{name} is a stage, and needs a network to run; give {needed}")
    with stage(name):
        if own is not None:
            return cropped(own(network, inputs), None, None)
        if name in installed(REFERENCES) and network.source:
            return reference(name)(network.source.graph, inputs)
        assert name in installed(GROUP) and network.program
        with find(name).session(network.program) as session:
            return cropped(session.run(inputs), None, None)


def _recorded(network: Network, inputs: Mapping[str, Array]) -> Trace:
    from avnir.errors import UserError

    if network.source is None or network.source.recorded is None:
        raise UserError("no run of the original model is recorded for these inputs; compare with snntorch")
    return network.source.recorded


def _in_graph(network: Network, inputs: Mapping[str, Array]) -> Trace:
    from avnir.ir.interpret_real import interpret_real

    assert network.source is not None
    return interpret_real(network.source.graph, inputs)


def _through_nir(network: Network, inputs: Mapping[str, Array]) -> Trace:
    """The graph in the form that NIR has, written and read back."""
    from avnir.compile import TO_NIR, run_passes
    from avnir.export import read_nir, write_nir
    from avnir.ir.interpret_real import interpret_real

    assert network.source is not None
    with TemporaryDirectory(prefix="avnir-nir-") as folder:
        path = Path(folder) / "graph.nir"
        write_nir(run_passes(network.source.graph, TO_NIR)[0], path)
        return interpret_real(read_nir(path), inputs)


def _in_integers(network: Network, inputs: Mapping[str, Array]) -> Trace:
    from avnir.ir.interpret_integer import interpret_integer

    assert network.program is not None
    return interpret_integer(network.program.graph, inputs)


OWN: Mapping[str, Callable[[Network, Mapping[str, Array]], Trace]] = {
    MODEL: _recorded,
    GRAPH: _in_graph,
    NIR: _through_nir,
    INTEGER: _in_integers,
}
"""Stages that are no backend and no framework."""
