"""Image-text retrieval with the graph's knowledge: backbones, FashionKLIP, KnowledgeCLIP (MedMKG §4.2)."""
