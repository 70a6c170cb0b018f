"""Loaders: one source a file, pure functions from files to `kgplatform.batches.GraphBatch`."""
