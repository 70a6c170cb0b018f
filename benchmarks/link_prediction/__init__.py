"""Benchmarks of link prediction."""
