"""The option `--netx` of `export`: the network in lava-dl's HDF5 too, and run by lava-dl's own reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from avnir.compile import Compiled
    from avnir.ir.operation import Array
    from avnir.program import Program
    from avnir.target import Target
    from avnir.trace import Trace

NETX_FILE = "netx.net"

netx_option = click.option(
    "--netx",
    is_flag=True,
    help="Write netx.net too, for lava-dl: chains of layers only, their thresholds and biases a bit coarser.",
)


def for_netx(compiled: Compiled, chip: Target, chips: int, cores: int | None) -> Compiled:
    """The same network in numbers that netx can hold, placed again if that changed any.

    Raises UnsupportedError with everything that netx cannot hold.
    """
    from avnir.hardware.lava.netx_chain import chain
    from avnir.passes.netx_form import NetxForm
    from avnir.place import place

    graph, notes = NetxForm()(compiled.program.graph)
    chain(graph)
    if not notes:
        return compiled
    provenance = {**compiled.program.provenance, "form": "netx"}
    program = replace(compiled.program, graph=graph, provenance=provenance)
    return replace(
        compiled,
        program=program,
        placement=place(program, chip, chips=chips, cores=cores),
        notes=(*compiled.notes, *notes),
    )


def netx_record(
    program: Program, inputs: Mapping[str, Array] | None, integers: Trace | None
) -> dict[str, Any]:
    """What lava-dl's netx made of the file over the inputs, or why it was not asked.

    Raises GateError where one of its spikes is not that of the integers.
    """
    from avnir.cli.progress import stage
    from avnir.errors import GateError
    from avnir.hardware.lava.netx import write_netx
    from avnir.hardware.lava.netx_chain import chain, per_neuron
    from avnir.hardware.lava.netx_run import netx_missing, run_netx
    from avnir.verify.compare import compare

    record = {"per_neuron": list(per_neuron(chain(program.graph)))}
    if inputs is None or integers is None:
        return {**record, "not_run": "there are no example inputs"}
    if missing := netx_missing():
        return {**record, "not_run": missing}
    with stage("netx"), TemporaryDirectory(prefix="avnir-netx-") as folder:
        write_netx(program, Path(folder) / NETX_FILE)
        trace = run_netx(Path(folder) / NETX_FILE, program, inputs)
    comparison = compare(integers, trace, ("integer", "netx"))
    if not comparison.identical:
        raise GateError(f"netx differs from the integers: {comparison.divergence}")
    slots = sum(layer.slots for layer in comparison.layers)
    return {**record, "equal_spike_slots": slots}


def show_netx(record: Mapping[str, Any]) -> None:
    """Print it, and what a user of the file should know."""
    if "not_run" in record:
        click.echo(f"{NETX_FILE} was written, but not run: {record['not_run']}")
    else:
        click.echo(
            f"lava-dl's netx runs {NETX_FILE}: equal in all {record['equal_spike_slots']:,} spike slots"
        )
    if record["per_neuron"]:
        layers = ", ".join(record["per_neuron"])
        click.echo(
            f"in {NETX_FILE} thresholds or decays differ within {layers}: Lava's simulation takes that, "
            "its documentation knows one a layer"
        )
