"""Open what `--data` names: a collection's folder, or `masters`, which is packed once and cached."""

import shutil
from pathlib import Path

from impasto.collection.checking import check_is_collection
from impasto.collection.options import PackOptions, options_key
from impasto.collection.packing import MASTERS, pack
from impasto.collection.store import Collection
from impasto.errors import ImpastoError
from impasto.files import cache_folder, expand_home, locked, sha256_of_file
from impasto.resolution import Resolution, sides, times


def open_or_pack(data: str | Path | Collection, resolution: Resolution) -> Collection:
    """Open the collection that a command's `--data` names.

    Args:
        data: a collection's folder; or `masters`, the paintings inside the package, packed as tiles
            with all labels at the first call and cached; or an open collection, used directly if
            its pictures have the resolution or a multiple.
        resolution: wanted, of the pictures. If the collection lacks it, its smallest
            multiple is used, from which pictures can be averaged down.

    Raises:
        ImpastoError: no collection is there (the message names the command that makes one), or it
            is of other resolutions.
    """
    if str(data) == "masters":
        return _masters(resolution)
    part: str | None = None
    if isinstance(data, Collection):
        if times(data.resolution, resolution):
            return data
        part, data = data.condition, data.path
    path = expand_home(data)
    check_is_collection(path, resolution)
    collection = Collection.open(path)
    usable = [side for side in collection.resolutions if times(side, resolution)]
    if not usable:
        raise ImpastoError(
            f"{path} is packed at {sides(collection.resolutions)}, and {resolution} px is wanted; "
            f"pack the pictures again with --resolution {resolution}"
        )
    return collection.at(usable[0]).only(part)


def packed_resolutions(data: str | Path | Collection) -> tuple[Resolution, ...] | None:
    """The resolutions at which `open_or_pack` has the pictures of `data`; None: at any.

    Raises:
        ImpastoError: no collection is there.
    """
    if isinstance(data, Collection):
        return data.resolutions
    if str(data) == "masters":
        return None
    path = expand_home(data)
    check_is_collection(path, 64)
    return Collection.open(path).resolutions


def masters_in_cache(resolution: Resolution) -> tuple[Path, PackOptions]:
    """Where the paintings inside the package are once they are packed, and the options of that."""
    options = PackOptions(
        resolution=resolution, labels=("style", "genre", "artist"), fit="tiles", name="masters"
    )
    files = sorted(path for path in MASTERS.iterdir() if path.suffix in (".jpg", ".csv"))
    key = options_key(options, [f"{path.name} {sha256_of_file(path)}" for path in files])
    return cache_folder() / f"masters-{resolution}-{key[:16]}", options


def _masters(resolution: Resolution) -> Collection:
    path, options = masters_in_cache(resolution)
    if (found := _open_if_complete(path)) is not None:
        return found
    try:
        # Of several processes or threads one packs it, and the others wait.
        with locked(path.parent):
            return _open_if_complete(path) or _pack_masters(path, options)
    except ImpastoError as error:
        # Another process may have packed it meanwhile, where there are no locks.
        if (path / "collection.json").is_file():
            return Collection.open(path)
        raise ImpastoError(f"{error} (IMPASTO_CACHE chooses another cache folder)") from error


def _open_if_complete(path: Path) -> Collection | None:
    if not path.exists():
        return None
    try:
        return Collection.open(path)
    except ImpastoError:  # a part of the cache was deleted
        return None


def _pack_masters(path: Path, options: PackOptions) -> Collection:
    shutil.rmtree(path, ignore_errors=True)
    return pack("masters", path, options).collection
