"""Collections: pictures from any source, packed once, then read at full speed.

`pack` makes a collection, `Collection.open` opens it, and `open_or_pack` opens what a command's `--data`
names. This room needs only NumPy and Pillow, and never imports torch.
"""

from impasto.collection.opening import open_or_pack
from impasto.collection.options import PackOptions
from impasto.collection.packing import PackReport, pack, pack_on, pack_shard
from impasto.collection.store import Collection, LabelField

__all__ = [
    "Collection",
    "LabelField",
    "PackOptions",
    "PackReport",
    "open_or_pack",
    "pack",
    "pack_on",
    "pack_shard",
]
