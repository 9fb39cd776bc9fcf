"""Fixed-point formats, rounding, decay, overflow."""
