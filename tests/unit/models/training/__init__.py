"""Tests of kgp_models.training."""
