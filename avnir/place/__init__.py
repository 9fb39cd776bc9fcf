"""Placement: which core of which chip runs which neurons, within the target's limits."""

from avnir.place.place import place
from avnir.place.placement import Piece, Placement

__all__ = ["Piece", "Placement", "place"]
