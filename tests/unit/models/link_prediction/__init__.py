"""Tests of kgp_models.link_prediction."""
