"""Benchmarks of the graph: loading, NaF, exports, search."""
