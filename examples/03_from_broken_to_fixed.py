"""From a deployment that fails its gate to one that passes it: verify, why, fix, verify.

The gate asks for 99 % of the spikes, which weights of 3 bits do not reach. `avnir why` says which
approximation costs which spikes, in which layers, and tries what wins them back without more cores; `--fix`
writes the mended deployment to a folder, and `avnir verify --program` compares its integers with the model.
Each line that begins with $ is what you would type.
"""

import shlex
import tempfile
from pathlib import Path

from avnir.cli import main

MODEL = Path(__file__).with_name("av_digits.pt")
FIXED = Path(tempfile.mkdtemp()) / "fixed"
GATE = "--min-agreement 0.99 --samples 16"


def avnir(line: str) -> int:
    """Run one command; its exit status: 0 good, 1 a gate failed."""
    print(f"\n$ avnir {line}")
    try:
        main(shlex.split(line))
    except SystemExit as stop:
        print(f"exit status {stop.code}")
        return int(stop.code or 0)
    return 0


# 1. The gate fails: too few spike slots agree. The backends still equal the integers in every spike, so
#    nothing is wrong with the export; what is lost is lost by rounding.
assert avnir(f"verify {MODEL} --weight-bits 3 {GATE}") == 1

# 2. Why? The weights lose nearly all of it, those of the first layers most: what they lose, the layers behind
#    them lose too. Reset, delays, pooling and the rest lose nothing. Wider weights there, and integers
#    chosen by their spikes, win most of it back, on samples by which nothing was chosen.
assert avnir(f"why {MODEL} --weight-bits 3 --samples 16 --fix {FIXED}") == 0

# 3. The mended integers pass the gate, on as many cores.
assert avnir(f"verify {MODEL} --program {FIXED} {GATE}") == 0
