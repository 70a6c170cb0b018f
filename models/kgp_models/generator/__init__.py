"""VLM-KG: triplets from a radiograph and its report (VLM-KG paper; no code for it was released)."""
