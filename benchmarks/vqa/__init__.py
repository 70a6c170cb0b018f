"""Benchmarks of visual question answering."""
