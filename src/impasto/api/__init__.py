"""What `import impasto` offers: the functions that people call in a notebook or a program."""
