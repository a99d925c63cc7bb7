"""Collections: pictures from any source, packed once, then read at full speed.

`pack` makes one, `Collection.open` opens it, and `open_or_pack` is what `--data` of the commands
means. Only NumPy and Pillow; never torch.
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
