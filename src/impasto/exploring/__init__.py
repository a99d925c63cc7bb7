"""What one does with a trained model: walks between its pictures, mixing, ..."""
