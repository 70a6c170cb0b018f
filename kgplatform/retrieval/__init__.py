"""Finding images by text and by concept: pairs of images and reports, metrics, embeddings in the graph, search."""
