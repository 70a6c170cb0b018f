"""Tests of kgplatform.generate."""
