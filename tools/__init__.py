"""What is run in a checkout and not installed."""
