"""Benchmarks of construction from reports."""
