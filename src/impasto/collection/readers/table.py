"""A folder with a metadata table: a CSV with a column `file`, and columns for labels, title, ..."""

import csv
import io
from pathlib import Path, PurePosixPath

from impasto.collection.listing import ABOUT, Entry, Listing, pictures, tidy
from impasto.errors import ImpastoError, choices

ORDER = 10

_FILE_COLUMNS = ("file", "file_name", "filename")
_SUFFIXES = (".csv", ".tsv")
# The columns that `sources.csv` fills itself; a label of that name could not be told from them.
_TAKEN = ("index", "path", "sha256", "width", "height", "split", *_FILE_COLUMNS)


def _decode(path: Path) -> str:
    """The table's text: UTF-8 or UTF-16 by its mark, else UTF-8, else Windows' Western European."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImpastoError(f"cannot read {path}: {error.strerror or error}") from error
    marked = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ["utf-16"] if marked else ["utf-8-sig", "cp1252"]:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ImpastoError(f"{path} is not text in UTF-8, UTF-16 or Windows-1252; save it as UTF-8")


def _rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header (small letters, trimmed) and rows; commas, semicolons or tabs, as the header has."""
    text = _decode(path)
    header_line = text.partition("\n")[0]
    delimiter = max(",;\t", key=header_line.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise ImpastoError(f"{path} is not a readable table: {error}") from error
    if not rows:
        raise ImpastoError(f"{path} is empty; its first line names the columns, such as file,style")
    return [tidy(name).lower() for name in rows[0]], rows[1:]


def _file_column(header: list[str]) -> int | None:
    return next((header.index(name) for name in _FILE_COLUMNS if name in header), None)


def _tables(folder: Path) -> list[Path]:
    """`metadata.csv` (or `.tsv`) if it is there, else every table with a column of files."""
    named = [folder / f"metadata{suffix}" for suffix in _SUFFIXES]
    found = [path for path in named if path.is_file()]
    if found:
        return found[:1]
    others = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in _SUFFIXES]
    return [path for path in others if path.is_file() and _has_files(path)]


def _has_files(path: Path) -> bool:
    try:
        return _file_column(_rows(path)[0]) is not None
    except ImpastoError:
        return False


def claims(source: Path, labels: tuple[str, ...] | None) -> bool:
    """A table itself, or a folder that has one at its top."""
    if source.is_file():
        return source.suffix.lower() in _SUFFIXES
    return source.is_dir() and bool(_tables(source))


def _columns(path: Path, header: list[str], labels: tuple[str, ...]) -> list[int]:
    """The positions of the label columns.

    Raises:
        ImpastoError: an unknown column; the message lists the valid ones.
    """
    valid = [name for name in header if name and name not in _TAKEN]
    for name in labels:
        if name.lower() not in valid:
            raise ImpastoError(
                f"unknown label column '{name}' in {path}; there is {choices(valid)}"
            )
    return [header.index(name.lower()) for name in labels]


def read(source: Path, labels: tuple[str, ...] | None) -> Listing:
    """List what is both in the table and in the folder; the rest is left out with its reason.

    Raises:
        ImpastoError: the table cannot be read, has no column of files, or lacks a label column.
    """
    tables = [source] if source.is_file() else _tables(source)
    if len(tables) > 1:
        names = choices([path.name for path in tables])
        raise ImpastoError(f"several tables in {source}: {names}; give one of them as SOURCE")
    table = tables[0]
    header, rows = _rows(table)
    file_column = _file_column(header)
    if file_column is None:
        raise ImpastoError(f"{table} has no column 'file'; it has {choices(header)}")
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise ImpastoError(f"{table} has two columns '{twice[0]}'; rename one of them")
    labels = labels or ()
    label_columns = _columns(table, header, labels)
    about_columns = {
        name: header.index(spelling)
        for name in ABOUT
        for spelling in (name, {"licence": "license"}.get(name, name))
        if spelling in header
    }

    listing = Listing("a folder with a table", fields=tuple(name.lower() for name in labels))
    folder = table.parent
    on_disk = {tidy(relative): (path, relative) for path, relative in pictures(folder, listing)}
    other_files = {tidy(relative): reason for relative, reason in listing.left_out}
    first_line: dict[str, int] = {}
    for line, row in enumerate(rows, start=2):
        if not any(cell.strip() for cell in row):
            continue
        cells = [tidy(cell) for cell in row] + [""] * (len(header) - len(row))
        name = str(PurePosixPath(cells[file_column].replace("\\", "/")))
        if not cells[file_column]:
            listing.left_out.append((f"row {line} of {table.name}", "no file named in its row"))
        elif name in first_line:
            reason = f"listed again: row {line}; row {first_line[name]} counts"
            listing.left_out.append((name, reason))
        elif name in on_disk:
            first_line[name] = line
            path, relative = on_disk[name]
            about = {key: cells[column] for key, column in about_columns.items() if cells[column]}
            picked = tuple(cells[column] for column in label_columns)
            listing.entries.append(Entry(path, relative, picked, about))
        elif name not in other_files:
            listing.left_out.append((name, f"listed but missing: row {line}"))
    for name, (_, relative) in on_disk.items():
        if name not in first_line:
            listing.left_out.append((relative, f"not listed in {table.name}"))
    # The order of the table may change without the pictures changing; that of the paths is stable.
    listing.entries.sort(key=lambda entry: entry.relative)
    if not labels:
        could = [name for name in header if name and name not in (*_TAKEN, "title", "year")]
        could = [name for name in could if name not in ("licence", "license")]
        if could:
            listing.notes.append(
                f"no labels were asked for; --labels takes columns of the table: {choices(could)}"
            )
    return listing
