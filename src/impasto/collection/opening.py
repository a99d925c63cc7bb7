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
        data: a collection's folder; or `masters`, the paintings inside the package, which are packed as
            tiles with all labels at the first call and cached; or an open collection, which is returned
            unchanged if its resolution is a multiple of `resolution`.
        resolution: the wanted one. If the collection lacks it, it is opened at the smallest multiple,
            from which pictures can be averaged down.

    Raises:
        ImpastoError: there is no collection (the message names the command that makes one), or it has
            no multiple of the resolution.
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
    """The resolutions at which `open_or_pack` opens `data`; None: any.

    Raises:
        ImpastoError: there is no collection.
    """
    if isinstance(data, Collection):
        return data.resolutions
    if str(data) == "masters":
        return None
    path = expand_home(data)
    check_is_collection(path, 64)
    return Collection.open(path).resolutions


def masters_in_cache(resolution: Resolution) -> tuple[Path, PackOptions]:
    """The cache folder for the packed paintings of the package, and the options to pack them with."""
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
        # One of several processes or threads packs them, and the others wait.
        with locked(path.parent):
            return _open_if_complete(path) or _pack_masters(path, options)
    except ImpastoError as error:
        # Where there are no locks, another process may have packed them meanwhile.
        if (path / "collection.json").is_file():
            return Collection.open(path)
        raise ImpastoError(f"{error} (IMPASTO_CACHE chooses another cache folder)") from error


def _open_if_complete(path: Path) -> Collection | None:
    """The collection in this folder; None if there is none or it lacks files."""
    if not path.exists():
        return None
    try:
        return Collection.open(path)
    except ImpastoError:  # a part of the cache was deleted
        return None


def _pack_masters(path: Path, options: PackOptions) -> Collection:
    shutil.rmtree(path, ignore_errors=True)
    return pack("masters", path, options).collection
