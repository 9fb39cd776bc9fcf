"""What a person reads: one HTML file, made of plain view values (`view_*`) and templates without logic."""
