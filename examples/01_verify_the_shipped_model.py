"""From model.pt to the chip's integers in ten lines, every spike compared on the way."""

from pathlib import Path

from avnir import target
from avnir.backend import find
from avnir.compile import compile_graph
from avnir.export import load, reference
from avnir.ir.interpret_integer import interpret_integer
from avnir.ir.interpret_real import interpret_real
from avnir.verify.compare import compare

checkpoint = load(Path(__file__).with_name("av_digits.pt"))
compiled = compile_graph(checkpoint.graph, target.load("loihi2"))
print(f"{len(compiled.program.graph.neurons)} layers, {compiled.placement.cores} cores")

snntorch = reference(checkpoint.graph, checkpoint.inputs)
graph = interpret_real(checkpoint.graph, checkpoint.inputs)
integers = interpret_integer(compiled.program.graph, checkpoint.inputs)
with find("cpu").session(compiled.program) as session:
    cpu = session.run(checkpoint.inputs)

print("snnTorch = graph:", compare(snntorch, graph, ("snntorch", "graph")).identical)
print("integers = CPU engine:", compare(integers, cpu, ("integer", "cpu")).identical)
for layer in compare(snntorch, integers, ("snntorch", "integer")).layers:
    print(f"{layer.layer:20} {100 * layer.agreement:7.3f} % of spike slots agree after quantisation")
print("accuracy of the integers:", (cpu.decisions() == checkpoint.labels).mean())
