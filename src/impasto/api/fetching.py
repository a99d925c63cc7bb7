"""What to pack: `fetch`. In a file of its own, so that no collection waits for the HTTP client."""

from collections.abc import Sequence
from pathlib import Path

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


def fetch(
    source: str | Path | Sequence[str],
    destination: str | Path,
    *,
    only: str | Sequence[str] = (),
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
        only: of a repository, files that fit this pattern, such as `*.parquet`, or one of several.
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
    first, folder = sources[0], Path(destination).expanduser()
    from_hub = first.startswith("hf:") or is_repository(first)
    if only and not from_hub:
        raise ImpastoError("--only chooses files of a repository; there is none in this source")
    if sha256 and (from_hub or "://" not in first):
        raise ImpastoError("--sha256 is for one file by its address; leave it out here")
    client, politeness = Client(timeout, contact), Politeness(retries=retries)
    if from_hub:
        with counting("MB", 1_000_000) as tell:
            patterns = [only] if isinstance(only, str) else only
            return fetch_repository(first, folder, patterns, politeness, tell)
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
