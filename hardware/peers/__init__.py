"""Other simulators, each in an environment of its own, so that they can be timed beside the engine."""
