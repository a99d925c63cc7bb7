"""The record of fetched pictures: `metadata.csv`, `failed.csv`, and a journal of later changes.

A picture's row is appended to the journal right after the picture gets its final name. So a killed
process loses at most one row, and that picture is fetched again under the same name. The tables are
rewritten every ten seconds or less often, and at the end. Each time the journal is deleted.
"""

import csv
import io
import json
import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from impasto.errors import ImpastoError
from impasto.fetching.folder import now, remove
from impasto.files import read_json_lines, write_error, write_text

ABOUT = ("title", "artist", "year", "licence")
"""Known columns about a picture; other columns are copied."""
COLUMNS = ("file", "url", "source", *ABOUT)
KEPT = ("sha256", "bytes", "when")
"""Columns of `metadata.csv` about a picture's file."""
UNKNOWN = "unknown"
"""The licence of pictures without one, unless the user gives one."""
FAILED = ("url", "reason", "when", "tries")
"""The columns of `failed.csv`."""
NOT_READABLE = "row not readable"
"""The kind of reason for a row without a usable address."""
_EVERY = 10.0
"""The least seconds between two writings of the tables."""


@dataclass(frozen=True)
class FetchedPicture:
    """A fetched picture: its file's name, digest, length and time (UTC, ISO 8601)."""

    file: str
    sha256: str
    bytes: int
    when: str


class DownloadLog:
    """The rows of a folder; safe to use from many threads.

    Args:
        folder: the folder of the pictures.
        rows: the current table's cells by address, in its order.
        columns: the table's columns besides `COLUMNS`.
        licence: of pictures without one.

    Raises:
        ImpastoError: the folder's metadata.csv is not impasto's.
    """

    def __init__(
        self,
        folder: Path,
        rows: Mapping[str, Mapping[str, str]],
        columns: Iterable[str],
        licence: str,
    ) -> None:
        self._folder, self._licence, self._lock = folder, licence, threading.Lock()
        self._tables = folder / "metadata.csv", folder / "failed.csv"
        self._journal_path = folder / ".fetched.jsonl"
        known, failed = _read(self._tables[0], ("file", "url")), _read(self._tables[1], FAILED)
        for row in read_json_lines(self._journal_path):
            if isinstance(row.get("url"), str) and isinstance(row.get("file"), str):
                known.append({key: str(value) for key, value in row.items()})
        self._pictures: dict[str, FetchedPicture] = {}
        self._cells: dict[str, dict[str, str]] = {url: dict(cells) for url, cells in rows.items()}
        extra = dict.fromkeys(columns)
        for row in known:
            url, size = row["url"], row.get("bytes", "")
            cells = {key: value for key, value in row.items() if key not in ("file", "url", *KEPT)}
            if cells.get("licence") == UNKNOWN:
                del cells["licence"]
            extra.update(dict.fromkeys(key for key in cells if key not in COLUMNS))
            # Cells of the current table replace earlier ones, unless they are empty.
            filled = {key: value for key, value in self._cells.get(url, {}).items() if value}
            self._cells[url] = {**cells, **filled}
            if Path(row["file"]).name == row["file"] and re.fullmatch(r"[0-9]{1,18}", size):
                self._pictures[url] = FetchedPicture(
                    row["file"], row.get("sha256", ""), int(size), row.get("when", "")
                )
        self._extra_columns = tuple(extra)
        self._failed = {
            row["url"]: row
            for row in failed
            # Unreadable rows are listed anew for the current table.
            if row["url"] not in self._pictures and not row["reason"].startswith(NOT_READABLE)
        }
        self.closed = False
        self._journal: TextIO | None = None
        self._due = time.monotonic() + _EVERY
        self.save()

    def complete(self, url: str) -> FetchedPicture | None:
        """The picture of this address, if its file is in the folder with the recorded length."""
        picture = self._pictures.get(url)
        try:
            path = self._folder / picture.file if picture else None
            same = picture and path and path.stat().st_size == picture.bytes
        except OSError:
            same = False
        return picture if same else None

    def name_of(self, url: str) -> str | None:
        """The current or former file name of this address's picture."""
        picture = self._pictures.get(url)
        return picture.file if picture else None

    def keep(self, url: str, part: Path, file: str, sha256: str) -> None:
        """Rename a complete picture, and add its row.

        Args:
            url: its address.
            part: its partial file.
            file: its name in the folder. If the address had another one, that file is deleted.
            sha256: its digest.

        Raises:
            ImpastoError: it cannot be written.
        """
        with self._lock:
            if self.closed:
                return
            before = self._pictures.get(url)
            picture = FetchedPicture(file, sha256, part.stat().st_size, now())
            path = self._folder / file
            try:
                part.replace(path)
                if before and before.file != file:
                    (self._folder / before.file).unlink(missing_ok=True)
                if self._journal is None:
                    self._journal = self._journal_path.open("a", encoding="utf-8")
                row = {"url": url, **self._cells.get(url, {}), **asdict(picture)}
                self._journal.write(json.dumps(row, ensure_ascii=False) + "\n")
                self._journal.flush()
            except OSError as error:
                raise write_error(error, path) from error
            self._pictures[url] = picture
            self._failed.pop(url, None)

    def fail(self, url: str, reason: str, tries: int) -> None:
        """Record why an address gave no picture, after this number of tries."""
        with self._lock:
            if not self.closed:
                values = (url, reason, now(), str(tries))
                self._failed[url] = dict(zip(FAILED, values, strict=True))

    def remove_failure(self, url: str) -> None:
        """Delete the recorded failure of an address, if any."""
        with self._lock:
            self._failed.pop(url, None)

    def reasons(self, urls: Iterable[str]) -> dict[str, str]:
        """The reasons of those addresses that failed."""
        with self._lock:
            return {url: self._failed[url]["reason"] for url in urls if url in self._failed}

    def save_if_due(self) -> None:
        """Write the tables if the last writing was ten seconds ago, and 20 times its duration."""
        began = time.monotonic()
        if began >= self._due:
            self.save()
            ended = time.monotonic()
            self._due = ended + max(_EVERY, 20 * (ended - began))

    def close(self) -> None:
        """Write the tables for the last time; later pictures are ignored."""
        with self._lock:
            self.closed = True
        self.save()

    def save(self) -> None:
        """Write both tables, and empty the journal.

        Raises:
            ImpastoError: a file cannot be written.
        """
        with self._lock:
            header = (*COLUMNS, *self._extra_columns, *KEPT)
            rows = []
            for url, cells in self._cells.items():
                if url in self._pictures:
                    picture = self._pictures[url]
                    defaults = {"url": url, "source": url, "licence": self._licence}
                    filled = {key: value for key, value in cells.items() if value}
                    rows.append({**defaults, **filled, **asdict(picture)})
            write_text(self._tables[0], _table(header, rows))
            if self._failed:
                write_text(self._tables[1], _table(FAILED, self._failed.values()))
            else:
                remove(self._tables[1])
            if self._journal is not None:
                self._journal.close()
                self._journal = None
            remove(self._journal_path)


def _table(header: Iterable[str], rows: Iterable[Mapping[str, object]]) -> str:
    names = list(header)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([row.get(name, "") for name in names] for row in rows)
    return text.getvalue()


def _read(path: Path, needed: Iterable[str]) -> list[dict[str, str]]:
    """The rows of one of impasto's tables; empty if it is missing.

    Raises:
        ImpastoError: it cannot be read, or is not impasto's.
    """
    if not path.exists():
        return []
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
        rows = [{k: v or "" for k, v in row.items() if k is not None} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ImpastoError(f"cannot read {path}: {error}; move it away") from error
    if not set(needed) <= set(reader.fieldnames or ()):
        raise ImpastoError(f"{path} was not written by impasto fetch; choose another folder")
    return rows
