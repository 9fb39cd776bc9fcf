"""Graphs, the operations of each level, their verifier, text form, and slow interpreters."""
