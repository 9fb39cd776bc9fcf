"""The benchmark suite of the engine: the same programs for everybody who is timed, and what comes of it."""
