"""What the cards of the three systems report, measured: `python -m examples.systems`."""
