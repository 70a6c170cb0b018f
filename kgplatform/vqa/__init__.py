"""Visual question answering: questions about images, and what the graph says about them."""
