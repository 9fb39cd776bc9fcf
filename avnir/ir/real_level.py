"""Every operation of the real level, by the name that texts and files give it."""

from __future__ import annotations

from collections.abc import Mapping

from avnir.ir import real, real_graded
from avnir.ir.real_sparse import Sparse

OPERATIONS: Mapping[str, type[real.RealOperation]] = {
    op.__name__: op
    for op in (
        *(real.Input, real.Output, real.Delay, real.Flatten, real.Linear, real.Conv2d, real.BatchNorm),
        *(real.AvgPool2d, real.SumPool2d, real.MaxPool2d, real.Scale),
        *(real.Threshold, real.Lif, real.Li, real.Alpha),
        *(real_graded.Product, real_graded.WindowSum, real_graded.InverseRoot, Sparse),
    )
}
