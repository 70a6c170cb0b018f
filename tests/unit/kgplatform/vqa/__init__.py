"""Tests of kgplatform.vqa."""
