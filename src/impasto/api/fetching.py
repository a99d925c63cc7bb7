"""`fetch`, in a file of its own so that other functions do not import the HTTP client."""

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
    """Fetch a data set, or pictures with titles, artists and licences. Another call continues an
    interrupted one.

    Check the site's terms and the pictures' licences yourself; stated licences are recorded.

    Args:
        source: `hf:datasets/OWNER/NAME[@REVISION][/PATH]`; the address of a file; a table of URLs;
            or one or several listings of WikiArt, such as `wikiart:style/NAME`.
        destination: a folder.
        only: for a repository, one or several patterns of files, such as `*.parquet`.
        sha256: expected digest of a file by its address.
        rate: most requests a second to a host, for pictures; 0: no limit.
        per_host: most simultaneous requests to a host.
        retries: tries after the first.
        timeout: seconds, for a connection and for the next bytes.
        max_mb: largest picture or file, in MB; None: 100 for a picture.
        contact: your mail address or page, sent to the servers.
        licence: of pictures without one in their row.
        pages: most pages of a WikiArt listing; of `wikiart:all`, most artists. None: all.
        refresh: check present pictures for changes.
        robots: obey robots.txt.

    Returns:
        The report; for pictures with the failures.

    Raises:
        ImpastoError: nothing can be fetched, or an option does not apply to the source.
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
