"""Tests of benchmarks/construct."""
