"""An image encoder that learns what the graph states about its images, and predicts the concepts of new ones."""
