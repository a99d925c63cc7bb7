"""Collections: `pack`, `open` and `forget`. Without torch."""

import contextlib
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from impasto import collection as packing
from impasto.collection import Collection, PackOptions, PackReport, open_or_pack, removal
from impasto.collection.job import PixelFeatures
from impasto.errors import ImpastoError, choices
from impasto.files import expand_home
from impasto.progress import counting
from impasto.resolution import Resolution, Size, area, parse_resolution
from impasto.sources.class_names import read_merges


class PackSettings(TypedDict, total=False):
    """The options of packing by name. Texts are parsed as on the command line."""

    resolution: Resolution | str | Sequence[Resolution | str]
    smaller: Sequence[Resolution]
    labels: str | Sequence[str] | None
    names_encoding: str | None
    where: str | None
    merge: str | Sequence[str]
    min_class: int
    fit: str
    heldout: float
    seed: int
    duplicates: str
    keep: str | Sequence[str]
    exclude: str | Sequence[str]
    background: str | Sequence[int]
    max_upscale: float
    max_pixels: int
    max_seconds: float
    salvage: bool
    exact: bool
    encoding: str
    workers: int | None
    name: str | None


def pack(
    source: str | Path,
    destination: str | Path,
    options: PackOptions | None = None,
    **settings: Unpack[PackSettings],
) -> PackReport:
    """Pack pictures into a collection for training; the report has it as `collection`.

    After an interruption the same call continues. After pictures were added to the source, it
    decodes only the new ones.

        impasto.pack("paintings", "packed", resolution=[64, 256], labels="style", fit="pad")

    Args:
        source: a folder or an archive of pictures, a table, parquet, or another form that
            `impasto pack --help` lists, on disk or at an address such as `s3://bucket/folder`; or the
            word `masters`, 21 paintings.
        destination: the collection's folder: new, empty, or an earlier pack of this source.
        options: all options; None: `PackOptions()`.
        settings: any option of `PackOptions` by its name, in place of the one in `options`. Texts
            are parsed as by `impasto pack`: `resolution="64,256"` (or "192x256",
            width x height, for rectangles), `labels="style,genre"`,
            `background="black"`, `merge="merges.csv"`.

    Raises:
        ImpastoError: no picture is usable, or another error that the user can mend. Bad files are
            left out and reported.
    """
    options = pack_options(options, settings)
    features = _features(options)
    with counting("pictures") as progress:
        return packing.pack(source, expand_home(destination), options, progress, features)


def pack_shard(
    source: str | Path,
    destination: str | Path,
    shard: tuple[int, int],
    **settings: Unpack[PackSettings],
) -> PackReport | int:
    """As `pack`, on one of several machines that share a disk.

    Args:
        source: as in `pack`.
        destination: as in `pack`.
        shard: this machine's number, from 1, and the number of machines.
        settings: as in `pack`; the same for all.

    Returns:
        The report, or the number of pictures that other machines have still to fit.

    Raises:
        ImpastoError: as `pack`, or there is no such shard.
    """
    options = pack_options(None, settings)
    features = _features(options)
    with counting("pictures") as progress:
        return packing.pack_shard(
            source, expand_home(destination), shard, options, progress, features
        )


def pack_on(
    executor: Executor,
    source: str | Path,
    destination: str | Path,
    options: PackOptions | None = None,
    *,
    shards: int | None = None,
    **settings: Unpack[PackSettings],
) -> PackReport:
    """As `pack`, with the pictures decoded on an executor's machines: dask's, Ray's, MPI's or a pool of
    processes. The collection is the same.

        with distributed.Client("tcp://scheduler:8786") as client:
            impasto.pack_on(client.get_executor(), "/shared/paintings", "/shared/packed")

    All machines must see source and destination on a disk that they share, under the same path. Each
    task is a shard of the pictures, in one process. A shard whose worker is lost is done again, up to
    three times. Interrupted, the same call goes on. A pool of processes is broken once one of them
    dies; the same call with a new one goes on.

    `max_seconds` does not hold here, and a picture that ends the process which decodes it makes its
    shard fail; `pack` then goes on, and leaves such pictures out.

    Args:
        executor: any `concurrent.futures.Executor`; it is not shut down.
        source: as in `pack`.
        destination: as in `pack`.
        options: as in `pack`.
        shards: the number of tasks; None: 64, or as many as make tasks of 8 to 512 pictures.
        settings: as in `pack`.

    Raises:
        ImpastoError: as `pack`; a shard failed three times; or a machine does not see the disk.
    """
    options = pack_options(options, settings)
    features = _features(options)
    with counting("pictures") as progress:
        return packing.pack_on(
            executor, source, expand_home(destination), options, progress, features, shards
        )


def pack_options(options: PackOptions | None, settings: PackSettings) -> PackOptions:
    """`options` with some of them changed.

    Raises:
        ImpastoError: an option is unknown, or its value is invalid.
    """
    known = sorted(PackSettings.__annotations__)
    if unknown := [name for name in settings if name not in known]:
        raise ImpastoError(f"pack has no option '{unknown[0]}'; there is {choices(known)}")
    changes: dict[str, Any] = {**settings}
    if "smaller" in settings:
        changes["smaller"] = tuple(settings["smaller"])
    if "resolution" in settings:
        *smaller, changes["resolution"] = _sizes(settings["resolution"])
        changes["smaller"] = (*smaller, *settings.get("smaller", ()))
    if (labels := settings.get("labels")) is not None:
        changes["labels"] = _label_fields(labels)
    if "merge" in settings:
        texts = [settings["merge"]] if isinstance(settings["merge"], str) else settings["merge"]
        changes["merge"] = tuple(line for text in texts for line in read_merges(text))
    for name in ("keep", "exclude"):
        if name in changes:
            paths = changes[name]
            changes[name] = (paths,) if isinstance(paths, str) else tuple(paths)
    if "background" in settings:
        changes["background"] = _colour(settings["background"])
    return replace(options or PackOptions(), **changes)


def _sizes(wanted: Resolution | str | Sequence[Resolution | str]) -> list[Resolution]:
    """The requested resolutions, rising."""
    sizes: list[Resolution] = []
    with contextlib.suppress(TypeError, ValueError):
        if isinstance(wanted, int | Size):
            each: Sequence[Resolution | str] = [wanted]
        else:
            each = wanted.split(",") if isinstance(wanted, str) else list(wanted)
        sizes = [parse_resolution(size) for size in each]
    if not sizes:
        raise ImpastoError(
            "resolution takes a side from 4 to 4096 pixels, or width x height such as 192x256, or "
            f"several such as 64,256, not '{wanted}'"
        )
    return sorted(sizes, key=area)


def size_from(resolution: Resolution | str | None) -> Resolution | None:
    """A resolution that may be a text, such as "192x256", width x height.

    Raises:
        ImpastoError: it is no resolution.
    """
    if resolution is None:
        return None
    try:
        return parse_resolution(resolution)
    except ValueError as error:
        raise ImpastoError(f"resolution: {error}") from None


def _label_fields(names: str | Sequence[str]) -> tuple[str, ...]:
    """Label fields as a tuple. The empty name in `style,,genre` is kept, so that packing refuses it."""
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",")] if names.strip() else []
    return tuple(names)


def _colour(colour: str | Sequence[int]) -> tuple[int, ...]:
    if not isinstance(colour, str):
        return tuple(colour)
    from PIL import ImageColor

    try:
        return ImageColor.getrgb(colour)[:3]
    except ValueError as error:
        raise ImpastoError(
            f"unknown background '{colour}'; give a colour's name, such as white, or #rrggbb"
        ) from error


def _features(options: PackOptions) -> PixelFeatures | None:
    """EfficientNet-Lite0's features, if duplicates are found by features."""
    if options.duplicates != "features":
        return None
    import torch

    from impasto.features import load_network

    network = load_network("lite0", device="auto")
    return lambda pixels: network(torch.from_numpy(pixels)).features.cpu().numpy()


def open(path: str | Path, resolution: Resolution | str | None = None) -> Collection:
    """Open a collection.

    Args:
        path: its folder; or `masters`, 21 paintings, packed at the first call.
        resolution: a side in pixels, or "192x256", width x height; a collection at a multiple of it is
            accepted. None: the largest, and 64 for `masters`.

    Raises:
        ImpastoError: it is no collection, is damaged, or has no such resolution.
    """
    wanted = size_from(resolution)
    if wanted is None and str(path) != "masters":
        return Collection.open(path)
    return open_or_pack(path, wanted or 64)


def forget(collection: str | Path | Collection, pictures: str | Sequence[str]) -> removal.Forgotten:
    """Remove pictures from a collection, with all their copies. Later runs record it; models
    trained before have seen them.

    Args:
        collection: an open collection, which does not change (open it again), or its folder.
        pictures: for each its path in `sources.csv`, or its SHA-256 or the beginning of it.

    Raises:
        ImpastoError: a picture is unknown, or nothing would be left. The collection is unchanged
            then.
    """
    path = collection.path if isinstance(collection, Collection) else expand_home(collection)
    return removal.forget(path, [pictures] if isinstance(pictures, str) else pictures)
