"""Which cause explains a difference: one layer replayed alone under each hypothesis."""
