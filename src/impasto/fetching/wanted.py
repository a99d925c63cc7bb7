"""Read a table of addresses: the pictures to fetch."""

import re
from collections.abc import Iterable
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.fetching.download_log import COLUMNS, KEPT, NOT_READABLE
from impasto.fetching.table import WantedPicture, WantedPictures
from impasto.formatting import counted
from impasto.tabular import Key, decoded, read_delimited, shown, tidy

_NAMES = """
imageurl imgurl pictureurl photourl fileurl mediaurl downloadurl imagelink url urls link href src
"""
_ADDRESS = re.compile(r"https?://[^\s/]", re.IGNORECASE)


def _is_address(cell: str) -> bool:
    return _ADDRESS.match(cell) is not None


_KEY = Key(tuple(_NAMES.split()), _is_address, _is_address, "url,title")


def read_table(path: Path) -> WantedPictures:
    """The pictures in a table: CSV or TSV with a column `url`, or one address a line.

    Blank lines and those that begin with # are skipped. The column of addresses may also have another
    usual name, such as `Image URL`, or any name if it is the only one with addresses.

    The columns title, artist, year, licence and source are known, and others are copied. Pictures must
    have the digests in a column sha256. Columns that `impasto fetch` itself adds are ignored.

    Raises:
        ImpastoError: it cannot be read, or has no column of addresses.
    """
    text, notes = decoded(_content(path), str(path))
    lines = [line for line in text.split("\n") if not _is_ignored(line)]
    if lines and _is_address(lines[0].strip(' "')):
        return _of_rows(path, _addresses(path, lines), notes)
    if lines and lines[0].lstrip().startswith(("{", "[")):
        raise ImpastoError(
            f"{path} is JSON; make it a CSV file with a column url, or a text file with an address a "
            "line"
        )
    try:
        table = read_delimited(text, path.name, _KEY, _is_ignored)
    except ImpastoError as error:
        raise ImpastoError(f"{path} {error}") from error
    if table.key is None:
        raise ImpastoError(f"{path} has no column 'url'; it has {shown(sorted(table.columns))}")
    # A table from an earlier fetch may have copied columns with addresses.
    key = "url" if {"url", *KEPT} <= set(table.columns) else table.key
    rows = []
    for record in table.rows:
        cells = {name.replace("license", "licence"): cell for name, cell in record.cells.items()}
        url = record.cells.get(key, "")
        if key != "url" and "url" in cells:  # A page about the picture, not the file.
            cells["source"] = cells.get("source") or cells["url"]
        rows.append((url, {k: v for k, v in cells.items() if k not in (key, "url")}))
    left_out = {
        f"{row.at} of {path.name}": f"{NOT_READABLE}: {row.why}" for row in table.unreadable
    }
    if key != "url" and not table.by_cells:
        notes.append(f"addresses are those in the column '{shown([key])}'")
    notes += table.notes
    if left_out:
        first = table.unreadable[0].why
        notes.append(
            f"{counted(len(left_out), 'row')} of {path.name} not readable, such as: {first}"
        )
    return _of_rows(path, rows, notes, left_out)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ImpastoError(
            f"there is no {path}; give a table of URLs, an address (https://...), "
            "hf:datasets/OWNER/NAME or wikiart:style/NAME"
        ) from None
    except IsADirectoryError:
        raise ImpastoError(
            f"{path} is a folder; give a table of URLs (a CSV file with a column url, or an address "
            "a line)"
        ) from None
    except OSError as error:
        raise ImpastoError(f"cannot read {path}: {error.strerror}") from error


def _addresses(path: Path, lines: list[str]) -> list[tuple[str, dict[str, str]]]:
    """The address in each line, which may contain commas, and no other cells.

    Raises:
        ImpastoError: most lines contain spaces, so they are rows of a table without a header.
    """
    found = [tidy(line).strip('"') for line in lines]
    if 2 * sum(bool(re.search(r"\s", address)) for address in found) > len(found):
        raise ImpastoError(
            f"{path} begins with a row ({shown(found[:1])}); put a line above it that names the "
            f"columns, such as {_KEY.example}"
        )
    return [(address, {}) for address in found]


def _of_rows(
    path: Path,
    rows: Iterable[tuple[str, dict[str, str]]],
    notes: list[str],
    left_out: dict[str, str] | None = None,
) -> WantedPictures:
    """The pictures in rows of an address and the other cells by column; repeated and missing addresses
    are left out with a note.

    Raises:
        ImpastoError: no row has an address.
    """
    columns: dict[str, None] = {}
    table = WantedPictures([], notes=notes, left_out=left_out or {})
    seen: set[str] = set()
    twice = empty = 0
    for url, cells in rows:
        about = {k: v for k, v in cells.items() if k not in ("file", *KEPT)}
        columns |= dict.fromkeys(name for name in about if name not in COLUMNS)
        if _is_ignored(url):
            empty += not url and any(cells.values())
        elif url in seen:
            twice += 1
        else:
            seen.add(url)
            table.rows.append(WantedPicture(url, about, cells.get("sha256", "").lower() or None))
    table.columns = tuple(columns)
    if twice:
        table.notes.append(f"{counted(twice, 'row')} with an address that an earlier row has")
    if empty:
        table.notes.append(f"{counted(empty, 'row')} without an address")
    if not table.rows:
        why = f": {next(iter(table.left_out.values()))}" if table.left_out else ""
        raise ImpastoError(f"{path} has no addresses below its header{why}")
    return table


def _is_ignored(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")
