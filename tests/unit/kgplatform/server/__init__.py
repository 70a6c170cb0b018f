"""Tests of kgplatform.server."""
