"""The example inputs that a command runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avnir.cli.source import Source
    from avnir.ir.operation import Array


def examples_of(source: Source, samples: int | None) -> tuple[dict[str, Array], Array | None]:
    """The first samples of a source's inputs and its labels `[B]`, if there are any; all for None.

    Raises DataError where it has no inputs, or they or the labels do not fit the network.
    """
    from avnir.cli.inputs import checked_labels, first_samples
    from avnir.errors import DataError
    from avnir.trace import checked_inputs

    if source.inputs is None:
        raise DataError(
            f"{source.name} holds no example inputs; give --inputs FILE.npz, [T, B, ...] per input"
        )
    inputs, labels = first_samples(checked_inputs(source.graph, source.inputs), source.labels, samples)
    return inputs, checked_labels(labels, next(iter(inputs.values())).shape[1])
