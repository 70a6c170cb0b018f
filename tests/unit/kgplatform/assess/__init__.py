"""Tests of kgplatform.assess."""
