"""Fetch a single file by its address."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from impasto.errors import ImpastoError, StoppedError
from impasto.fetching.client import Client, FetchError, check_scheme, switched_off
from impasto.fetching.download import Download, difference
from impasto.fetching.folder import FetchedFiles, fetching_into, file_name
from impasto.fetching.politeness import Politeness
from impasto.files import sha256_of_file
from impasto.sources.file_kinds import is_page


@dataclass
class FilesReport:
    """The result of fetching files."""

    names: list[str] = field(default_factory=list)
    """The files present now, as paths in the folder."""
    fetched: int = 0
    """The number of files from the network."""
    cached: int = 0
    """The number of files from the hub's cache on this machine."""
    bytes: int = 0
    """Bytes of the fetched files."""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def fetch_file(
    url: str,
    folder: Path,
    sha256: str | None = None,
    most: int | None = None,
    client: Client | None = None,
    politeness: Politeness | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> FilesReport:
    """Fetch the file at `url` into `folder`, named by the last part of its address.

    An interrupted download is continued. A file that is complete, by its hash or the folder's record,
    is not fetched again.

    Args:
        url: an http or https address.
        folder: made if it does not exist.
        sha256: the expected digest, 64 hexadecimal digits.
        most: size limit in bytes; larger files are refused. None: no limit.
        client: None: one with the default timeout.
        politeness: retries and pauses. None: 5 retries.
        tell: called with the bytes received and the total (0: unknown).

    Raises:
        ImpastoError: it cannot be fetched, has another digest, or cannot be written.
        StoppedError: Ctrl-C; the bytes received are kept.
    """
    politeness = politeness or Politeness()
    client = client or Client()
    client.before = politeness.wait
    try:
        check_scheme(url)
    except FetchError as error:
        raise ImpastoError(f"{url} is {error}") from error
    if sha256 is not None:
        sha256 = sha256.strip().lower()
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise ImpastoError(f"'{sha256}' is no SHA-256; it has 64 hexadecimal digits")
    began, name = time.monotonic(), file_name(url)
    path = folder / name
    with fetching_into(folder):
        record = FetchedFiles(folder)
        report = FilesReport([name])
        if _is_there(path, url, sha256, record):
            return report
        if switch := switched_off("IMPASTO_OFFLINE"):
            state = "is incomplete or another file" if path.exists() else "is not there"
            raise ImpastoError(f"{path} {state}, and {switch} is set; unset it to fetch {url}")

        def look(start: bytes) -> None:
            if is_page(start) and not name.lower().endswith((".html", ".htm", ".xhtml")):
                raise FetchError("the server sent a web page (HTML) in its place")

        download = Download(url, part_of(path), sha256=sha256, most=most, look=look, tell=tell)
        fetch_whole(download, path, client, politeness)
        report.fetched, report.bytes = 1, path.stat().st_size
        record.add(name, url, report.bytes, sha256 or sha256_of_file(path), None)
        record.save()
    report.seconds = time.monotonic() - began
    return report


def _is_there(path: Path, url: str, sha256: str | None, record: FetchedFiles) -> bool:
    """Whether the file is present and complete.

    Raises:
        ImpastoError: a file from another address has its name.
    """
    if not path.exists():
        return False
    if path.is_file() and sha256 and not difference(path, None, sha256):
        return True
    entry = record.files.get(path.name, {})
    if entry.get("url") != url:
        raise ImpastoError(f"{path} is another file; remove it, or choose another folder for {url}")
    return not sha256 and not difference(path, entry.get("bytes"))


def part_of(path: Path) -> Path:
    """The path of the partial file."""
    return path.with_name(path.name + ".part")


def fetch_whole(download: Download, path: Path, client: Client, politeness: Politeness) -> None:
    """Fetch a file with retries into its partial file, and rename that to `path` when complete.

    Raises:
        ImpastoError: it cannot be fetched.
        StoppedError: Ctrl-C; the bytes received are kept.
    """
    try:
        download.part.parent.mkdir(parents=True, exist_ok=True)
        politeness.with_retries(download.url, lambda: download.attempt(client))
        download.finish(path)
    except FetchError as error:
        kept = "; what arrived is kept, run it again to go on" if download.part.exists() else ""
        raise ImpastoError(f"cannot fetch {download.url}: {error}{kept}") from error
    except KeyboardInterrupt as stop:
        raise StoppedError(
            f"stopped; what arrived is kept in {download.part}, run it again to go on"
        ) from stop
