"""Tests of benchmarks/retrieval."""
