"""A model in forms for others: an ONNX file."""
