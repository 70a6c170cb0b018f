"""Benchmarks of image encoders on real radiographs."""
