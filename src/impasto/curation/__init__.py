"""Choosing among generated images by a discriminator or a judge, and classifying real ones by a
discriminator."""
