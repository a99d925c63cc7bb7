"""From one file to one packed picture: decode, colour, fit, fingerprint."""
