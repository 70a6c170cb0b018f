"""Benchmarks of image-text retrieval."""
