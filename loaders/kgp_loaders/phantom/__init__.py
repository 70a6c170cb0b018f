"""Synthetic data, deterministic by seed: a graph in MedMKG's form, or studies with images, reports and their truth."""
