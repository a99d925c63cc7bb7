"""The reference: real pictures whose features generated ones are compared with, cached."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_safetensors
from torch import Tensor

from impasto.collection import Collection
from impasto.errors import ImpastoError
from impasto.evaluation.gather import Progress, gather, kept_numbers, silent
from impasto.evaluation.record import PICTURE
from impasto.features import FeatureNetwork
from impasto.files import cache_folder, write_bytes
from impasto.metrics import Moments, Sample
from impasto.resolution import Resolution, times
from impasto.sampling.output import slugs

Split = Literal["train", "heldout", "all"]
SPLITS: dict[str, Split] = {"train": "train", "heldout": "heldout", "all": "all"}
_BATCH = 64


def split_of(word: str) -> Split:
    """Raises: ImpastoError: not `train`, `heldout` or `all`."""
    if word in SPLITS:
        return SPLITS[word]
    raise ImpastoError(f"--against takes train, heldout or all, not '{word}'")


@dataclass(frozen=True)
class Reference:
    """One feature network's features of the reference pictures."""

    sample: Sample
    rows: np.ndarray
    """int64 [N]: the collection's indices of the pictures with kept features."""
    count: int
    """The number of all reference pictures: N, or more if only moments are kept of the rest."""
    available: int
    """Pictures of that split; more than `count` if they were sampled."""
    labels: np.ndarray
    """int64 [N, F]: the collection's labels of these rows."""
    sources: np.ndarray
    """int64 [N]: their source pictures."""

    @property
    def source_count(self) -> int:
        return len(np.unique(self.sources))


def split_rows(collection: Collection, split: Split) -> np.ndarray:
    """The indices of a split's pictures."""
    if split == "train":
        return collection.train_indices
    if split == "heldout":
        return collection.heldout_indices
    return collection.indices


def rows_of(collection: Collection, split: Split, limit: int | None) -> np.ndarray:
    """The split's pictures, or a fixed random choice of `limit` of them, in order."""
    rows = split_rows(collection, split)
    if limit is None or len(rows) <= limit:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, limit, replace=False))


def collection_features(
    networks: Sequence[FeatureNetwork],
    collection: Collection,
    *,
    resolution: Resolution | None = None,
    split: Split = "train",
    limit: int | None = None,
    progress: Progress = silent,
) -> list[Reference]:
    """A collection's reference for each network, from the cache if possible.

    Pictures are read once for all uncached networks. A cache entry records its content hash,
    network (weights and resize rule), resolution and choice of pictures, and is used only if all
    match. If a file of the collection was modified since, the collection is verified first.

    Args:
        networks: the feature networks.
        collection: the real pictures.
        resolution: to average down to; by default the collection's.
        split: which pictures.
        limit: the most of them, see `rows_of`.
        progress: shows the work.

    Raises:
        ImpastoError: the split has no pictures, or a file of the collection has changed.
    """
    rows = rows_of(collection, split, limit)
    if not len(rows):
        raise ImpastoError(f"{collection.path} has no {PICTURE[split]}s to compare with")
    size = resolution or collection.resolution
    samples = _samples(networks, collection, rows, size, split, progress)
    available = len(split_rows(collection, split))
    kept = rows[kept_numbers(len(rows))]
    return [
        Reference(
            sample,
            kept,
            len(rows),
            available,
            collection.labels[kept],
            collection.sources[kept],
        )
        for sample in samples
    ]


def _samples(
    networks: Sequence[FeatureNetwork],
    collection: Collection,
    rows: np.ndarray,
    size: Resolution,
    split: Split,
    progress: Progress,
) -> list[Sample]:
    """The features of these pictures by each network, from the cache or computed and cached."""
    keys = [_key(network, collection, size, split, len(rows)) for network in networks]
    files = json.dumps(collection.fingerprint())
    known = [_read(_entry(key), key, files, collection) for key in keys]
    missing = [place for place, sample in enumerate(known) if sample is None]
    if missing:
        collection.verify()  # cached features must be of the content that the hash names
        found = gather(
            pictures(collection, rows, size),
            [networks[place] for place in missing],
            len(rows),
            what=f"{PICTURE[split]}s",
            progress=progress,
        )
        for place, sample in zip(missing, found, strict=True):
            _write(_entry(keys[place]), keys[place], files, sample)
            known[place] = sample
    return [sample for sample in known if sample is not None]


def pictures(collection: Collection, rows: np.ndarray, size: Resolution) -> Iterator[Tensor]:
    """Batches uint8 [B, H, W, 3] of this size, averaged down from a collection of a multiple of it."""
    factor = times(collection.resolution, size)
    for start in range(0, len(rows), _BATCH):
        pixels = torch.from_numpy(collection.images(rows[start : start + _BATCH]))
        if factor > 1:
            means = F.avg_pool2d(pixels.permute(0, 3, 1, 2).float(), factor)
            pixels = means.round().to(torch.uint8).permute(0, 2, 3, 1)
        yield pixels


# The cache


def _key(
    network: FeatureNetwork, collection: Collection, size: Resolution, split: Split, count: int
) -> dict[str, str]:
    return {
        "collection": collection.content_hash,
        "name": collection.title,
        "network": network.name,
        "identity": network.identity,
        "resolution": str(size),
        "split": split,
        "pictures": str(count),
    }


def _entry(key: dict[str, str]) -> Path:
    name = "-".join(
        [
            slugs([key["name"]])[0][:40],
            key["collection"][:16],
            key["network"],
            key["identity"][:16],
            key["resolution"],
            key["split"],
            key["pictures"],
        ]
    )
    return cache_folder() / "features" / f"{name}.safetensors"


def _read(path: Path, key: dict[str, str], files: str, collection: Collection) -> Sample | None:
    """The cache entry of exactly this key; None if it is missing or unusable."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            found = file.metadata() or {}
            if {name: found.get(name) for name in key} != key:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError):
        return None
    moments = None
    if "mean" in tensors:
        count = int(found["pictures"])
        moments = Moments(count, tensors["mean"], tensors["covariance"])
    sample = Sample(tensors["features"], tensors.get("logits"), moments)
    if found.get("files") != files:
        # Files were modified, or it is another copy: the entry is valid if the content has its
        # hash.
        collection.verify()
        _write(path, key, files, sample)
    return sample


def _write(path: Path, key: dict[str, str], files: str, sample: Sample) -> None:
    tensors = {"features": sample.features}
    if sample.logits is not None:
        tensors["logits"] = sample.logits
    if sample.moments is not None:
        tensors |= {"mean": sample.moments.mean, "covariance": sample.moments.covariance}
    write_bytes(path, save_safetensors(tensors, metadata={**key, "files": files}))
