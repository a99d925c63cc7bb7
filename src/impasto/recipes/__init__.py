"""Recipes: one file a system. A recipe is a function that takes nothing and returns a `RunConfig`;
its docstring names its source, what it costs, and what it scored here."""
