"""Tests of kgp_models.towers."""
