"""For the tests of backends and of programs: the conformance suite, and strategies for Hypothesis.

`avnir.testing.strategies` needs hypothesis (`pip install "avnir[test]"`); the rest needs nothing.
"""

from __future__ import annotations

from avnir.testing.conformance import CHECKS, Result, run_check, run_conformance

__all__ = ["CHECKS", "Result", "run_check", "run_conformance"]
