"""Enlarging pictures two or four times by a small network, in tiles of bounded memory.

- `network.py`: the network.
- `tiles.py`: pictures of any size through it.
- `files.py`: picture files, enlarged into a folder.
- `weights.py`: the packaged weights, or those of a file.
- `known.py`: networks of others, by spandrel.
"""

from impasto.enlarging.tiles import enlarged
from impasto.enlarging.weights import finisher, load_enlarger

__all__ = ["enlarged", "finisher", "load_enlarger"]
