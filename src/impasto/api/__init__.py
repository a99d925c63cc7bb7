"""The functions of `import impasto`, for notebooks and programs."""
