"""Training and test data for models, without torch: pairs, questions and splits with their checks and metrics."""
