"""Collections: `pack`, `open` and `forget`. Without torch."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from impasto import collection as packing
from impasto.collection import Collection, PackOptions, PackReport, open_or_pack, removal
from impasto.progress import counting


def pack(
    source: str | Path,
    destination: str | Path,
    options: PackOptions | None = None,
    *,
    resolution: int | Sequence[int] | None = None,
    labels: str | Sequence[str] | None = None,
) -> PackReport:
    """Make a collection of pictures, ready for training; the report holds it as `collection`.

    Interrupted, the same call goes on. Given again after pictures were added to the source, it decodes
    only those.

    Args:
        source: a folder or an archive of pictures, a table, parquet, or another form that
            `impasto pack --help` lists; or the word `masters`, 21 paintings.
        destination: the collection's folder: new, empty, or an earlier pack of this source.
        options: all that may be chosen; None: `PackOptions()`.
        resolution: side in pixels, 4 to 4096; several pack the same pictures at each. None: as in
            `options`, or else 64.
        labels: label fields, or a text such as `style,genre`; None: as in `options`, or else all of
            the source's.

    Raises:
        ImpastoError: no usable picture, or anything else that the user can put right. A bad file is no
            error: it is left out and reported.
    """
    options = options or PackOptions()
    if resolution is not None:
        *smaller, largest = sorted([resolution] if isinstance(resolution, int) else resolution)
        options = replace(options, resolution=largest, smaller=tuple(smaller))
    if labels is not None:
        options = replace(options, labels=label_fields(labels))
    features = _lite0() if options.duplicates == "features" else None
    with counting("pictures") as progress:
        return packing.pack(_source(source), _path(destination), options, progress, features)


def pack_shard(
    source: str | Path, destination: str | Path, shard: tuple[int, int], options: PackOptions
) -> PackReport | int:
    """As `pack`, for one of several machines that see the same disk.

    Args:
        source: as in `pack`.
        destination: as in `pack`.
        shard: which of how many machines this is, from 1.
        options: the same for all.

    Returns:
        The report, or how many pictures the other machines have still to do.

    Raises:
        ImpastoError: as `pack`, or there is no such shard.
    """
    features = _lite0() if options.duplicates == "features" else None
    with counting("pictures") as progress:
        return packing.pack_shard(
            _source(source), _path(destination), shard, options, progress, features
        )


def label_fields(names: str | Sequence[str]) -> tuple[str, ...]:
    """Label fields for `PackOptions`. Of a text such as `style,,genre` the empty name stays, which
    packing refuses."""
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",")] if names.strip() else []
    return tuple(names)


def _path(path: str | Path) -> Path:
    return Path(path).expanduser()


def _source(source: str | Path) -> str | Path:
    return source.expanduser() if isinstance(source, Path) else source


def _lite0() -> Callable[[np.ndarray], np.ndarray]:
    """EfficientNet-Lite0's features of pictures, uint8 [B, R, R, 3] to float32 [B, D]."""
    import torch

    from impasto.features import load_network

    network = load_network("lite0", device="auto")
    return lambda pixels: network(torch.from_numpy(pixels)).features.cpu().numpy()


def open(path: str | Path, resolution: int | None = None) -> Collection:
    """Open a collection.

    Args:
        path: its folder; or the word `masters`, 21 paintings, which are packed at the first call.
        resolution: of the pictures, in pixels, or a multiple of it; None: the largest there is, for
            `masters` 64.

    Raises:
        ImpastoError: it is no collection, is damaged, or has no such resolution.
    """
    if resolution is None and str(path) != "masters":
        return Collection.open(path)
    return open_or_pack(path, resolution or 64)


def forget(collection: str | Path | Collection, pictures: str | Sequence[str]) -> removal.Forgotten:
    """Take pictures out of a collection, with all copies of them. Later runs record it; models that
    were trained before have seen them still.

    Args:
        collection: it, or its folder. An open one stays as it was: open it again.
        pictures: of each its path in `sources.csv`, or its SHA-256 or the first digits of it.

    Raises:
        ImpastoError: a picture that is not there, or nothing would be left. The collection is as it
            was then.
    """
    path = collection.path if isinstance(collection, Collection) else _path(collection)
    return removal.forget(path, [pictures] if isinstance(pictures, str) else pictures)
