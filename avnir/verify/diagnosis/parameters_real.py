"""Hypotheses about the neurons of a real graph: what another simulator makes of their parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from avnir.verify.diagnosis.case import Case, Hypothesis, neurons_with
from avnir.verify.diagnosis.parameters import LIF, span
from avnir.verify.diagnosis.site import Site

REAL = frozenset({"real"})


def real_decays(site: Site) -> Iterator[Case]:
    """Other shares that a step keeps."""
    beta = site.node.op.beta  # type: ignore[attr-defined]
    for words, made in (
        ("no leak", np.ones_like(beta)),
        ("nothing kept", np.zeros_like(beta)),
        ("1 - beta", 1 - beta),
    ):
        yield Case(f"beta {words}: {span(made)} in place of {span(beta)}", neurons_with(beta=made))


def real_currents(site: Site) -> Iterator[Case]:
    """The current dropped, or its share exchanged with that of the potential."""
    op: Any = site.node.op
    if op.alpha is not None:
        yield Case("the synaptic current is not kept", neurons_with(alpha=None))
        yield Case("alpha and beta exchanged", neurons_with(alpha=op.beta, beta=op.alpha))


def real_thresholds(site: Site) -> Iterator[Case]:
    """Usual mistakes with a threshold."""
    threshold = site.node.op.threshold  # type: ignore[attr-defined]
    for words, made in (
        ("1", np.ones_like(threshold)),
        ("doubled", 2 * threshold),
        ("halved", threshold / 2),
    ):
        if np.any(made != threshold):
            detail = f"threshold {words}: {span(made)} in place of {span(threshold)}"
            yield Case(detail, neurons_with(threshold=made))


def real_gains(site: Site) -> Iterator[Case]:
    """Usual factors of the input."""
    op: Any = site.node.op
    factors = {"1 - beta": 1 - op.beta, "1": np.ones_like(op.gain)}
    for words, made in factors.items():
        if np.all(made > 0) and np.any(made != op.gain):
            detail = f"the input is weighed by {words}, {span(made)}, in place of {span(op.gain)}"
            yield Case(detail, neurons_with(gain=made))


def real_biases(site: Site) -> Iterator[Case]:
    """The bias of the neurons dropped."""
    if site.node.op.bias is not None:  # type: ignore[attr-defined]
        yield Case("the neurons' bias is left out", neurons_with(bias=None))


SIMPLE_REAL = (
    Hypothesis(
        "bias dropped",
        "the neurons get no bias",
        "Pass the bias on, neuron by neuron.",
        real_biases,
        LIF,
        REAL,
    ),
    Hypothesis(
        "decay of the model",
        "the potential leaks otherwise",
        "Hand over beta itself, the share that a step keeps.",
        real_decays,
        LIF,
        REAL,
    ),
    Hypothesis(
        "synaptic current",
        "the synaptic current is not as in ours",
        "Hand over alpha as the current's share and beta as the potential's.",
        real_currents,
        LIF,
        REAL,
    ),
    Hypothesis(
        "gain",
        "the input is weighed by another factor",
        "A reader of NIR weighs the input by r dt / tau: write the graph with that factor in the weights.",
        real_gains,
        LIF,
        REAL,
    ),
    Hypothesis(
        "threshold",
        "the threshold is another",
        "Hand over the threshold that the model was trained with.",
        real_thresholds,
        LIF,
        REAL,
    ),
)
