"""Tests of kgplatform.search."""
