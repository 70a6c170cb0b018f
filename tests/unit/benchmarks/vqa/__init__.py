"""Tests of benchmarks/vqa."""
