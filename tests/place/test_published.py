"""Against the utilisation tables that lava-dl's netx tutorials print: PilotNet, YOLO-KP and Oxford."""

from __future__ import annotations

import numpy as np
import pytest

from avnir import target
from avnir.place import place
from avnir.place.grid import Grid, cut
from avnir.place.memory import Pool
from avnir.place.network import Network, network_of
from avnir.place.resources import NAMES, capacity
from avnir.program import Program
from tests.place.networks import Dense, chain, oxford, pilotnet, yolo_kp

LOIHI2 = target.load("loihi2")
CORE = capacity(LOIHI2.limits)


def counts(axons_in: int, groups: int, neurons: int, words: int, axon_map: int, memory: int) -> np.ndarray:
    return np.array([axons_in, groups, neurons, words, axon_map, memory, 0])


@pytest.mark.parametrize(
    ("row", "total"),
    [
        ((2, 2, 2688, 3072, 2688, 0), 42.26),
        ((2, 1, 3584, 10752, 14, 56), 72.04),
        ((2, 1, 3584, 1728, 56, 27), 26.99),
        ((64, 1, 10, 256, 10, 0), 1.71),
    ],
)
def test_totals_of_rows_of_counts(row: tuple[int, ...], total: float) -> None:
    assert 100 * CORE.share(counts(*row)) == pytest.approx(total, abs=0.01)


def network(program: Program) -> Network:
    return network_of(program.graph, 6)


def test_the_dense_row_from_its_layer() -> None:
    made = place(chain((64,), Dense(10, 8)), LOIHI2)
    (piece,) = made.pieces
    assert piece.resources == (64, 1, 10, 256, 10, 0, 0)
    assert 100 * CORE.share(made.taken((0, 0))) == pytest.approx(1.71, abs=0.01)


YOLO_TILES = {
    "l0": (8, 28, 16),
    "l1": (8, 14, 32),
    "l2": (4, 14, 64),
    "l3": (4, 7, 128),
    "l4": (4, 7, 128),
    "l5": (8, 7, 64),
    "l6": (8, 7, 64),
    "l7": (2, 7, 256),
    "l8": (8, 7, 64),
    "l9": (4, 14, 48),
}
"""The pieces of the published table, (W, H, C)."""


def published_grids(program: Network) -> dict[str, Grid]:
    grids = {}
    for name, (width, height, channels) in YOLO_TILES.items():
        box = program.layers[name].box
        parts = [-(-size // tile) for size, tile in zip(box, (channels, height, width), strict=True)]
        made = cut(box, parts)
        columns = (*range(0, box[2], width), box[2])
        grids[name] = Grid(made.channels, made.rows, columns)
    return grids


@pytest.mark.parametrize(
    ("layer", "cores", "shares"),
    [
        # SynMem, AxonMap, AxonMem, total in %, as printed
        ("l9", 4, (19.20, 16.80, 0.00, 42.26)),
        ("l8", 32, (86.40, 0.35, 0.17, 87.47)),
        ("l7", 14, (67.20, 0.09, 0.35, 72.04)),
        ("l6", 32, (86.40, 0.35, 0.35, 87.61)),
        ("l5", 16, (72.00, 0.35, 2.80, 78.05)),
        ("l4", 56, (79.20, 0.17, 0.17, 81.57)),
        ("l3", 28, (39.60, 0.17, 0.35, 50.03)),
        ("l2", 56, (10.80, 0.35, 0.17, 26.99)),
        ("l1", 112, (3.60, 0.70, 0.35, 21.65)),
        ("l0", 224, (0.34, 1.40, 0.70, 19.88)),
    ],
)
def test_every_row_of_yolo_kp_from_its_layers(
    layer: str, cores: int, shares: tuple[float, float, float, float]
) -> None:
    """The first piece of each layer, which the table shows; one group more for l9 there."""
    program = network(yolo_kp())
    grids = published_grids(program)
    assert grids[layer].pieces == cores
    taken = Pool().taken(program, program.layers[layer], grids)[0, 0, 0]
    columns = [taken[NAMES.index(name)] for name in ("synaptic_words", "axon_map", "axon_memory")]
    assert [100 * n / 16000 for n in columns] == pytest.approx(shares[:3], abs=0.01)
    assert 100 * CORE.share(taken) == pytest.approx(shares[3], abs=0.011)


@pytest.mark.parametrize(
    ("layer", "width", "axons_in", "words", "axon_map", "memory"),
    [
        ("l0", 4, 2, 81, 253, 93),
        ("l1", 4, 2, 864, 113, 32),
        ("l2", 8, 2, 1620, 112, 46),
        ("l3", 8, 1, 2160, 29, 9),
        ("l4", 16, 1, 2880, 1280, 0),
    ],
)
def test_the_convolutions_of_pilotnet(
    layer: str, width: int, axons_in: int, words: int, axon_map: int, memory: int
) -> None:
    """The table prints means over a layer's cores, cut to whole numbers; pieces of so many columns.

    For l2 it prints 36 x 9 x 5 words, the kernel of 36 inputs at 4 words and 1; so does the rule.
    """
    widths = {"l0": 4, "l1": 4, "l2": 8, "l3": 8, "l4": 16}
    program = network(pilotnet())
    grids = {name: cut(made.box, (1, 1, 1)) for name, made in program.layers.items()}
    for name, each in widths.items():
        box = program.layers[name].box
        grids[name] = Grid((0, box[0]), (0, box[1]), (*range(0, box[2], each), box[2]))
    assert widths[layer] == width
    taken = Pool().taken(program, program.layers[layer], grids).reshape(-1, len(NAMES))
    means = [
        int(taken[:, NAMES.index(n)].mean())
        for n in ("axons_in", "synaptic_words", "axon_map", "axon_memory")
    ]
    assert means == [axons_in, words, axon_map, memory]


@pytest.mark.parametrize(
    ("program", "layer", "words"),
    [
        (oxford, "l0", 16200),
        (oxford, "l1", 16128),
        (pilotnet, "l6", 1300),
        (pilotnet, "l7", 150),
        (pilotnet, "l8", 10),
    ],
)
def test_dense_layers_on_one_core(program: object, layer: str, words: int) -> None:
    """Oxford's are the allocations that its partitioner prints before it cuts them."""
    made = network(program())  # type: ignore[operator]
    sizes = [np.array(size) for size in made.layers[layer].box]
    assert Pool().least(made, made.layers[layer], sizes)[NAMES.index("synaptic_words")] == words


@pytest.mark.parametrize(
    ("program", "chips", "published"), [(oxford, 1, 5), (pilotnet, 1, 61), (yolo_kp, 5, 574)]
)
def test_no_more_cores_than_published(program: object, chips: int, published: int) -> None:
    """PilotNet's 74 cores hold its input layer too, on 13; ours takes spikes from off the chip."""
    made = place(program(), LOIHI2, chips=chips)  # type: ignore[operator]
    assert made.cores < published
