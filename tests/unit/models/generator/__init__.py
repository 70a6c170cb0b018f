"""Tests of kgp_models.generator."""
