"""Tests of kgplatform.datasets."""
