"""What the benchmarks share: context of a result, runs of trainings, a server of the benchmark's own, tables."""
