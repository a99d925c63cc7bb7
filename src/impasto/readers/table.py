"""Pictures with a table beside them: a row for each picture, a column for its file, others for
labels and descriptions.

CSV and TSV (`tabular.py`), JSON Lines and JSON (`json_tables.py`). Rules:

- `metadata.csv`, `.tsv`, `.jsonl` or `.json`, in any folder, describes the pictures in that folder
  and below only, as in Hugging Face's ImageFolder. Without one, the only table at the top that
  names files counts; or the table given as SOURCE.
- Files are named in a column such as file, File Name, img_path or image_id
  (`columns.FILE_COLUMNS`), or else in the only column with pictures' names; by paths from the
  table's folder, or by any name that fits one file only (`file_names.py`).
- An object within an object gives columns such as `labels.style`, which `--labels style` finds as well.
- A row has a cell for each column. A picture is left out if its row has more or fewer, as after an
  unquoted comma, or an unclosed quote, since its cells are ambiguous.
- A picture has one class in a field: of `portrait|landscape`, or a list, the first counts.
- A cell that is blank or means unknown (`listing.known`) is unknown.
- A column such as `split` or `is_test` decides what is held out (`heldout.py`); without one,
  folders train, val and test do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from impasto.errors import ImpastoError, choices
from impasto.formatting import counted
from impasto.sources.columns import (
    CERTAIN,
    FILE_COLUMNS,
    IDS,
    NO_CLASS,
    LabelColumns,
    about_of,
    label_columns,
)
from impasto.sources.file_names import (
    find_named,
    namesakes,
    naming_note,
    plain,
    short_names,
    spelled,
)
from impasto.sources.folders import layout
from impasto.sources.heldout import hold_out
from impasto.sources.json_tables import read_json, read_json_lines
from impasto.sources.listing import (
    ABOUT,
    PICTURE_SUFFIXES,
    Listing,
    could_be_labels,
    entry_of,
    is_picture,
    pictures,
    read_from,
    suffix_of,
)
from impasto.sources.trees import Source, Tree, decoded_file, tidy
from impasto.tabular import SEPARATORS, Key, Record, Table, read_delimited, shown, squeezed

ORDER = 10

_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json")
_ADDRESSES = frozenset({"url", "imageurl", "imgurl", "pictureurl", "link"})


@dataclass
class _Table:
    """A table and its place."""

    name: str
    read: Table

    @property
    def folder(self) -> str:
        """The table's folder, with a final slash; blank at the top."""
        return self.name[: self.name.rfind("/") + 1]

    def file_of(self, row: Record) -> str:
        """The row's file name, as `plain` gives it; may be blank."""
        return plain(row.cells.get(self.read.key or "", ""))


class _Tables:
    """The tables of a tree, each read on first use."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._read: dict[str, _Table] = {}
        self._short: frozenset[str] | None = None
        self.without_labels: list[str] = []
        """Tables that `names` skipped because others have the labels."""

    def _there(self, cell: str) -> bool:
        """Whether a cell is the name or number of a picture in the tree."""
        if self._short is None:
            tree = self.tree
            files = [file for file in tree.files.values() if is_picture(file, tree)]
            self._short = frozenset(short for file in files for short in short_names(file.name))
        return "://" not in cell and not self._short.isdisjoint(short_names(plain(cell)))

    def _looks(self, cell: str) -> bool:
        """Whether a cell looks like a picture's name, present or not."""
        named = suffix_of(cell) in PICTURE_SUFFIXES and "://" not in cell
        return named or self._there(cell)

    def table(self, name: str) -> _Table:
        """A table, parsed.

        Raises:
            ImpastoError: it cannot be read as one.
        """
        if name not in self._read:
            self._read[name] = self._parsed(name)
        return self._read[name]

    def _parsed(self, name: str) -> _Table:
        text, notes = decoded_file(self.tree, name)
        key = Key(FILE_COLUMNS, self._looks, self._there, "file,style")
        read = {".jsonl": read_json_lines, ".json": read_json}.get(suffix_of(name), read_delimited)
        try:
            table = read(text, name, key)
        except ImpastoError as error:
            raise ImpastoError(f"{self.tree.place / name} {error}") from error
        table.notes[:0] = notes
        return _Table(name, table)

    def _is_metadata(self, name: str) -> bool:
        """Whether a table is metadata by its name; JSON only if it names files too."""
        if name.rpartition("/")[2].lower() not in {f"metadata{suffix}" for suffix in _SUFFIXES}:
            return False
        if suffix_of(name) != ".json":
            return True
        try:
            return self.table(name).read.key is not None
        except ImpastoError:
            return False

    def _names_pictures(self, name: str) -> int:
        """How certainly a table names files: 2 by a file column's name or its first cell, 1 if a
        column of any name has pictures' names, else 0."""
        try:
            table = self.table(name)
        except ImpastoError:
            return 0
        key = table.read.key or ""
        if squeezed(key) in CERTAIN:
            return 2
        if not key or not table.read.rows:
            return 0
        if squeezed(key) in IDS or table.read.by_cells:
            rows = table.read.rows[:100]
            return int(all(self._there(row.cells.get(key, "")) for row in rows))
        return 2 * (suffix_of(table.read.rows[0].cells.get(key, "")) in PICTURE_SUFFIXES)

    def metadata(self) -> list[str]:
        """The metadata tables by name."""
        return [name for name in self.tree.files if self._is_metadata(name)]

    def _has(self, name: str, labels: tuple[str, ...]) -> bool:
        """Whether a table has a column for each label."""
        try:
            label_columns(name, self.table(name).read.columns, labels)
        except ImpastoError:
            return False
        return True

    def names(self, labels: tuple[str, ...] | None) -> list[str]:
        """The tables that count, the nearest to the pictures first."""
        metadata = self.metadata()
        if metadata:
            # One for each folder: the first suffix in the order above.
            rank = {suffix: number for number, suffix in enumerate(_SUFFIXES)}
            metadata.sort(key=lambda name: rank[suffix_of(name)], reverse=True)
            first = {name.rpartition("/")[0]: name for name in metadata}
            return sorted(first.values(), key=lambda name: (-name.count("/"), name))
        top = "".join(f"{folder}/" for folder in layout(self.tree.files).shared)
        others = [name for name in self.tree.files if suffix_of(name) in _SUFFIXES[:3]]
        others = [name for name in others if name.rpartition("/")[0] + "/" in (top, "/")]
        sure = {name: self._names_pictures(name) for name in others}
        certain = [name for name in others if sure[name] == 2]
        perhaps = [name for name in others if sure[name] == 1]
        # As test.csv and sample_submission.csv beside train.csv.
        found = certain or perhaps
        usable = [name for name in found if self._has(name, labels or ())] or found
        self.without_labels = [name for name in found if name not in usable]
        return usable if certain or len(usable) == 1 else []


def _tables_of(source: Source) -> _Tables:
    """The tables of a source, read once for `claims` and `read`."""
    tables: _Tables = source.kept.setdefault(__name__, _Tables(source.tree))
    return tables


def claims(source: Source, labels: tuple[str, ...] | None) -> bool:
    """A table, or a folder or archive with one."""
    if source.file is not None:
        return suffix_of(source.file) in _SUFFIXES
    return bool(_tables_of(source).names(labels))


def _hold_out(listing: Listing) -> None:
    """Mark the entries that are held out, by a column or by their folders."""
    folders = layout(entry.relative for entry in listing.entries)
    own = [folders.heldout(entry.relative) for entry in listing.entries]
    hold_out(listing, own, folders.notes())


def _with_files(source: Source, listing: Listing, labels: tuple[str, ...]) -> list[_Table]:
    """The tables that count, the nearest to the pictures first.

    Raises:
        ImpastoError: one cannot be read, none has a column of files, or it is not clear which counts.
    """
    there = _tables_of(source)
    names = [source.file] if source.file is not None else there.names(labels)
    metadata = there.metadata() if source.file is None else []
    if len(names) > 1 and not metadata:
        raise ImpastoError(
            f"several tables in {source.path}: {choices(names)}; give one of them as SOURCE"
        )
    tables = [there.table(name) for name in names]
    if all(table.read.key is None for table in tables):
        raise ImpastoError(_without_files(source.tree, tables[0]))
    over = [table.name for table in tables if table.read.key is None]
    over += [name for name in metadata if name not in names]
    if over:
        listing.notes.append(
            f"passed over, as it names no files or another table is beside it: {choices(over)}"
        )
    if there.without_labels:
        listing.notes.append(
            f"passed over, as {choices(names)} has the labels: {choices(there.without_labels)}"
        )
    tables = [table for table in tables if table.read.key is not None]
    for table in tables:
        listing.notes += table.read.notes
    return tables


def _without_files(tree: Tree, table: _Table) -> str:
    """The error for a table that has no column of files."""
    columns = table.read.columns
    hint = f"; {SEPARATORS}" if len(columns) == 1 else ""
    if any(squeezed(name) in _ADDRESSES for name in columns):
        hint = "; impasto fetch TABLE FOLDER gets pictures by their addresses"
    return (
        f"{tree.place / table.name} has no column 'file' (or file_name, path, image, image_id ...) that "
        f"says which picture a row is about; it has {shown(sorted(columns))}{hint}"
    )


def _few(folders: list[str]) -> str:
    """Folders for a note, the first by name where there are many."""
    some = sorted(folders)[:3]
    more = f" and {counted(len(folders) - 3, 'other folder')}" if len(folders) > 3 else ""
    return f"{', '.join(some)}{more}"


class _Pictures:
    """The pictures of a tree, matched to tables one by one, the nearest table first."""

    def __init__(
        self, tree: Tree, listing: Listing, classes: LabelColumns, passed_over: set[str]
    ) -> None:
        self.listing, self._classes, self._passed_over = listing, classes, passed_over
        self.free = {tidy(file.name): file for file in pictures(tree, listing)}
        """The pictures that no table has taken, by name."""
        self._others = {tidy(name) for name, _ in listing.left_out}
        self._row_of: dict[str, str] = {}
        self._strings: dict[str, str] = {}

    def take(self, table: _Table, at_table: str) -> None:
        """List the pictures in a table's rows; rows that match none are left out with the reason.

        Args:
            at_table: text after a row's number that names the table; blank for a single table.
        """
        listing, first = self.listing, dict[str, str]()
        for row in table.read.rows:
            if name := table.file_of(row):
                first.setdefault(name, row.at)
        below = [n.removeprefix(table.folder) for n in self.free if n.startswith(table.folder)]
        found = find_named(first, below)
        called_so = namesakes(below)
        self._leave_out_unreadable(table, set(found.values()))
        for row in table.read.rows:
            name = table.file_of(row)
            path = table.folder + name
            if not name:
                reason = "no file named in its row"
                listing.left_out.append((f"{row.at} of {table.name}", reason))
            elif first[name] != row.at:
                reason = f"listed again: {row.at}{at_table}; {first[name]} counts"
                listing.left_out.append((path, reason))
            elif name in found:
                file = self.free.pop(table.folder + found[name])
                self._row_of[path] = f"{row.at}{at_table}"
                about = about_of(row.cells, self._passed_over, self._strings)
                picked = self._classes.of(row.cells, self._strings)
                listing.entries.append(entry_of(file, labels=picked, about=about))
            elif path in self._row_of:
                reason = f"listed again: {row.at}{at_table}; {self._row_of[path]} counts"
                listing.left_out.append((path, reason))
            elif path not in self._others:
                several = called_so.get(spelled(name), [])
                reason = f"listed but missing: {row.at}{at_table}"
                if len(several) > 1:
                    reason = (
                        f"listed, but several pictures are called so: {row.at}{at_table}; name the "
                        f"folder too, as in {several[0]} or {several[1]}"
                    )
                listing.left_out.append((path, reason))
        listing.notes += naming_note(found, table.name)

    def _leave_out_unreadable(self, table: _Table, meant: set[str]) -> None:
        """Leave out unreadable rows, under the name of their likely picture if no other row has it."""
        for row in table.read.unreadable:
            name = plain(row.key)
            path = table.folder + name
            if name not in meant and path in self.free:
                del self.free[path]
                self._others.add(path)
            else:
                path = f"{row.at} of {table.name}"
            self.listing.left_out.append((path, f"row not readable: {row.why}"))

    def rest(self, tables: Sequence[_Table]) -> None:
        """Leave out pictures that no row describes, and list those in no table's folder."""
        where = tables[0].name if len(tables) == 1 else "any table"
        ruled = tuple(table.folder for table in tables)
        outside = 0
        for path, file in self.free.items():
            if path.startswith(ruled):
                self.listing.left_out.append((file.name, f"not listed in {where}"))
            else:
                outside += 1
                blank = ("",) * len(self.listing.fields)
                self.listing.entries.append(entry_of(file, labels=blank))
        if outside:
            folders = [table.folder.rstrip("/") for table in tables]
            self.listing.notes.append(
                f"{counted(outside, 'picture')} outside of {_few(folders)}: no table describes them"
            )


def read(source: Source, labels: tuple[str, ...] | None) -> Listing:
    """List pictures that are in a table and its folder and, without labels, those in no table's
    folder; the rest is left out with the reason.

    Raises:
        ImpastoError: a table cannot be read, has no column of files, or lacks a label column.
    """
    tree = source.tree
    labels = labels or ()
    listing = Listing("a folder with a table", fields=tuple(name.lower() for name in labels))
    tables = _with_files(source, listing, labels)
    which = str(tree.place / tables[0].name) if len(tables) == 1 else f"the tables in {source.path}"
    columns = list(dict.fromkeys(column for table in tables for column in table.read.columns))
    taken = {table.read.key or "" for table in tables}
    of_labels = label_columns(which, [name for name in columns if name not in taken], labels)
    classes = LabelColumns(dict(zip(listing.fields, of_labels, strict=True)))
    passed_over = taken | {name for name in of_labels if name not in ABOUT}
    listed = _Pictures(tree, listing, classes, passed_over)
    for table in tables:
        listed.take(table, f" of {table.name}" if len(tables) > 1 else "")
    listed.rest(tables)
    # Sorted by path, so that the table's order does not matter.
    listing.entries.sort(key=lambda entry: entry.relative)
    listing.notes += classes.notes()
    _hold_out(listing)
    abouts = [entry.about for entry in listing.entries]
    if not labels and (could := could_be_labels(abouts, NO_CLASS)):
        listing.notes.append(
            f"no labels were asked for; --labels takes columns of the table: {choices(could)}"
        )
    return read_from(tree, listing)
