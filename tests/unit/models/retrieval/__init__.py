"""Tests of kgp_models.retrieval."""
