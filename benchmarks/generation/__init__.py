"""Benchmarks of the generator of triplets."""
