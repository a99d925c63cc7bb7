"""Make one packed picture of one file: decode it, convert its colours, fit it to the size, and compute
its fingerprint."""
