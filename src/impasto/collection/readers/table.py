"""Pictures with a table beside them: a row a picture, a column for its file, others for what is known.

CSV and TSV as spreadsheets write them, and JSON Lines (an object a line). What holds:

- `metadata.csv`, `.tsv` or `.jsonl`, in any folder, tells of the pictures in that folder and below, as
  Hugging Face's ImageFolder has it, and of none elsewhere; where there is none, the only table at the
  top that has files in it; or the table that is given as SOURCE.
- Files are named in a column file, file_name, filename, filepath, file_path, path, image_path or image,
  the first that is there; by paths from the table's folder, or so that only one can be meant
  (`naming.py`).
- An object within an object gives columns such as `labels.style`, which `--labels style` finds as well.
- A row of CSV or TSV has a cell for each column. In one that has more or fewer, as after a comma without
  quotes, nobody can tell which cell is which, so its picture is left out.
- A picture has one class in a field: of `portrait|landscape`, or a list, the first counts.
- What is blank, or only says that nobody knows (`listing.known` lists how), is not known.
- A column such as `split` or `is_test` says what is held out (`heldout.py`); if there is none, folders
  train, val and test do.
"""

import csv
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from impasto.collection.folders import layout
from impasto.collection.heldout import hold_out
from impasto.collection.listing import (
    ABOUT,
    PICTURE_SUFFIXES,
    Listing,
    could_be_labels,
    entry_of,
    known,
    pictures,
    read_from,
    suffix_of,
)
from impasto.collection.naming import find_named, naming_note, plain
from impasto.collection.trees import Source, Tree, read_text, tidy
from impasto.errors import ImpastoError, choices
from impasto.words import counted

ORDER = 10

_CERTAIN = ("file", "file_name", "filename")
"""A table with such a column is about files."""
_FILE_COLUMNS = (*_CERTAIN, "filepath", "file_path", "path", "image_path", "image")
_SUFFIXES = (".csv", ".tsv", ".jsonl")
# The columns that `sources.csv` fills itself; a label of that name could not be told from them.
_TAKEN = ("index", "path", "sha256", "width", "height", "split")
_ADDRESSES = ("url", "image_url", "picture_url", "link")
_SYNONYMS = {
    "title": ("name",),
    "artist": ("author", "artist_name", "creator"),
    "year": ("date",),
    "licence": ("license", "rights"),
    "source": ("source_url", "page", "url", "link"),
}
"""For what `sources.csv` says: columns that are taken for it where there is none of its own name."""
_NO_CLASS = frozenset(
    {*_TAKEN, *_FILE_COLUMNS}.union(
        *((name, *_SYNONYMS[name]) for name in ("title", "year", "licence", "source"))
    )
)
_SEVERAL = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")


@dataclass
class _Table:
    name: str
    columns: list[str]
    """In small letters, as they come."""
    rows: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Number in the table, and the cells that say anything, by column."""
    unreadable: list[tuple[int, str, str]] = field(default_factory=list)
    """Number of a row, the file that it seems to name, if any, and what is wrong with it."""

    @property
    def folder(self) -> str:
        """Where it lies, with a slash at the end; blank at the top."""
        return self.name[: self.name.rfind("/") + 1]

    @property
    def files(self) -> str | None:
        """The column that names files."""
        return next((name for name in _FILE_COLUMNS if name in self.columns), None)


def _filled(cells: list[str]) -> int:
    """How many cells there are without the blank ones at the end."""
    return max((number for number, cell in enumerate(cells, start=1) if cell), default=0)


def _remedy(delimiter: str, too_many: bool) -> str:
    """What to do with a row of too many cells, or of too few."""
    if too_many:
        marks = {",": "commas", ";": "semicolons", "\t": "tabs"}[delimiter]
        return f"quote cells with {marks} in them"
    return "give it a cell for each column, blank or not"


def _read_csv(name: str, place: str, text: str) -> _Table:
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        columns = [sys.intern(tidy(cell).lower()) for cell in next(reader, [])]
        table = _Table(name, [column for column in columns if column])
        width = _filled(columns)
        for number, row in enumerate(reader, start=2):
            tidied = list(map(tidy, row))
            cells = {key: cell for key, cell in zip(columns, tidied, strict=False) if key}
            told = max(_filled(tidied), min(len(row), width))
            if told == width and any(cells.values()):
                table.rows.append((number, cells))
            elif told != width and any(tidied):
                what = (
                    f"row {number} of {name} has {counted(told, 'cell')} where there are "
                    f"{counted(width, 'column')}; {_remedy(delimiter, told > width)}"
                )
                table.unreadable.append((number, cells.get(table.files or "", ""), what))
    except csv.Error as error:
        raise ImpastoError(f"{place} is not a readable table: {error}") from error
    if not columns:
        raise ImpastoError(
            f"{place} is empty; its first line names the columns, such as file,style"
        )
    twice = sorted({column for column in columns if column and columns.count(column) > 1})
    if twice:
        raise ImpastoError(f"{place} has two columns '{twice[0]}'; rename one of them")
    return table


def _cells(value: object, column: str = "") -> Iterator[tuple[str, str]]:
    """Column and text of all that is in a value of JSON."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _cells(inner, f"{column}.{key}" if column else str(key))
    elif isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        yield column, "|".join(text for item in value for _, text in _cells(item) if text)
    elif isinstance(value, str):
        # JSON may escape half of a letter, which no file can hold.
        yield column, value.encode("utf-8", "replace").decode()
    elif value is not None:
        yield column, json.dumps(value, ensure_ascii=False)


def _read_json_lines(name: str, place: str, text: str) -> _Table:
    table = _Table(name, [])
    columns: dict[str, None] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("no object in braces")
            told = {sys.intern(tidy(key).lower()): tidy(cell) for key, cell in _cells(row)}
        except (ValueError, RecursionError) as error:
            table.unreadable.append((number, "", str(error)))
            continue
        columns |= dict.fromkeys(told)
        table.rows.append((number, told))
    if not table.rows:
        what = "; line {0}: {2}".format(*table.unreadable[0]) if table.unreadable else ""
        raise ImpastoError(
            f'{place} has no line such as {{"file_name": "1.png", "style": "Cubism"}}{what}'
        )
    table.columns = [column for column in columns if column]
    return table


def _read(tree: Tree, name: str) -> _Table:
    """A table as it is.

    Raises:
        ImpastoError: it cannot be read as one.
    """
    text = read_text(tree, name)
    read: Callable[[str, str, str], _Table] = (
        _read_json_lines if suffix_of(name) == ".jsonl" else _read_csv
    )
    return read(name, str(tree.place / name), text)


def _is_metadata(name: str) -> bool:
    return name.rpartition("/")[2].lower() in {f"metadata{suffix}" for suffix in _SUFFIXES}


def _lists_files(tree: Tree, name: str) -> bool:
    """Whether a table of any name is about files: by its columns, or by what the first row has."""
    try:
        table = _read(tree, name)
    except ImpastoError:
        return False
    column = table.files
    if column is None or not table.rows:
        return column in _CERTAIN
    return column in _CERTAIN or suffix_of(table.rows[0][1].get(column, "")) in PICTURE_SUFFIXES


def _tables(tree: Tree) -> list[str]:
    """The names of the tables that count, the nearest to the pictures first."""
    metadata = [name for name in tree.files if _is_metadata(name)]
    if metadata:
        # One a folder: that with a suffix named first above.
        first = {name.rpartition("/")[0]: name for name in sorted(metadata, reverse=True)}
        return sorted(first.values(), key=lambda name: (-name.count("/"), name))
    top = "".join(f"{folder}/" for folder in layout(tree.files).shared)
    others = [name for name in tree.files if suffix_of(name) in _SUFFIXES]
    others = [name for name in others if name.rpartition("/")[0] + "/" in (top, "/")]
    return [name for name in others if _lists_files(tree, name)]


def claims(source: Source, labels: tuple[str, ...] | None) -> bool:
    """A table itself, or a folder or archive with one."""
    if source.file is not None:
        return suffix_of(source.file) in _SUFFIXES
    return bool(_tables(source.tree))


def _label_columns(place: str, columns: list[str], labels: tuple[str, ...]) -> list[str]:
    """The column of each label: of its name, or the only one within an object.

    Raises:
        ImpastoError: there is none; the message lists those there are.
    """
    valid = [name for name in columns if name not in (*_TAKEN, *_FILE_COLUMNS)]
    found = []
    for label in labels:
        name = label.lower()
        inner = [column for column in valid if column.endswith(f".{name}")]
        if name not in valid and len(inner) != 1:
            raise ImpastoError(
                f"unknown label column '{label}' in {place}; there is {choices(valid)}"
            )
        found.append(name if name in valid else inner[0])
    return found


def _first(cell: str) -> tuple[str, bool]:
    """The first of the classes in a cell, and whether there are more: `a|b`, `["a", "b"]`, `['a']`."""
    if cell.startswith("[") and cell.endswith("]"):
        several = [one or other for one, other in _SEVERAL.findall(cell)]
        several = several or [part.strip() for part in cell[1:-1].split(",")]
    else:
        several = cell.split("|")
    several = [" ".join(part.split()) for part in map(tidy, several) if part]
    return (several[0], len(several) > 1) if several else ("", False)


def _about(cells: dict[str, str], passed_over: set[str], strings: dict[str, str]) -> dict[str, str]:
    """All that the columns say, and which of it is a title, an artist, ..."""
    about = {
        column: strings.setdefault(cell, cell)
        for column, cell in cells.items()
        if cell and column not in passed_over and known(cell, column)
    }
    for name, synonyms in _SYNONYMS.items():
        if name not in about:
            about.update((name, about[column]) for column in synonyms[::-1] if column in about)
    return about


class _Classes:
    """The classes in the label columns, and what is to be noted of them."""

    def __init__(self, columns: dict[str, str]) -> None:
        self.columns = columns
        """The column of each label."""
        self.several = {name: Counter[str]() for name in columns}
        self.unknown = {name: Counter[str]() for name in columns}

    def of(self, cells: dict[str, str], strings: dict[str, str]) -> tuple[str, ...]:
        """A row's class in each field; blank where it is not known."""
        classes = []
        for name, column in self.columns.items():
            cell = cells.get(column, "")
            first, more = _first(cell)
            value = known(first, name)
            if more:
                self.several[name][cell] += 1
            if first and not value:
                self.unknown[name][first] += 1
            classes.append(strings.setdefault(value, value))
        return tuple(classes)

    def notes(self) -> list[str]:
        notes = []
        for name, cells in self.several.items():
            if cells:
                notes.append(
                    f"{name}: {counted(cells.total(), 'picture')} of several classes, such as "
                    f"'{next(iter(cells))}'; the first counts"
                )
        for name, words in self.unknown.items():
            if words:
                said = " or ".join(f"'{word}'" for word, _ in words.most_common(3))
                notes.append(
                    f"{name}: {counted(words.total(), 'picture')} of {said}, which counts as not known"
                )
        return notes


def _hold_out(listing: Listing) -> None:
    """Say of each entry whether it is held out: by a column, or by the folders it is in."""
    folders = layout(entry.relative for entry in listing.entries)
    own = [folders.heldout(entry.relative) for entry in listing.entries]
    hold_out(listing, own, folders.notes())


def _with_files(source: Source, listing: Listing) -> list[_Table]:
    """The tables that count, the nearest to the pictures first.

    Raises:
        ImpastoError: one cannot be read, none has a column of files, or it is not clear which counts.
    """
    tree = source.tree
    names = [source.file] if source.file is not None else _tables(tree)
    if len(names) > 1 and not all(map(_is_metadata, names)):
        raise ImpastoError(
            f"several tables in {source.path}: {choices(names)}; give one of them as SOURCE"
        )
    tables = [_read(tree, name) for name in names]
    if all(table.files is None for table in tables):
        table = tables[0]
        others = ", ".join(_FILE_COLUMNS[1:])
        hint = ""
        if any(name in table.columns for name in _ADDRESSES):
            hint = "; impasto fetch TABLE FOLDER gets pictures by their addresses"
        raise ImpastoError(
            f"{tree.place / table.name} has no column 'file' (or {others}); it has "
            f"{choices(table.columns)}{hint}"
        )
    over = [table.name for table in tables if table.files is None]
    if source.file is None:
        over += [name for name in tree.files if _is_metadata(name) and name not in names]
    if over and _is_metadata(names[0]):
        listing.notes.append(
            f"passed over, as it names no files or another table is beside it: {choices(over)}"
        )
    return [table for table in tables if table.files is not None]


def _few(folders: list[str]) -> str:
    """Folders for a note, the first by name where there are many."""
    some = sorted(folders)[:3]
    more = f" and {counted(len(folders) - 3, 'other folder')}" if len(folders) > 3 else ""
    return f"{', '.join(some)}{more}"


def read(source: Source, labels: tuple[str, ...] | None) -> Listing:
    """List what is both in a table and in its folder, and, without labels, what is in no table's
    folder; the rest is left out with its reason.

    Raises:
        ImpastoError: a table cannot be read, has no column of files, or lacks a label column.
    """
    tree = source.tree
    labels = labels or ()
    listing = Listing("a folder with a table", fields=tuple(name.lower() for name in labels))
    tables = _with_files(source, listing)
    which = str(tree.place / tables[0].name) if len(tables) == 1 else f"the tables in {source.path}"
    columns = list(dict.fromkeys(column for table in tables for column in table.columns))
    taken = {table.files or "" for table in tables}
    label_columns = _label_columns(which, [name for name in columns if name not in taken], labels)
    classes = _Classes(dict(zip(listing.fields, label_columns, strict=True)))
    passed_over = taken | {name for name in label_columns if name not in ABOUT}
    strings: dict[str, str] = {}

    free = {tidy(file.name): file for file in pictures(tree, listing)}
    others = {tidy(name) for name, _ in listing.left_out}
    row_of: dict[str, str] = {}
    for table in tables:
        at = f" of {table.name}" if len(tables) > 1 else ""
        first: dict[str, int] = {}
        for number, cells in table.rows:
            if name := plain(cells.get(table.files or "", "")):
                first.setdefault(name, number)
        below = [name[len(table.folder) :] for name in free if name.startswith(table.folder)]
        found = find_named(first, below)
        meant = set(found.values())
        for number, seeming, reason in table.unreadable:
            path = table.folder + plain(seeming)
            if plain(seeming) not in meant and path in free:
                del free[path]
                others.add(path)
            else:
                path = f"row {number} of {table.name}"
            listing.left_out.append((path, f"row not readable: {reason}"))
        for number, cells in table.rows:
            name = plain(cells.get(table.files or "", ""))
            path = table.folder + name
            if not name:
                reason = "no file named in its row"
                listing.left_out.append((f"row {number} of {table.name}", reason))
            elif first[name] != number:
                reason = f"listed again: row {number}{at}; row {first[name]} counts"
                listing.left_out.append((path, reason))
            elif name in found:
                file = free.pop(table.folder + found[name])
                row_of[path] = f"row {number}{at}"
                about = _about(cells, passed_over, strings)
                picked = classes.of(cells, strings)
                listing.entries.append(entry_of(file, labels=picked, about=about))
            elif path in row_of:
                reason = f"listed again: row {number}{at}; {row_of[path]} counts"
                listing.left_out.append((path, reason))
            elif path not in others:
                listing.left_out.append((path, f"listed but missing: row {number}{at}"))
        listing.notes += naming_note(found, table.name)
    where = tables[0].name if len(tables) == 1 else "any table"
    ruled = tuple(table.folder for table in tables)
    outside = 0
    for path, file in free.items():
        if path.startswith(ruled):
            listing.left_out.append((file.name, f"not listed in {where}"))
        else:
            outside += 1
            listing.entries.append(entry_of(file, labels=("",) * len(listing.fields)))
    if outside:
        folders = [table.folder.rstrip("/") for table in tables]
        listing.notes.append(
            f"{counted(outside, 'picture')} outside of {_few(folders)}: no table tells anything of them"
        )
    # The order of the table may change without the pictures changing; that of the paths is stable.
    listing.entries.sort(key=lambda entry: entry.relative)
    listing.notes += classes.notes()
    _hold_out(listing)
    abouts = [entry.about for entry in listing.entries]
    if not labels and (could := could_be_labels(abouts, _NO_CLASS)):
        listing.notes.append(
            f"no labels were asked for; --labels takes columns of the table: {choices(could)}"
        )
    return read_from(tree, listing)
