"""Tests of kgplatform.construct.language_model."""
