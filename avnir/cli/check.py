"""`avnir check`: what of a model a chip takes, without writing anything."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from avnir.cli.bits import bits_of, weight_bits_option
from avnir.cli.chips import chip_options
from avnir.cli.output import emit, json_option, table
from avnir.cli.source import Request, Source, model_options, open_source

if TYPE_CHECKING:
    from avnir.errors import Finding
    from avnir.ir.operation import Array
    from avnir.program import Program
    from avnir.target import Target
    from avnir.verify.findings import Examination

NIR_FILE, PROGRAM_FILE = "graph.nir", "program.nir"
LeftOut = Mapping[str, Sequence[str]]
"""Of files that an export leaves out, why NIR cannot hold them."""
BEHIND_TRACING = ("passes", "limits")
"""What cannot be evaluated without a traced graph."""


@click.command("check")
@model_options
@click.option(
    "--target", "target_name", default="loihi2", show_default=True, help="Chip; see `avnir targets`."
)
@weight_bits_option
@chip_options
@json_option
def command(
    request: Request, target_name: str, weight_bits: int | None, chips: int, cores: int | None, as_json: bool
) -> None:
    """List what of MODEL a chip takes exactly, what is lowered, what needs microcode, what is impossible.

    MODEL is a model.pt, package.module:build (imports and runs your own code, with --weights, --inputs and
    --time), or a NIR file. Every finding is listed, not the first. Exit status 0 where MODEL can be exported,
    2 where it cannot.
    """
    from avnir import target

    chip = target.load(target_name)
    examination, ties, left_out = _examined(request, chip, weight_bits, chips, cores)
    if as_json:
        record = {**examination.record(), "rounding_ties": ties, "left_out": left_out}
        emit({"model": request.model, "target": chip.name, **record})
    else:
        _show(request.model, chip, examination, ties, left_out)
    if not examination.exportable:
        sys.exit(2)


def _examined(
    request: Request, chip: Target, weight_bits: int | None, chips: int, cores: int | None
) -> tuple[Examination, list[int], LeftOut]:
    """All that is known about the model, the example samples that float32's rounding decides, and which files
    an export leaves out.
    """
    from avnir.errors import Finding, ReplayError, UnsupportedError
    from avnir.verify.findings import Examination, examine

    try:
        source = open_source(request)
    except UnsupportedError as error:  # what tracing refused: there is no graph to go on with
        return Examination(findings=error.findings, unasked=BEHIND_TRACING), [], {}
    except ReplayError as error:
        finding = Finding("the examples", str(error), "Nothing else was examined")
        samples = list(getattr(error, "samples", ()))
        return Examination(findings=(finding,), unasked=BEHIND_TRACING), samples, {}
    bits = bits_of(source, weight_bits)
    examination = examine(source.graph, chip, bits, decision=source.decision, chips=chips, cores=cores)
    ties, different = _replayed(source)
    left_out, unasked = _left_out(source, examination.program)
    all_findings = (*different, *examination.findings)
    return (
        replace(examination, findings=all_findings, unasked=(*examination.unasked, *unasked)),
        ties,
        left_out,
    )


def _left_out(source: Source, program: Program | None) -> tuple[LeftOut, tuple[str, ...]]:
    """Which files NIR has no form for; and that of the graph where a pass in front of it refuses."""
    from avnir.compile import TO_NIR, run_passes
    from avnir.errors import UnsupportedError
    from avnir.export.nir_program_encode import encode
    from avnir.export.nir_write import nir_findings

    found: dict[str, Sequence[Finding]] = {}
    try:
        graph, _ = run_passes(source.graph, TO_NIR)
    except UnsupportedError:
        return {}, (NIR_FILE,)
    found[NIR_FILE] = list(nir_findings(graph))
    if program is not None:
        try:
            encode(program)
        except UnsupportedError as error:
            found[PROGRAM_FILE] = error.findings
    reasons = {name: [f"{f.problem}. {f.remedy}" for f in findings] for name, findings in found.items()}
    return {name: list(dict.fromkeys(texts)) for name, texts in reasons.items() if texts}, ()


def _replayed(source: Source) -> tuple[list[int], list[Finding]]:
    """The example samples that float32's rounding decides; and whether the graph differs in another one."""
    from avnir.errors import Finding
    from avnir.ir.interpret_real import interpret_real
    from avnir.verify.compare import compare
    from avnir.verify.ties import tie_samples

    if source.recorded is None or source.inputs is None:
        return [], []
    in_graph = interpret_real(source.graph, source.inputs)
    ties = tie_samples(source.graph, source.inputs, source.recorded, in_graph)
    clear = [sample for sample in range(_batch(source.inputs)) if sample not in ties]
    where = compare(source.recorded.samples(clear), in_graph.samples(clear), ("model", "graph")).divergence
    if where is None:
        return list(ties), []
    problem = f"the graph does not give the spikes that were recorded, first at {where}"
    return list(ties), [Finding("the examples", problem, "Save the model again with avnir.save")]


def _batch(inputs: Mapping[str, Array]) -> int:
    return int(next(iter(inputs.values())).shape[1])


def _show(model: str, chip: Target, examination: Examination, ties: list[int], left_out: LeftOut) -> None:
    from avnir.verify.where import COLUMNS

    if examination.layers:
        columns = ("layer", "operation", "shape", "taken", "how")
        table(f"{model} on {chip.title}", columns, _rows(examination))
    if examination.parts:
        table("what runs where", COLUMNS, [part.row() for part in examination.parts])
    for line in _lines(chip, examination, ties, left_out):
        click.echo(line)


def _rows(examination: Examination) -> list[tuple[str, ...]]:
    return [
        (layer.name, layer.operation, " x ".join(map(str, layer.shape)), layer.taken, "\n".join(layer.how))
        for layer in examination.layers
    ]


def _lines(chip: Target, examination: Examination, ties: list[int], left_out: LeftOut) -> list[str]:
    from avnir.cost.cores import cores_text

    lines = []
    if ties:
        lines.append(f"float32 rounding decides a spike in the examples {', '.join(map(str, ties))}")
    if placement := examination.placement:
        lines.append(f"{chip.title}: {cores_text(placement)}")
    if examination.unasked:
        lines.append(f"not evaluated behind a refusal: {', '.join(examination.unasked)}")
    lines += [
        f"left out of an export: {name}: {why}"
        for name, reasons in left_out.items()
        for why in _by_operation(reasons)
    ]
    return [*lines, *_verdict(chip, examination.findings)]


def _by_operation(reasons: Sequence[str]) -> list[str]:
    """The first reason of each kind of operation, which is its first word, and how many more there are."""
    kinds = [reason.split(maxsplit=1)[0] for reason in reasons]
    firsts = [(kind, reasons[kinds.index(kind)], kinds.count(kind) - 1) for kind in dict.fromkeys(kinds)]
    return [f"{first} (and {more} more of {kind})" if more else first for kind, first, more in firsts]


def _verdict(chip: Target, findings: Sequence[Finding]) -> list[str]:
    if not findings:
        return [f"it can be exported for {chip.name}"]
    return [f"it cannot be exported for {chip.name}:", *(f"  - {finding}" for finding in findings)]
