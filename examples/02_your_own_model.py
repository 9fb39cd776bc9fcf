"""Your own snnTorch model: saved in one call, then deployed without your code.

This one gets the whole window and holds the time loop itself (time="window"), keeps its states in
the loop as snnTorch's tutorials do, and uses snnTorch's default reset (by subtraction, one step
late), which the chip's fixed neuron does not have: avnir deploys it as a programmable neuron.
"""

import tempfile
from pathlib import Path

import snntorch as snn
import torch

import avnir
from avnir import target
from avnir.backend import find
from avnir.compile import compile_graph
from avnir.errors import UnsupportedError
from avnir.export import load
from avnir.verify.compare import compare


class Net(torch.nn.Module):
    """64 inputs, 32 hidden, 10 output neurons, over a window `[T, B, 64]`."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = torch.nn.Linear(64, 32), snn.Leaky(beta=0.9)
        self.fc2, self.lif2 = torch.nn.Linear(32, 10), snn.Leaky(beta=0.8, learn_beta=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Spikes `[T, B, 64]` to output spikes `[T, B, 10]`."""
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        outputs = []
        for step in range(x.size(0)):
            spikes, mem1 = self.lif1(self.fc1(x[step]), mem1)
            spikes, mem2 = self.lif2(self.fc2(spikes), mem2)
            outputs.append(spikes)
        return torch.stack(outputs)


torch.manual_seed(0)
path = Path(tempfile.mkdtemp()) / "model.pt"
avnir.save(Net(), (torch.rand(50, 8, 64) < 0.3).float(), path, time="window")

checkpoint = load(path)
compiled = compile_graph(checkpoint.graph, target.load("loihi2"))
for note in compiled.notes:
    print(note)
with find("cpu").session(compiled.program) as session:
    trace = session.run(checkpoint.inputs)
agreement = compare(checkpoint.recorded, trace, ("model", "cpu"))
print(f"{100 * agreement.agreement:.2f} % of spike slots agree with the float model")

# What the chip cannot do is refused by name, all at once.
try:
    compile_graph(checkpoint.graph, target.load("loihi1"))
except UnsupportedError as error:
    print(error)
