"""A stand-in for Intel's extension of Lava: its modules by their names, and Lava's simulation behind them.

Adapters that hand on what they get, and models that Lava takes for models of the chip's cores but that are
those of its simulation. An environment with it runs all of the way to Loihi 2 except the chip.
"""

from __future__ import annotations

from pathlib import Path

from avnir.hardware.lava.environment import Environment

CHIP_MODELS = {
    "dense": ("Dense", "PyDenseModelBitAcc", "DelayDense", "PyDelayDenseModelBitAcc"),
    "conv": ("Conv", "PyConvModelFixed"),
    "sparse": ("Sparse", "PySparseModelBitAcc"),
    "lif": ("LIFReset", "PyLifResetModelBitAcc"),
}
BASES = {
    "lava/utils/loihi2_profiler.py": "",
    "lava/magma/core/model/nc/model.py": "class AbstractNcProcessModel: pass\n",
    "lava/magma/core/model/c/model.py": "class CLoihiProcessModel: pass\n",
}
HEAD = """
import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU, Loihi2NeuroCore
from lava.magma.core.run_configs import AbstractNcProcessModel
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
"""
ADAPTER = """
class {name}(AbstractProcess):
    def __init__(self, *, shape, num_message_bits=0):
        super().__init__(shape=shape)
        with open({log!r}, "a") as log:
            print("{name}", *shape, "bits", num_message_bits, file=log)
        self.inp = InPort(shape=shape)
        self.out = OutPort(shape=shape)

@implements(proc={name}, protocol=LoihiProtocol)
@requires(CPU)
class {name}Model(PyLoihiProcessModel):
    inp: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def run_spk(self):
        self.out.send(self.inp.recv())
"""
CHIP_MODEL = """
from lava.proc.{folder}.process import {process}
from lava.proc.{folder}.models import {model}

@implements(proc={process}, protocol=LoihiProtocol)
@requires(Loihi2NeuroCore)
@tag("fixed_pt")
class Nc{process}({model}, AbstractNcProcessModel):
    implements_process = None

    def __init__(self, proc_params):
        with open({log!r}, "a") as log:
            print("Nc{process}", file=log)
        super().__init__(proc_params)
"""


def chip_environment(lava: Environment, folder: Path, lacking: tuple[str, ...] = ()) -> Path:
    """An environment in `folder` of Lava with the stand-in; `log` in it tells what was made of it.

    `lacking`: folders of Lava's processes (`CHIP_MODELS`) of which it has no model.
    """
    log = str(folder / "log")
    files = {**BASES, "lava/proc/embedded_io/spike.py": HEAD}
    for name in ("PyToNxAdapter", "NxToPyAdapter"):
        files["lava/proc/embedded_io/spike.py"] += ADAPTER.format(name=name, log=log)
    for kind in CHIP_MODELS.keys() - set(lacking):
        pairs = zip(CHIP_MODELS[kind][::2], CHIP_MODELS[kind][1::2], strict=True)
        made = [CHIP_MODEL.format(folder=kind, process=p, model=m, log=log) for p, m in pairs]
        files[f"lava/proc/{kind}/ncmodels.py"] = HEAD + "".join(made)
    for name, text in files.items():
        (folder / "extension" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "extension" / name).write_text(text)
    (folder / "lib/python3.10/site-packages/lava_nc-0.10.0.dist-info").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.parent.mkdir()
    # Without -E, which would keep Python from finding the extension.
    run = f'PYTHONPATH={folder}/extension exec {lava.python} -s "$@"'
    python.write_text(f'#!/bin/sh\n[ "$1" = -E ] && shift\n{run}\n')
    python.chmod(0o755)
    return folder
