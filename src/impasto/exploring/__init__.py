"""Exploring a trained model: walks, mixing, directions, inversion, canvases."""
