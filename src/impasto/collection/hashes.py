"""The content hash of a collection, and of a part of it."""

import hashlib
import json

import numpy as np

from impasto.resolution import Resolution, recorded


def content_hash(
    resolution: Resolution,
    shard_digests: list[str],
    labels_digest: str,
    split_digest: str,
    fields: list[tuple[str, tuple[str, ...]]],
) -> str:
    """SHA-256 of everything that training reads at one resolution, 64 hexadecimal digits.

    Changes at other resolutions do not change it.

    Args:
        resolution: of the pictures.
        shard_digests: SHA-256 of each pixel shard, in order.
        labels_digest: SHA-256 of `labels.npy`.
        split_digest: SHA-256 of `split.npy`.
        fields: names of the label fields and of their classes.
    """
    text = json.dumps(
        {
            "resolution": recorded(resolution),
            "shards": shard_digests,
            "labels": labels_digest,
            "split": split_digest,
            "fields": [[name, list(classes)] for name, classes in fields],
        },
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def restricted_hash(whole: str, condition: str, true: np.ndarray) -> str:
    """The content hash of a part of a collection, 64 hexadecimal digits.

    Args:
        whole: the content hash of the whole collection.
        condition: the condition that chose the part.
        true: bool [N], whether each picture is in the part.
    """
    pictures = hashlib.sha256(np.packbits(true).tobytes()).hexdigest()
    text = json.dumps({"collection": whole, "only": condition, "pictures": pictures})
    return hashlib.sha256(text.encode()).hexdigest()
