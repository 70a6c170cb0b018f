"""Tests of the models, folder by folder."""
