"""Fetch a source of any kind: a repository, a file by its address, a table of URLs, or listings of
WikiArt."""

from collections.abc import Sequence
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.fetching.client import Client
from impasto.fetching.file import FilesReport, fetch_file
from impasto.fetching.hub import fetch_repository, is_repository
from impasto.fetching.politeness import Politeness
from impasto.fetching.table import PictureOptions, PicturesReport, WantedPictures, fetch_table
from impasto.fetching.wanted import read_table
from impasto.fetching.wikiart import kind_and_name, list_wikiart
from impasto.progress import counting


def fetch_sources(
    sources: Sequence[str],
    folder: Path,
    options: PictureOptions,
    *,
    only: str | Sequence[str] = (),
    sha256: str | None = None,
    pages: int | None = None,
) -> FilesReport | PicturesReport:
    """Fetch a source, or several listings of WikiArt together, and show the progress.

    Args:
        sources: see `impasto.fetch`.
        folder: the destination, made if it does not exist.
        options: all apply to pictures. For a file by its address only `most`, `retries`, `timeout` and
            `contact` apply, and for a repository only `retries`.
        only: patterns of a repository's files.
        sha256: expected digest of a file by its address.
        pages: most pages of a WikiArt listing; of `wikiart:all`, most artists. None: all.

    Raises:
        ImpastoError: nothing can be fetched, or an option does not apply to the source.
    """
    listings = _listings(sources)
    first = sources[0]
    from_hub = first.startswith("hf:") or is_repository(first)
    if only and not from_hub:
        raise ImpastoError("--only chooses files of a repository; there is none in this source")
    if sha256 and (from_hub or "://" not in first):
        raise ImpastoError("--sha256 is for one file by its address; leave it out here")
    if options.most is not None and from_hub:
        raise ImpastoError(
            "--max-mb is not for files of a repository; choose smaller ones with --only"
        )
    if pages is not None and not listings:
        raise ImpastoError("--pages is for listings of WikiArt; leave it out here")
    politeness = Politeness(retries=options.retries)
    if from_hub:
        with counting("MB", 1_000_000) as tell:
            patterns = [only] if isinstance(only, str) else only
            return fetch_repository(first, folder, patterns, politeness, tell)
    if "://" in first:
        client = Client(options.timeout, options.contact)
        with counting("MB", 1_000_000) as tell:
            return fetch_file(first, folder, sha256, options.most, client, politeness, tell=tell)
    listed = _listed(listings, folder, options, pages)
    table = read_table(Path(first).expanduser()) if listed is None else listed
    with counting("pictures") as tell:
        return fetch_table(table, folder, options, tell=tell)


def _listings(sources: Sequence[str]) -> list[str]:
    """The listings of WikiArt among the sources.

    Raises:
        ImpastoError: a listing is unknown, or one of several sources is not a listing.
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
) -> WantedPictures | None:
    """The pictures of all given WikiArt listings as one table; None if no listing is given."""
    table, notes = None, list[str]()
    for listing in listings:
        with counting("artists listed" if listing == "all" else "pages listed") as tell:
            table = list_wikiart(listing, folder, options, pages, tell=tell)
        notes += table.notes
    if table is not None:
        table.notes = notes
    return table
