"""Tables as text files: their encoding, their header, their rows. One reader for all tables of
users: beside pictures, of addresses, ArtGAN's lists, lists of merges.

It detects the encoding; the delimiter (comma, semicolon, tab, bar, or that of Excel's `sep=` line);
the header's line; and the **key**, the column that identifies rows, such as a file name. Header and
delimiter are those that give a key. `delimited.py` splits the rows.
"""

import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from impasto.delimited import Shape, Splitter
from impasto.errors import ImpastoError
from impasto.files import refuse_pointer
from impasto.formatting import counted

MARKS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""The delimiters that are tried, the usual ones first."""
SEPARATORS = "columns are separated by commas, semicolons, tabs or bars"
"""For messages about a table of one column."""
LONGEST = 32_767
"""Most characters of a cell: Excel's limit."""
_HEADER_LINES = 20
"""How many of the first non-blank lines may be the header."""
_SAMPLE = 50
"""Number of rows in the search for the key."""
_LOOKED_AT = 1_000
"""Number of lines that these rows are taken from."""
_MOST_NAMED = 20
_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_NO_TEXT = (
    (b"PK\x03\x04", b"xl/", "is an Excel workbook: save it as CSV"),
    (b"PK\x03\x04", b"opendocument", "is an OpenDocument spreadsheet: save it as CSV"),
    (b"PK\x03\x04", b"", "is a zip archive: unpack it"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", "is an Excel workbook: save it as CSV"),
    (b"\x1f\x8b", b"", "is compressed (gzip): unpack it"),
    (b"PAR1", b"", "is parquet: call it .parquet"),
    (b"%PDF", b"", "is a PDF document: save the table as CSV"),
)
"""By first bytes of a file, and further bytes in it: what the file is."""
_PAGE = re.compile(rb"\s*<(!doctype html|html|table)\b", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


def tidy(text: str) -> str:
    """Text normalised for comparison and storage: composed Unicode (NFC), without outer blanks."""
    return unicodedata.normalize("NFC", text).strip()


def squeezed(name: str) -> str:
    """A column's name normalised for case, blanks, underscores and hyphens."""
    return re.sub(r"[\s_-]+", "", name.casefold())


def shown(names: Iterable[str]) -> str:
    """Names for a message, each short and printable; `none` if there are none."""
    short = [
        "".join(letter if letter.isprintable() else "?" for letter in name[:40]) for name in names
    ]
    more = f" and {len(short) - _MOST_NAMED:,} more" if len(short) > _MOST_NAMED else ""
    return (", ".join(short[:_MOST_NAMED]) + more) if short else "none"


# --- Encoding --------------------------------------------------------------------------------------


def _unmarked_utf16(content: bytes) -> str | None:
    """The byte order of UTF-16 text without a mark: every other byte of Latin letters is zero."""
    even, odd = content[0:4096:2].count(0), content[1:4096:2].count(0)
    most = max(even, odd)
    if len(content) % 2 or most * 5 < min(len(content), 4096) / 2 or min(even, odd) * 10 > most:
        return None
    return "utf-16-be" if even > odd else "utf-16-le"


def _by_lines(content: bytes, place: str) -> tuple[str, list[str]]:
    """Text that is not UTF-8: Windows-1252, at least in the lines that are not UTF-8."""
    if content.isascii():
        return content.decode(), []
    lines, others, in_utf8 = [], 0, 0
    for line in content.split(b"\n"):
        try:
            lines.append(line.decode("utf-8"))
            in_utf8 += not line.isascii()
        except UnicodeDecodeError:
            others += 1
            lines.append(line.decode("cp1252"))
    if not in_utf8:
        what = "is not in UTF-8 and was read as Windows-1252 (Western European)"
    else:
        what = f"is in UTF-8 but for {counted(others, 'line')}, read as Windows-1252 (Western European)"
    return "\n".join(lines), [
        f"{place} {what}; save it as UTF-8 if letters with accents come out wrong"
    ]


def decoded(content: bytes, place: str) -> tuple[str, list[str]]:
    """The text of a file, with `\\n` between lines, and a note on its encoding if needed.

    UTF-8; UTF-16 with or without a mark; else Windows' Western European.

    Raises:
        ImpastoError: it is no text, such as an Excel workbook or a Git LFS pointer, or in another
            encoding.
    """
    refuse_pointer(place, content)
    for beginning, inside, what in _NO_TEXT:
        if content.startswith(beginning) and inside in content:
            raise ImpastoError(f"{place} {what}")
    if _PAGE.match(content):
        raise ImpastoError(f"{place} is a web page (HTML): save the table as CSV")
    notes: list[str] = []
    try:
        if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            text = content.decode("utf-16")
        elif wide := _unmarked_utf16(content):
            text = content.decode(wide)
        else:
            try:
                text = content.decode("utf-8-sig")
            except UnicodeDecodeError:
                text, notes = _by_lines(content.removeprefix(b"\xef\xbb\xbf"), place)
    except UnicodeDecodeError as error:
        raise ImpastoError(
            f"{place} is not text in UTF-8, UTF-16 or Windows-1252; save it as UTF-8"
        ) from error
    if len(_CONTROL.findall(text[:4096])) > 8:
        raise ImpastoError(f"{place} is no text; save the table as CSV in UTF-8")
    return re.sub(r"\r\n?", "\n", text.removeprefix("\ufeff")), notes


# --- Tables ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Key:
    """How to find the key column."""

    names: tuple[str, ...]
    """Possible column names (`squeezed`), the likeliest first."""
    looks: Callable[[str], bool]
    """Whether a cell may be a key."""
    there: Callable[[str], bool]
    """Whether a cell is certainly a key, so that its column needs no name."""
    example: str
    """A header, for messages."""


@dataclass(frozen=True)
class Record:
    """A usable row."""

    at: str
    """Its place, as in `Row.at`."""
    cells: dict[str, str]
    """Cells by column, without outer blanks."""


@dataclass(frozen=True)
class Unreadable:
    """An unusable row."""

    at: str
    key: str
    """Its probable key; may be blank or wrong."""
    why: str


@dataclass
class Table:
    """A parsed table."""

    name: str
    columns: list[str]
    """Lower-case names, in their order."""
    key: str | None = None
    """The key column."""
    by_cells: bool = False
    """Whether the key was found by its cells, not its name."""
    rows: list[Record] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    too_long: list[str] = field(default_factory=list)
    """Column and row of each cell that was too long."""

    def add(self, at: str, cells: dict[str, str]) -> None:
        """Add a row; cells that are too long become blank."""
        for column, cell in cells.items():
            if len(cell) > LONGEST:
                cells[column] = ""
                self.too_long.append(f"'{shown([column])}' in {at}")
        self.rows.append(Record(at, cells))

    def finish(self) -> None:
        """Add the notes on all rows."""
        if self.by_cells:
            self.notes.append(
                f"{self.name}: column '{shown([self.key or ''])}' says which picture is meant"
            )
        if self.too_long:
            self.notes.append(
                f"{self.name}: {counted(len(self.too_long), 'cell')} of more than {LONGEST:,} "
                f"characters taken as blank, such as {self.too_long[0]}"
            )


def filled(cells: Sequence[str]) -> int:
    """The number of cells without trailing blank ones."""
    return max((number for number, cell in enumerate(cells, start=1) if cell.strip()), default=0)


def _cell_count(cells: Sequence[str], width: int) -> int:
    """The number of cells in a row; blank ones beyond the columns do not count."""
    return len(cells) if len(cells) <= width else max(filled(cells), width)


def choose_key(columns: Sequence[str], rows: Sequence[Sequence[str]], key: Key) -> tuple[int, bool]:
    """The index of the key column (-1: none), and whether it was found by its cells only.

    The first of the key's names counts whose column has at least half of its cells like keys;
    without any of these names, the only column in which nearly all cells are keys.
    """

    def hits(column: int, of_kind: Callable[[str], bool]) -> int:
        return sum(of_kind(tidy(row[column]).strip('"')) for row in rows if column < len(row))

    names = [squeezed(column) for column in columns]
    named = [names.index(name) for name in key.names if name in names]
    if named:
        good = (column for column in named if rows and 2 * hits(column, key.looks) >= len(rows))
        return next(good, named[0]), False
    if any(map(key.looks, columns)):  # These cells are no column names.
        return -1, False
    several = sum(map(bool, columns)) > 1
    good_ones = [
        column
        for column, name in enumerate(columns)
        if name
        and (several or not set(name) & set(MARKS))
        and rows
        and 10 * hits(column, key.there) >= 9 * len(rows)
    ]
    return (good_ones[0], True) if len(good_ones) == 1 else (-1, False)


@dataclass(frozen=True)
class _TableLayout:
    """A possible layout of a table: its header and delimiter."""

    delimiter: str
    at: int
    """The header's line, from 0."""
    header: list[str]
    first: int
    """The line below it."""
    key: int
    by_cells: bool
    hits: int
    """The number of sampled rows that are whole and have a plausible key."""
    sure: bool
    """Whether most whole rows have such a key."""

    @property
    def rank(self) -> tuple[bool, bool, bool, int, int]:
        named = self.key >= 0 and not self.by_cells
        return self.sure and named, self.sure, named, self.hits, filled(self.header)


def _table_layout(
    splitter: Splitter, delimiter: str, at: int, full: list[int], key: Key, row_names: bool = False
) -> _TableLayout:
    """The layout with a header in this line.

    Args:
        full: the lines that are not blank.
        row_names: whether rows begin with a number that the header lacks, as from R's
            `write.table`.
    """

    def names_something(cells: list[str]) -> bool:
        return any(key.looks(tidy(cell)) for cell in cells)

    cells, taken = splitter.peek(at, names_something)[0]
    header = [""] * row_names + [tidy(cell).strip('"') for cell in cells]
    width = filled(header)
    first = below = at + taken
    rows: list[list[str]] = []
    for line in full:
        if line >= below and len(rows) < _SAMPLE:
            ways = splitter.peek(line, names_something)
            whole = [way for way in ways if _cell_count(way[0], width) == width]
            below = line + (whole or ways)[0][1]
            rows += [cells for cells, _ in whole[:1]]
    column, by_cells = choose_key(header, rows, key)
    hits = sum(key.looks(tidy(row[column]).strip('"')) for row in rows if 0 <= column < len(row))
    sure = hits > 0 and 2 * hits >= len(rows)
    if row_names and [row[0] for row in rows] != [str(n) for n, _ in enumerate(rows, start=1)]:
        return _TableLayout(delimiter, at, header, first, -1, False, 0, False)
    return _TableLayout(delimiter, at, header, first, column, by_cells, hits, sure)


def _find_layout(
    text: str, key: Key, passed_over: Callable[[str], bool]
) -> tuple[_TableLayout, int]:
    """The best layout, and the number of lines at the beginning that a spreadsheet does not count."""
    lines = text.split("\n", _LOOKED_AT)[:_LOOKED_AT]
    full = [n for n, line in enumerate(lines) if line.strip() and not passed_over(line)]
    declared = _SEPARATOR.fullmatch(lines[full[0]].strip(" \n")) if full else None
    full = full[1:] if declared else full
    if not full:
        raise ImpastoError(f"is empty; its first line names the columns, such as {key.example}")
    beginning = "\n".join(lines)
    splitters = {mark: Splitter(beginning, mark) for mark in (declared[1] if declared else MARKS)}
    likely: _TableLayout | None = None
    for at in full[:_HEADER_LINES]:
        layouts = [
            _table_layout(splitter, mark, at, full, key) for mark, splitter in splitters.items()
        ]
        if not any(layout.sure for layout in layouts):
            numbered = [
                _table_layout(splitter, mark, at, full, key, True)
                for mark, splitter in splitters.items()
            ]
            layouts += [layout for layout in numbered if layout.sure]
        best = max(layouts, key=lambda layout: layout.rank)
        if best.sure and not best.by_cells:
            return best, int(declared is not None)
        if likely is None and best.key >= 0:
            likely = best
        if at == full[0]:  # Undecided: the most frequent delimiter in the first line.
            first = max(layouts, key=lambda layout: len(layout.header))
    return likely or first, int(declared is not None)


def _remedy(delimiter: str, too_many: bool) -> str:
    """Advice for a row with too many or too few cells."""
    if too_many:
        mark = MARKS.get(delimiter, f"'{delimiter}'")
        return f"quote cells with {mark} in them"
    return "give it a cell for each column, blank or not"


def _shape(layout: _TableLayout, key: Key) -> Shape:
    width = filled(layout.header)

    def fits(cells: list[str]) -> bool:
        return _cell_count(cells, width) == width

    def could_be_row(cells: list[str]) -> bool:
        about = tidy(cells[layout.key]) if 0 <= layout.key < len(cells) else ""
        # If keys do not look like file names, any single word may be one.
        return (bool(about) and key.looks(about.strip('" '))) or (
            fits(cells) and (not about or (not layout.sure and " " not in about))
        )

    def named_from(cells: list[str], first: int) -> bool:
        return layout.key >= first and any(
            key.looks(tidy(cell).strip('" ')) for cell in cells[first:]
        )

    return Shape(fits, could_be_row, named_from)


def read_delimited(
    text: str, name: str, key: Key, passed_over: Callable[[str], bool] = lambda line: False
) -> Table:
    """Parse a table of delimited text.

    Args:
        text: as `decoded` gives it.
        name: of the table, for messages.
        passed_over: whether a line is to be skipped, such as a comment.

    Raises:
        ImpastoError: it is empty, has a column twice, or begins with a row; without the name.
    """
    layout, no_rows = _find_layout(text, key, passed_over)
    columns = [sys.intern(cell.lower()) for cell in layout.header]
    twice = sorted({column for column in columns if column and columns.count(column) > 1})
    if twice:
        raise ImpastoError(f"has two columns '{shown(twice[:1])}'; rename one of them")
    about = columns[layout.key] if layout.key >= 0 else None
    if about is None and any(map(key.looks, layout.header)):
        raise ImpastoError(
            f"begins with a row ({shown(layout.header[:3])}); put a line above it that names the "
            f"columns, such as {key.example}"
        )
    table = Table(name, [column for column in columns if column], about, layout.by_cells)
    width = filled(columns)
    shape = _shape(layout, key)
    splitter = Splitter(text, layout.delimiter, passed_over)
    for row in splitter.rows(shape, layout.first, layout.at + 2 - no_rows):
        tidied = list(map(tidy, row.cells))
        cells = {column: cell for column, cell in zip(columns, tidied, strict=False) if column}
        if row.fault:
            why = row.fault.format(at=f"{row.at} of {name}")
            seeming = cells.get(about or "", "").strip('"')
            table.unreadable.append(Unreadable(row.at, seeming, why))
        elif shape.fits(tidied):
            if any(cells.values()):
                table.add(row.at, cells)
        elif any(tidied):
            found = _cell_count(tidied, width)
            why = (
                f"{row.at} of {name} has {counted(found, 'cell')} where there are "
                f"{counted(width, 'column')}; {_remedy(layout.delimiter, found > width)}"
            )
            table.unreadable.append(Unreadable(row.at, cells.get(about or "", ""), why))
    table.finish()
    return table
