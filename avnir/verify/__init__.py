"""Compare traces: agreement per layer, first divergence, gates."""
