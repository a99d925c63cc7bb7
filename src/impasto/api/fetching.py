"""What to pack: `fetch`. In a file of its own, so that no collection waits for the HTTP client."""

from collections.abc import Sequence
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.fetching import PictureOptions, fetch_sources
from impasto.fetching.file import FilesReport
from impasto.fetching.table import PicturesReport


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
    options = PictureOptions(
        rate=rate,
        per_host=per_host,
        retries=retries,
        timeout=timeout,
        most=_bytes(max_mb),
        contact=contact,
        robots=robots,
        refresh=refresh,
        licence=licence,
    )
    sources = [str(source)] if isinstance(source, str | Path) else list(source)
    folder = Path(destination).expanduser()
    return fetch_sources(sources, folder, options, only=only, sha256=sha256, pages=pages)


def _bytes(max_mb: float | None) -> int | None:
    """A size in MB as bytes.

    Raises:
        ImpastoError: it is no size.
    """
    if max_mb is not None and not 0 < max_mb < 1e9:
        raise ImpastoError(f"--max-mb cannot be {max_mb}; it is a size in MB, such as 20")
    return None if max_mb is None else int(max_mb * 1e6)
