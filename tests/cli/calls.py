"""How tests of the command line call it."""

from __future__ import annotations

from collections.abc import Callable

Run = Callable[..., tuple[int, str, str]]
"""`avnir ARGUMENTS` in this process: exit status, stdout, stderr."""
