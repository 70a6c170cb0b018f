"""Tests of kgplatform.cli."""
