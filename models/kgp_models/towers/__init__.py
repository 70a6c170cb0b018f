"""Encoders of images and texts: the platform's own small ones, and others' from local folders."""
