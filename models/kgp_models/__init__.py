"""Models that learn from the graph. Torch is imported inside the submodules only."""
