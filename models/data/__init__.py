"""Data sets of paired images and sounds, and their encoding into spikes."""
