"""Tests of kgp_models.vqa."""
