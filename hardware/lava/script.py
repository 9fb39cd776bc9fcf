"""The script `lava.py` of an exported folder: runs the program beside it with Lava alone."""

from __future__ import annotations

from pathlib import Path

from avnir.ir.graph import Node
from avnir.program import Program

HERE = Path(__file__).resolve().parent
FUTURE = "from __future__ import annotations\n"
HEAD = '''#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the program beside this file as Lava processes (lava-nc 0.10.0, Python 3.10, numpy below 2).

    python lava.py --inputs inputs.npz [--chip]

inputs.npz holds, by input name, integers [T, B, *shape]; what comes out is trace.npz, with the spikes of
every layer on the model's time base. The processes are Lava's own simulation of the chip. With --chip they
are Loihi 2's, which needs Intel's extension of Lava and was not tested on silicon.

{table}
"""

{future}
import sys
from pathlib import Path

# This file is called lava.py: its folder must not be where `import lava` looks first.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]
'''


def script(program: Program) -> str:
    """The text of `lava.py` for a program; the same program gives the same text."""
    table = "\n".join(f"    {row}" for row in _table(program))
    compatible, network = (_body(HERE / name) for name in ("compatible.py", "processes/network.py"))
    head = HEAD.format(table=table, future=FUTURE)
    return f"{head}{compatible}\n\nmake_importable()\n{network}"


def _body(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition(FUTURE)[2]


def _table(program: Program) -> list[str]:
    shapes = program.graph.shapes
    rows = [(node.name, node.op.kind, str(shapes[node.name]), _fed_by(node)) for node in program.graph]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in rows
    ]


def _fed_by(node: Node) -> str:
    return f"from {', '.join(node.inputs)}" if node.inputs else ""
