"""Finding images by text and by concept: embeddings in the graph, their index, search."""
