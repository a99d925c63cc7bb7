"""A folder with a metadata table: a CSV with a column `file`, and columns for labels, title, ..."""

import csv
import io
from pathlib import PurePosixPath

from impasto.collection.listing import ABOUT, Listing, entry_of, pictures, read_from, suffix_of
from impasto.collection.trees import Source, Tree, read_text, tidy
from impasto.errors import ImpastoError, choices

ORDER = 10

_FILE_COLUMNS = ("file", "file_name", "filename")
_SUFFIXES = (".csv", ".tsv")
# The columns that `sources.csv` fills itself; a label of that name could not be told from them.
_TAKEN = ("index", "path", "sha256", "width", "height", "split", *_FILE_COLUMNS)


def _rows(tree: Tree, name: str) -> tuple[list[str], list[list[str]]]:
    """Header (small letters, trimmed) and rows; commas, semicolons or tabs, as the header has."""
    path, text = tree.place / name, read_text(tree, name)
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


def _tables(tree: Tree) -> list[str]:
    """`metadata.csv` (or `.tsv`) if it is there, else every table with a column of files."""
    found = [f"metadata{suffix}" for suffix in _SUFFIXES if f"metadata{suffix}" in tree.files]
    if found:
        return found[:1]
    others = [name for name in tree.files if "/" not in name and suffix_of(name) in _SUFFIXES]
    return [name for name in others if _has_files(tree, name)]


def _has_files(tree: Tree, name: str) -> bool:
    try:
        return _file_column(_rows(tree, name)[0]) is not None
    except ImpastoError:
        return False


def claims(source: Source, labels: tuple[str, ...] | None) -> bool:
    """A table itself, or a folder that has one at its top."""
    if source.file is not None:
        return suffix_of(source.file) in _SUFFIXES
    return bool(_tables(source.tree))


def _columns(path: str, header: list[str], labels: tuple[str, ...]) -> list[int]:
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


def read(source: Source, labels: tuple[str, ...] | None) -> Listing:
    """List what is both in the table and in the folder; the rest is left out with its reason.

    Raises:
        ImpastoError: the table cannot be read, has no column of files, or lacks a label column.
    """
    tree = source.tree
    tables = [source.file] if source.file is not None else _tables(tree)
    if len(tables) > 1:
        raise ImpastoError(
            f"several tables in {source.path}: {choices(tables)}; give one of them as SOURCE"
        )
    table = str(tree.place / tables[0])
    header, rows = _rows(tree, tables[0])
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
    on_disk = {tidy(file.name): file for file in pictures(tree, listing)}
    other_files = {tidy(relative): reason for relative, reason in listing.left_out}
    first_line: dict[str, int] = {}
    for line, row in enumerate(rows, start=2):
        if not any(cell.strip() for cell in row):
            continue
        cells = [tidy(cell) for cell in row] + [""] * (len(header) - len(row))
        name = str(PurePosixPath(cells[file_column].replace("\\", "/")))
        if not cells[file_column]:
            listing.left_out.append((f"row {line} of {tables[0]}", "no file named in its row"))
        elif name in first_line:
            reason = f"listed again: row {line}; row {first_line[name]} counts"
            listing.left_out.append((name, reason))
        elif name in on_disk:
            first_line[name] = line
            about = {key: cells[column] for key, column in about_columns.items() if cells[column]}
            picked = tuple(cells[column] for column in label_columns)
            listing.entries.append(entry_of(on_disk[name], labels=picked, about=about))
        elif name not in other_files:
            listing.left_out.append((name, f"listed but missing: row {line}"))
    for name, file in on_disk.items():
        if name not in first_line:
            listing.left_out.append((file.name, f"not listed in {tables[0]}"))
    # The order of the table may change without the pictures changing; that of the paths is stable.
    listing.entries.sort(key=lambda entry: entry.relative)
    if not labels:
        could = [name for name in header if name and name not in (*_TAKEN, "title", "year")]
        could = [name for name in could if name not in ("licence", "license")]
        if could:
            listing.notes.append(
                f"no labels were asked for; --labels takes columns of the table: {choices(could)}"
            )
    return read_from(tree, listing)
