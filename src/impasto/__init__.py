"""impasto: a collection of pictures becomes a generator of new ones.

The public surface, imported only when asked for, so that `import impasto` never waits for torch:
`Collection` and `pack`, `train` and `resume`, `Model`, `recipes`.
"""

__version__ = "0.1.0"
