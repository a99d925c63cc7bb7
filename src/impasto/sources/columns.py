"""Read a picture's classes, title, artist and other descriptions from the columns of a table."""

import re
from collections import Counter
from collections.abc import Sequence

from impasto.errors import ImpastoError
from impasto.formatting import counted
from impasto.sources.listing import known
from impasto.sources.trees import tidy
from impasto.tabular import SEPARATORS, shown, squeezed

_FILES = """
file filename filepath path imagepath imgpath relativepath image img imagefile imagefilename imagename
imgname imgfile imgfilename picture picturefile picturename photo photofile photoname fname files images
"""
_IDS = "imageid imgid pictureid photoid imageindex fileid objectid id key"
FILE_COLUMNS = (*_FILES.split(), *_IDS.split())
"""Names of columns that may hold file names, in the form of `tabular.squeezed`, the likeliest first."""
IDS = frozenset(_IDS.split())
"""Those of them that may also identify other things than files."""
CERTAIN = frozenset({"file", "filename"})
"""A table with one of these columns is a table about files."""
COMPUTED = ("index", "path", "sha256", "width", "height", "split")
"""Columns of `sources.csv` that packing computes. A label field may not have their names."""
_NO_LABELS = frozenset({"file", "filename", "filepath", "path", "imagepath", "image"})
_SYNONYMS = {
    "title": ("name",),
    "artist": ("author", "artist_name", "creator", "author.name", "author.username", "user.name"),
    "year": ("date",),
    "licence": ("license", "rights"),
    "source": ("source_url", "page", "url", "link"),
}
"""By column of `sources.csv`: other names of it, which are used if no column has its own name."""
NO_CLASS = frozenset(
    {
        *COMPUTED,
        "file",
        "file_name",
        "filename",
        "filepath",
        "file_path",
        "image_path",
        "image",
    }.union(*((name, *_SYNONYMS[name]) for name in ("title", "year", "licence", "source")))
)
"""Names of columns that are never proposed as labels."""
_SEVERAL = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")


def label_columns(place: str, columns: Sequence[str], labels: tuple[str, ...]) -> list[str]:
    """The column of each label field.

    It is the column of the same name; else the only column of this name inside an object (`author.name`
    for `name`); else the only column whose name differs only by blanks and underscores.

    Args:
        place: the table, for messages.
        columns: names of its columns, in lower case.
        labels: names of the label fields.

    Raises:
        ImpastoError: a label field has no column; the message lists the columns.
    """
    valid = [name for name in columns if name not in COMPUTED and squeezed(name) not in _NO_LABELS]
    found = []
    for label in labels:
        name = label.lower()
        inner = [column for column in valid if column.endswith(f".{name}")]
        inner = inner or [column for column in valid if squeezed(column) == squeezed(name)]
        if name not in valid and len(inner) != 1:
            others = "" if columns else f"; {SEPARATORS}"
            raise ImpastoError(
                f"unknown label column '{label}' in {place}; there is {shown(sorted(valid))}{others}"
            )
        found.append(name if name in valid else inner[0])
    return found


def _first(cell: str) -> tuple[str, bool]:
    """The first class in a cell such as `a|b`, `["a", "b"]` or `['a']`, and whether there are more."""
    if cell.startswith("[") and cell.endswith("]"):
        several = [one or other for one, other in _SEVERAL.findall(cell)]
        several = several or [part.strip() for part in cell[1:-1].split(",")]
    else:
        several = cell.split("|")
    several = [" ".join(part.split()) for part in map(tidy, several) if part]
    return (several[0], len(several) > 1) if several else ("", False)


def about_of(
    cells: dict[str, str], passed_over: set[str], strings: dict[str, str]
) -> dict[str, str]:
    """The descriptions of a picture, for `Entry.about`: the cells of its row that are known, by column.
    `title`, `artist`, ... are filled from columns of other names if needed.

    Args:
        cells: the row.
        passed_over: columns that are left out.
        strings: equal texts, each kept once to save memory; it is extended.
    """
    about = {
        column: strings.setdefault(cell, cell)
        for column, cell in cells.items()
        if cell and column not in passed_over and known(cell, column)
    }
    for name, synonyms in _SYNONYMS.items():
        if name not in about:
            about.update((name, about[column]) for column in synonyms[::-1] if column in about)
    return about


class LabelColumns:
    """Reads classes from the label columns, and collects notes on them.

    Args:
        columns: by label field: its column.
    """

    def __init__(self, columns: dict[str, str]) -> None:
        self.columns = columns
        self.several = {name: Counter[str]() for name in columns}
        """By label field: the cells with several classes."""
        self.unknown = {name: Counter[str]() for name in columns}
        """By label field: the cells that mean unknown, such as `n/a`."""

    def of(self, cells: dict[str, str], strings: dict[str, str]) -> tuple[str, ...]:
        """The class of a row in each label field; blank if it is unknown. See `about_of`."""
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
        """Notes on cells with several classes and on cells that mean unknown, for the rows so far."""
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
