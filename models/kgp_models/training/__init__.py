"""What all trainings share: settings, files of models, where a training is, varied images."""
