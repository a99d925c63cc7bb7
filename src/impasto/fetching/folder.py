"""The destination folder: a lock for one fetch at a time, and a record of its complete files."""

import contextlib
import os
import re
import time
import unicodedata
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError
from impasto.files import check_writable, lock, read_json, write_error, write_json
from impasto.messages import say

RECORD = "fetched.json"
_EVERY = 5.0
"""The least seconds between two writings of the record."""
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
"""Names that Windows reserves for devices."""


@contextlib.contextmanager
def fetching_into(folder: Path) -> Iterator[None]:
    """Make the folder, and lock it against a second fetch if the file system has locks.

    A new folder that is still empty at the end, as after a wrong address, is deleted.

    Raises:
        ImpastoError: it cannot be written, or another fetch is using it.
    """
    made: list[Path] = []
    with contextlib.suppress(OSError):  # an invalid name is reported below
        made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        check_writable(folder)
        with _locked(folder):
            yield
    finally:
        with contextlib.suppress(OSError):  # it is not empty
            for place in made:
                place.rmdir()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        yield
        return
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        has_locks = lock(descriptor)
    except BlockingIOError as error:
        raise ImpastoError(
            f"another impasto fetch is at work in {folder}; wait for it, or choose another folder"
        ) from error
    if not has_locks:
        say(
            f"note: {folder} is on a file system without locks, so nothing stops another impasto "
            "fetch from writing to it at the same time; start no second one there",
            to_stderr=True,
        )


class FetchedFiles:
    """`fetched.json`: the address, bytes, hash and time of each complete file.

    Attributes:
        files: the entries by path in the folder.

    Raises:
        ImpastoError: the folder's file cannot be read, or is not impasto's.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / RECORD
        self.files: dict[str, dict[str, Any]] = {}
        if self._path.exists():
            content = read_json(self._path, "folder of fetched files")
            files = content.get("files") if isinstance(content, dict) else None
            if not isinstance(files, dict) or not all(isinstance(e, dict) for e in files.values()):
                raise ImpastoError(
                    f"{self._path} was not written by impasto fetch; choose another folder"
                )
            self.files = files
        self._due = 0.0

    def add(self, name: str, url: str, size: int, sha256: str | None, git_sha1: str | None) -> None:
        """Record a complete file, and write the record if the last writing is five seconds ago.

        Files that are missing from it after a kill are recognised by their hash.
        """
        entry = {"url": url, "bytes": size, "sha256": sha256, "git_sha1": git_sha1, "when": now()}
        self.files[name] = {key: value for key, value in entry.items() if value is not None}
        if time.monotonic() >= self._due:
            self.save()

    def save(self) -> None:
        """Write the record, unless it is empty."""
        if self.files:
            write_json(self._path, {"files": self.files})
        self._due = time.monotonic() + _EVERY


def now() -> str:
    """The time in UTC, as ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def remove(path: Path) -> None:
    """Remove a file if it is there.

    Raises:
        ImpastoError: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(error, path) from error


def file_name(url: str) -> str:
    """The last part of an address as a file name of at most 200 bytes that is valid on every system."""
    last = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rstrip("/").rpartition("/")[2])
    name = re.sub(r'[<>:"/\\|?*\x00-\x1f\x7f]', "-", unicodedata.normalize("NFC", last))
    name = name.strip(" .") or "download"
    if _RESERVED.match(name) or name == RECORD:
        name = f"_{name}"
    stem, dot, suffix = name.rpartition(".")
    if len(name.encode()) > 200:
        kept = (stem if dot and len(suffix) < 20 else name).encode()[:180].decode(errors="ignore")
        name = f"{kept}.{suffix}" if dot and len(suffix) < 20 else kept
    return name


def slug(text: str, most: int = 60) -> str:
    """A title as part of a file name: lower-case Latin letters, digits and hyphens, `most` at most.

    Empty if the title has none of these.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:most].rstrip("-")
