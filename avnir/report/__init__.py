"""What a person reads: one HTML file."""
