"""What programs run on: target descriptions, the CPU engine, Lava, Loihi 2."""
