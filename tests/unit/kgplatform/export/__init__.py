"""Tests of kgplatform.export."""
