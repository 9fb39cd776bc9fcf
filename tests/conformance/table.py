"""Operation by backend, from the conformance suite: the table in the README.

A cell counts the checks whose programs hold the operation and that the backend passes; what a backend
lacks it lists with a reason. `test_backend_conforms` holds both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from avnir.backend import find
from avnir.ir.integer import Connection, Lif
from avnir.ir.integer_level import OPERATIONS
from avnir.ir.real import RESETS
from avnir.program import Program
from avnir.testing.cases import CASES

README = Path(__file__).resolve().parent.parent.parent / "README.md"
BEGIN = "<!-- conformance: made by `python -m tests.conformance --write` -->\n\n"
END = "\n<!-- end of conformance -->\n"
BACKENDS = ("interpreter", "cpu", "lava", "lava-runtime")


def readme() -> str:
    """The README with its table made anew; ValueError where its marks are missing."""
    before, rest = README.read_text().split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + table() + END + after


def table() -> str:
    """Rows of operations and of what they are asked to do; a column for each backend."""
    lacking = {name: getattr(find(name), "expected_failures", {}) for name in BACKENDS}
    head = f"| checks with | {' | '.join(BACKENDS)} |\n|---|{'---|' * len(BACKENDS)}\n"
    rows = [_row(what, checks, lacking) for what, checks in _subjects().items()]
    reasons = [
        f"- {name}: {check}, {why}\n" for name, checks in lacking.items() for check, why in checks.items()
    ]
    return head + "".join(rows) + "\n" * bool(reasons) + "".join(reasons)


def _row(what: str, checks: list[str], lacking: Mapping[str, Mapping[str, str]]) -> str:
    cells = (f"{sum(check not in lacking[name] for check in checks)} of {len(checks)}" for name in BACKENDS)
    return f"| {what} | {' | '.join(cells)} |\n"


def _subjects() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for check, case in CASES.items():
        for what in dict.fromkeys(_held(case().program)):
            found.setdefault(what, []).append(check)
    order = [
        *(f"`{kind}`" for kind in OPERATIONS),
        "delays",
        "lags and loops",
        *(f"reset `{r}`" for r in RESETS),
    ]
    return {what: found[what] for what in order} | {"all": list(CASES)}


def _held(program: Program) -> Iterator[str]:
    for node in program.graph:
        yield f"`{node.op.kind}`"
        if isinstance(node.op, Connection):
            yield from ["delays"] * bool(node.op.delay) + ["lags and loops"] * bool(node.op.lag)
        elif isinstance(node.op, Lif):
            yield f"reset `{node.op.reset}`"
