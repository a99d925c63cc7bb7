"""Collections: `pack`, `open_collection`, `forget`, and `fetch` for what to pack. Without torch."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from impasto import collection as packing
from impasto.collection import Collection, PackOptions, PackReport, open_or_pack, removal
from impasto.errors import ImpastoError
from impasto.fetching import (
    PictureOptions,
    Politeness,
    fetch_file,
    fetch_repository,
    fetch_table,
    is_repository,
    kind_and_name,
    list_wikiart,
    read_table,
)
from impasto.fetching.client import Client
from impasto.fetching.file import FilesReport
from impasto.fetching.table import PicturesReport, Table
from impasto.progress import counting


def pack(
    source: str | Path,
    destination: str | Path,
    options: PackOptions | None = None,
    *,
    resolution: int | Sequence[int] | None = None,
    labels: Sequence[str] | None = None,
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
        labels: label fields; None: as in `options`, or else all of the source's.

    Raises:
        ImpastoError: no usable picture, or anything else that the user can put right. A bad file is no
            error: it is left out and reported.
    """
    options = options or PackOptions()
    if resolution is not None:
        *smaller, largest = sorted([resolution] if isinstance(resolution, int) else resolution)
        options = replace(options, resolution=largest, smaller=tuple(smaller))
    if labels is not None:
        fields = (labels,) if isinstance(labels, str) else tuple(labels)
        options = replace(options, labels=fields)
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


def open_collection(path: str | Path, resolution: int | None = None) -> Collection:
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


def fetch(
    source: str | Path | Sequence[str],
    destination: str | Path,
    *,
    only: Sequence[str] = (),
    sha256: str | None = None,
    rate: float = 1.0,
    per_host: int = 1,
    retries: int = 5,
    timeout: float = 30.0,
    max_mb: float | None = None,
    contact: str = "",
    licence: str = "unknown",
    pages: int | None = None,
    refresh: bool = False,
    robots: bool = True,
) -> FilesReport | PicturesReport:
    """Fetch a data set, or pictures with titles, artists and licences. Called again, it goes on.

    What a site's terms and a picture's licence allow is yours to know; the licences that are stated
    are kept beside the pictures.

    Args:
        source: `hf:datasets/OWNER/NAME[@REVISION][/PATH]`; the address of a file; a table of URLs; or
            a listing of WikiArt such as `wikiart:style/NAME`, of which several may be given.
        destination: a folder.
        only: of a repository, files that fit one of these patterns, such as `*.parquet`.
        sha256: expected of a file by its address.
        rate: requests a second to one host, for pictures; 0 for no limit.
        per_host: requests to one host at the same time.
        retries: tries after the first.
        timeout: seconds to wait for a connection and for more bytes.
        max_mb: largest picture or file, in MB; None: 100 for a picture.
        contact: your mail address or page, for those who run the servers.
        licence: of pictures whose row names none.
        pages: of a WikiArt listing; of `wikiart:all`, artists. None: all.
        refresh: ask whether pictures that are there have changed.
        robots: ask for robots.txt and keep to it.

    Returns:
        What was fetched; of pictures, those that failed, too.

    Raises:
        ImpastoError: nothing can be fetched, or options that do not go with the source.
    """
    if max_mb is not None and not 0 < max_mb < 1e9:
        raise ImpastoError(f"--max-mb cannot be {max_mb}; it is a size in MB, such as 20")
    options = PictureOptions(
        rate=rate,
        per_host=per_host,
        retries=retries,
        timeout=timeout,
        most=PictureOptions.most if max_mb is None else int(max_mb * 1e6),
        contact=contact,
        robots=robots,
        refresh=refresh,
        licence=licence,
    )
    sources = [str(source)] if isinstance(source, str | Path) else list(source)
    listings = _listings(sources)
    first, folder = sources[0], _path(destination)
    from_hub = first.startswith("hf:") or is_repository(first)
    if only and not from_hub:
        raise ImpastoError("--only chooses files of a repository; there is none in this source")
    if sha256 and (from_hub or "://" not in first):
        raise ImpastoError("--sha256 is for one file by its address; leave it out here")
    client, politeness = Client(timeout, contact), Politeness(retries=retries)
    if from_hub:
        with counting("MB", 1_000_000) as tell:
            return fetch_repository(first, folder, only, politeness, tell)
    if "://" in first:
        most = None if max_mb is None else options.most
        with counting("MB", 1_000_000) as tell:
            return fetch_file(first, folder, sha256, most, client, politeness, tell=tell)
    named = _listed(listings, folder, options, pages)
    table = read_table(Path(first).expanduser()) if named is None else named
    with counting("pictures") as tell:
        return fetch_table(table, folder, options, tell=tell)


def _listings(sources: Sequence[str]) -> list[str]:
    """The listings of WikiArt among the sources.

    Raises:
        ImpastoError: one that there is not, or several sources that are not all listings.
    """
    if not sources:
        raise ImpastoError("no source is given")
    listings = [text.removeprefix("wikiart:") for text in sources if text.startswith("wikiart:")]
    for listing in listings:
        kind_and_name(listing)
    if len(sources) > 1 and len(listings) < len(sources):
        raise ImpastoError(
            f"{len(sources)} sources are given; only wikiart: listings can be fetched together. "
            "Fetch the others one by one, each into a folder of its own"
        )
    return listings


def _listed(
    listings: Sequence[str], folder: Path, options: PictureOptions, pages: int | None
) -> Table | None:
    """The pictures of WikiArt's listings, one after the other, as one table; None: no listings."""
    table, notes = None, list[str]()
    for listing in listings:
        with counting("artists listed" if listing == "all" else "pages listed") as tell:
            table = list_wikiart(listing, folder, options, pages, tell=tell)
        notes += table.notes
    if table is not None:
        table.notes = notes
    return table
