"""Triplets of a generator into the graph: images in, entities and triplets out (VLM-KG paper; requirements 47-53)."""
