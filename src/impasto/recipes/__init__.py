"""Recipes: one file a system. A recipe is a function without arguments that returns a
`RunConfig`. Its docstring names its source, its cost, and the score that was measured here."""
