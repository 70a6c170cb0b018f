"""Tests of benchmarks/generation."""
