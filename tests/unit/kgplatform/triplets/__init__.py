"""Tests of kgplatform.triplets."""
