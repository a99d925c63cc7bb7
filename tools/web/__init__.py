"""What belongs to the page of `impasto export --as html` and is not part of the package."""
