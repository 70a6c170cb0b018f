"""Tests of the project's own files: documentation, layers, compose file, bill of materials."""
