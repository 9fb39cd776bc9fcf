"""Pictures of bytes at another size: every new pixel is the mean of the area that it covers."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

WHITE = 255


def resize(pixels: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """[N, c, side, side] bytes -> [N, c, size, size] in [0, 1]; at its own size each byte by 255.

    New pixel i covers the old ones from `i side / size` to `(i + 1) side / size`, and takes of each the
    share that lies within: along rows, then along columns.
    """
    scaled = pixels.astype(np.float32)
    if size != pixels.shape[-1]:
        share = _shares(pixels.shape[-1], size)
        scaled = np.minimum(share @ scaled @ share.T, np.float32(WHITE))
    return scaled / np.float32(WHITE)


@cache
def _shares(side: int, size: int) -> NDArray[np.float32]:
    """[size, side]: how much of each old pixel a new one takes; rows sum to 1."""
    edges = np.arange(size + 1) * side / size
    old = np.arange(side)
    overlap = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    return (np.maximum(overlap, 0) * size / side).astype(np.float32)
