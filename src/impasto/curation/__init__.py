"""Uses of a trained discriminator: choosing among generated images, and classifying real ones."""
