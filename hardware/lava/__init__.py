"""Lava, Intel's framework for Loihi, as two backends, in an environment of its own."""

from avnir.hardware.lava.backend import in_process as in_process
from avnir.hardware.lava.backend import runtime as runtime
