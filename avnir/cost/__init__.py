"""What a program costs: whether it fits, synaptic operations, latency, energy."""
