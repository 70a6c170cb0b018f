"""Benchmarks, a package for each task, with its settings and results. They run as `python -m benchmarks.vqa.run`."""
