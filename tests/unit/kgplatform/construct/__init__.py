"""Tests of kgplatform.construct."""
