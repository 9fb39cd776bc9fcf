"""Scripts that run other simulators, each in an environment of its own; they import nothing of avnir.

`serve.py` is started with the name of one of the others, which has

- `PACKAGES`: the distributions whose versions are reported,
- `threads()`: how many threads it computes with, None where it does not say; where there are more than one,
  `use(count)` changes that,
- `prepare(case, arrays)`: the network, as a function. It is told whether to keep spikes, and returns the
  seconds of the steps alone, how many steps it made (of all samples), and the spikes of every layer
  `[T, B, n]`, uint8, or nothing.

`case` is `avnir.speed.programs.Case.record()`, `arrays` its arrays. The neuron is the one described there.
"""
