"""One pass per file; `avnir.compile` lists them in order."""
