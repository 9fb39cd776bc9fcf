"""Round weights to integers: each on its own, or so that the sum over typical inputs errs least.

`nearest` knows the weights alone. `Feedback` knows the inputs' covariance H = E[x x'] too, and makes the
expected squared error of the sum, (q - w) H (q - w)', small: it rounds one column of the weights after
another and moves each column's error onto those that are not yet rounded, by what of it they can make up
for. With U the upper Cholesky factor of the inverse, H^-1 = U' U, column j gives

    e = (w_j - q_j) / U_jj,     w_k <- w_k - e U_jk  for every k > j

(E. Frantar, S. Ashkboos, T. Hoefler, D. Alistarh, "GPTQ: accurate post-training quantization for generative
pre-trained transformers", ICLR 2023, arXiv 2210.17323, equation 2 and steps 2 and 3 of the algorithm). The
columns of most variance come first, and DAMPING times the mean of its diagonal is added to H's diagonal, as
in that paper's code, so that few inputs or silent ones do not leave it singular.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avnir.ir.operation import Array

DAMPING = 0.01
"""Share of the mean variance that is added to each: the default of GPTQ's published code."""
BLOCK = 128
"""Columns whose errors are gathered before the rest is brought up to date in one product."""


def nearest(weights: Array, largest: int) -> Array:
    """The nearest integers (halves to even), of magnitude `largest` at most."""
    return np.asarray(np.clip(np.rint(weights), -largest, largest))


@dataclass(frozen=True)
class Feedback:
    """The covariance of n inputs, ready for rounding: `order` int `[n]`, `factor` U float64 `[n, n]`."""

    order: Array
    factor: Array

    @classmethod
    def of(cls, covariance: Array) -> Feedback:
        """From H, float64 `[n, n]`, symmetric and positive semidefinite."""
        mean = float(np.trace(covariance)) / len(covariance)
        damped = covariance + np.eye(len(covariance)) * (DAMPING * mean or 1.0)
        order = np.argsort(-np.diag(damped), kind="stable")
        inverse = np.linalg.inv(damped[np.ix_(order, order)])
        return cls(order, np.linalg.cholesky((inverse + inverse.T) / 2).T)

    def rounded(self, weights: Array, largest: int) -> Array:
        """Whole numbers, at most `largest` in magnitude, for `weights` in integer steps; `[rows, n]`."""
        left = np.ascontiguousarray(weights.T[self.order])
        result = np.empty_like(left)
        for start in range(0, len(left), BLOCK):
            block = slice(start, min(start + BLOCK, len(left)))
            errors = self._round_block(left, result, block, largest)
            left[block.stop :] -= self.factor[block, block.stop :].T @ errors
        back = np.empty_like(result)
        back[self.order] = result
        return back.T

    def _round_block(self, left: Array, result: Array, block: slice, largest: int) -> Array:
        """Round the columns of a block, moving errors within it; the errors e, `[block, rows]`."""
        errors = np.empty((block.stop - block.start, left.shape[1]))
        for j in range(block.start, block.stop):
            result[j] = nearest(left[j], largest)
            errors[j - block.start] = error = (left[j] - result[j]) / self.factor[j, j]
            left[j + 1 : block.stop] -= np.outer(self.factor[j, j + 1 : block.stop], error)
        return errors
