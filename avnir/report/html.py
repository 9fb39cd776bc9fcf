"""The report as one self-contained HTML file: readable without its script, which adds rasters and zooming."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from avnir import __version__
from avnir.cost.costs import Costs
from avnir.program import Program
from avnir.report.deployment import Deployment, Run
from avnir.report.figures import Table, table
from avnir.report.view_accuracy import accuracy_view
from avnir.report.view_agreement import agreement_view
from avnir.report.view_attribution import attribution_view
from avnir.report.view_cores import cores_view
from avnir.report.view_costs import energy_view, synops_view
from avnir.report.view_latency import latency_view
from avnir.report.view_network import NetworkView, network_view
from avnir.report.view_provenance import passes_view, provenance_view
from avnir.report.view_raster import raster_view
from avnir.report.view_verdict import verdict_view
from avnir.verify.where import COLUMNS, parts

SECTIONS = {
    "verdict": "Verdict",
    "network": "The network",
    "agreement": "Agreement by layer",
    "rasters": "Spikes side by side",
    "accuracy": "Where accuracy went",
    "cores": "The cores",
    "refused": "Costs",
    "latency": "Latency",
    "operations": "Synaptic operations",
    "energy": "Energy",
    "passes": "What each pass did",
    "provenance": "Versions and digests",
}
"""Titles by anchor, which is the name of the template too, in the order of the page."""


def report(deployment: Deployment) -> str:
    """The page; the same deployment gives the same bytes. Without a run it says that nothing was compared."""
    page = _page(deployment)
    script = _script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return (
        _environment()
        .get_template("report.html")
        .render(
            title=f"{deployment.name} on {deployment.chip.title}",
            page=page,
            sections=[(anchor, title) for anchor, title in SECTIONS.items() if anchor in page],
            titles=SECTIONS,
            script=Markup(script),
            script_digest=digest,
        )
    )


def _page(deployment: Deployment) -> dict[str, Any]:
    """What the templates show: a section by its anchor, where there is something to say in it."""
    compiled, costs = deployment.compiled, deployment.costs
    causes = deployment.attribution
    return {
        "name": deployment.name,
        "chip": deployment.chip.title,
        "version": __version__,
        "digest": compiled.program.digest,
        "verdict": verdict_view(deployment),
        **_network(deployment),
        **({} if deployment.run is None else _compared(deployment.run, compiled.program)),
        "attribution": None if causes is None else attribution_view(causes),
        "cores": cores_view(compiled.placement, deployment.chip, None if costs is None else costs.timed),
        **({"refused": deployment.refused} if deployment.refused else {}),
        **({} if costs is None else _costs(costs)),
        **({"passes": passes_view(compiled.notes)} if compiled.notes else {}),
        "provenance": provenance_view(deployment),
    }


def _network(deployment: Deployment) -> dict[str, Any]:
    compiled, run = deployment.compiled, deployment.run
    program = compiled.program
    compared = None if run is None else run.verification.quantisation
    view = network_view(program.graph, compiled.placement, compared)
    where = parts(program.graph, compiled.notes, program.decision)
    return {
        "network": view,
        "network_facts": [{"name": node.title, "facts": node.facts} for node in view.nodes],
        "nodes": _nodes(view),
        "where": table("What runs where", COLUMNS, (part.row() for part in where)),
    }


def _nodes(network: NetworkView) -> Table:
    head = ("node", "operation", "shape", "more")
    rows = (
        (node.title, *(text for _, text in node.facts[:2]), "; ".join(f"{n}: {t}" for n, t in node.facts[2:]))
        for node in network.nodes
    )
    return table("Every node", head, rows)


def _compared(run: Run, program: Program) -> dict[str, Any]:
    return {
        "agreement": agreement_view(run.verification),
        "rasters": raster_view(run),
        "accuracy": accuracy_view(run, program),
    }


def _costs(costs: Costs) -> dict[str, Any]:
    return {
        "latency": latency_view(costs),
        "operations": synops_view(costs.synops),
        "energy": energy_view(costs.energy, costs.convention),
    }


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("avnir.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["breakable"] = _breakable
    return made


def _breakable(text: str) -> Markup:
    """Long names may break behind an underscore."""
    return Markup(str(escape(text)).replace("_", "_<wbr>"))


@cache
def _script() -> str:
    """The page's script as it stands in its file."""
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), "script.js")[0]
