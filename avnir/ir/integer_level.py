"""Every operation of the integer level, by the name that texts and files give it."""

from __future__ import annotations

from collections.abc import Mapping

from avnir.ir.integer import Conv, Dense, Input, IntegerOperation, Lif, Output
from avnir.ir.integer_delta import Delta, SigmaDelta
from avnir.ir.integer_graded import InverseRoot, Product, Readout, Relay
from avnir.ir.integer_sparse import Sparse
from avnir.ir.integer_window import WindowSum

OPERATIONS: Mapping[str, type[IntegerOperation]] = {
    op.__name__: op
    for op in (
        *(Input, Output, Dense, Conv, Sparse),
        *(Lif, Relay, Product, InverseRoot, Readout, WindowSum, Delta, SigmaDelta),
    )
}
