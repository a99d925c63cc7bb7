"""The result of a reader: the pictures of a source with their descriptions, and the files left out."""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from impasto.formatting import one_line
from impasto.sources.archives import is_archive
from impasto.sources.file_kinds import BEGINNING, RAW, RAW_SUFFIXES, begins_as_picture
from impasto.sources.trees import File, Tree, UnusableError, readable, tidy, walk

_PICTURES = """
.jpg .jpeg .jpe .jfif .mpo .png .apng .webp .gif .bmp .dib .tif .tiff .avif .avifs .heic .heics .heif
.heifs .hif .jxl .jp2 .j2k .ppm .pgm .pbm .pnm .tga .ico
"""
# Suffixes of files that are often beside pictures. These files are not reported as left out.
_BESIDE = """
.txt .md .rst .csv .tsv .json .jsonl .yaml .yml .xml .html .htm .py .pyc .db .ini .log .url .lnk
.xmp .npy .npz .safetensors
"""
_NOBODY_KNOWS = """
unknown, null, none, nan, n/a, na, undefined, '', "",
<na>, <null>, <none>, <nan>, <unknown>, (null), (none), [null], \\n,
-nan, 1.#ind, -1.#ind, 1.#qnan, -1.#qnan, n.a., n/d, n.d., k.a.,
(blank), (leer), (vide), (vuoto), (vazio), (leeg), (en blanco),
#n/a, #n/a n/a, #na, #n/d, #n/b, #nv, #i/t, #\u043d/\u0434, #yok,
#ref!, #value!, #div/0!, #name?, #null!, #num!, #spill!, #calc!, #field!, #blocked!, #connect!,
#busy!, #error!, #getting_data
"""
_NOT_KNOWN = frozenset(word.strip() for word in _NOBODY_KNOWS.split(","))
"""Values that mean an unknown class, in lower case. People write them, or pandas, databases, JavaScript
and spreadsheets do: for blank cells of pivot tables (in English, German, French, Italian, Portuguese,
Dutch, Spanish) and for errors. A folder of such a name is still a class."""
_NO_WORD = re.compile(
    r"[-\u2013\u2014.\u2026?]+"  # nothing but dashes, dots and question marks
    r"|#[\u00a1\u00bf]?[^\W\d_]+(?:[/_][^\W_]+)*[!?]"  # #BEZUG! #\u00a1DIV/0! #NOMBRE? ...
    r"|Err:\d{3}"  # LibreOffice
    r"|##+"  # a column too narrow for what is in it
)
"""A spreadsheet's error value in any language. It is in capitals, so only capitals match."""
_NOT_READ = (".rar", ".7z")
"""Suffixes of archives that cannot be read."""
PICTURE_SUFFIXES = frozenset(_PICTURES.split())
"""Suffixes of picture files, in lower case."""
_LIKE_A_PICTURE = re.compile(
    rf"(?P<stem>[^/]+)({'|'.join(map(re.escape, _PICTURES.split()))})[^/]*$", re.IGNORECASE
)
"""A name in which something follows a picture's suffix: `.jpg_large`, `.jpg (1)`, `.jpg?w=640`."""
_SIDE_SUFFIXES = frozenset(_BESIDE.split())
ABOUT = ("title", "artist", "year", "licence", "source")
"""Columns of `sources.csv` with descriptions of a picture; `source` is its page or address."""
BY_NAME = "not a picture file by its name"
"""The kind of reason for a file that is left out by its name, without being opened."""

Content = bytes | np.ndarray | UnusableError
"""A picture from a source: a file's bytes, uint8 [H, W, 3], or the reason why there is none."""


@dataclass(frozen=True)
class Entry:
    """A source picture: where it is, and its classes and descriptions."""

    relative: str
    """Its path in the source, with `/` on every system. It identifies the picture in the collection."""
    path: Path | None = None
    """Its file on disk; None if it has no file of its own, and the listing's `contents` gives it."""
    stamp: str = ""
    """A text that changes when the picture does; see `File.stamp`. If it is empty, packing again does
    not notice a change."""
    labels: tuple[str, ...] = ()
    """A class name for each field of the listing; empty where unknown."""
    about: dict[str, str] = field(default_factory=dict)
    """Descriptions by column, for `--where`: some of `ABOUT`, and other columns of the source. No value
    is blank."""
    heldout: bool | None = None
    """Whether the source holds it out; None, for all entries, if the source has no split."""


@dataclass
class Listing:
    """The result of reading a source."""

    kind: str
    """The kind of source in words, for the report and `collection.json`."""
    fields: tuple[str, ...] = ()
    """Names of the label fields."""
    entries: list[Entry] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Path in the source and reason, for files that are no pictures or cannot be used."""
    notes: list[str] = field(default_factory=list)
    """Notes for the user, a sentence each."""
    contents: Callable[[Sequence[int]], Iterator[Content]] | None = None
    """A function from numbers of entries, rising, to their pictures; None if all are files on disk."""
    decoded: bool = False
    """Whether `contents` gives pixels instead of bytes."""

    def pictures(self, numbers: Sequence[int]) -> Iterator[Path | Content]:
        """The files or contents of these entries, whose numbers must rise."""
        if self.contents is not None:
            return self.contents(numbers)
        return (path for path in (self.entries[n].path for n in numbers) if path)


def entry_of(tree_file: File, **fields: object) -> Entry:
    """The entry of a file in a tree.

    Args:
        tree_file: the file.
        fields: further attributes of the entry.
    """
    return Entry(tree_file.name, tree_file.on_disk, tree_file.stamp, **fields)  # type: ignore[arg-type]


def read_from(tree: Tree, listing: Listing) -> Listing:
    """Set `listing.contents`, which reads from the tree, if some entries are no files on disk; returns
    the listing."""
    if any(entry.path is None for entry in listing.entries):
        names = [entry.relative for entry in listing.entries]
        listing.contents = lambda numbers: tree.contents([names[number] for number in numbers])
    return listing


def pictures(tree: Tree, listing: Listing) -> Iterator[File]:
    """The picture files of a tree. Other files, except usual companions, go to `listing.left_out`."""
    listing.left_out += tree.left_out
    for file in tree.files.values():
        suffix = suffix_of(file.name)
        if is_picture(file, tree):
            yield file
        elif suffix not in _SIDE_SUFFIXES:
            what = f"{suffix}, {RAW}" if suffix in RAW_SUFFIXES else suffix or "without a suffix"
            reason = f"{BY_NAME}: {what}"
            if is_archive(file.name):
                reason = "an archive beside pictures: unpack it here, or pack it by itself"
            elif suffix in _NOT_READ:
                reason = f"an archive: {what} is not read; unpack it here"
            listing.left_out.append((file.name, reason))


def is_side_file(name: str) -> bool:
    """Whether a file is a usual companion of pictures, such as a table."""
    return suffix_of(name) in _SIDE_SUFFIXES


def is_picture(file: File, tree: Tree) -> bool:
    """Whether a file is a picture.

    It depends on the suffix. If a picture's suffix is followed by something, or a file on disk has no
    suffix, it depends on the first bytes.
    """
    suffix = suffix_of(file.name)
    if suffix in PICTURE_SUFFIXES:
        return True
    if suffix in _SIDE_SUFFIXES or file.size == 0:  # Pipes have no size.
        return False
    if not _LIKE_A_PICTURE.search(file.name) and (suffix or file.path is None):
        return False
    if file.name not in tree.picture_by_bytes:
        tree.picture_by_bytes[file.name] = _begins_as_picture(file, tree)
    return tree.picture_by_bytes[file.name]


def _begins_as_picture(file: File, tree: Tree) -> bool:
    try:
        if file.path is None:
            return begins_as_picture(tree.read(file.name)[:BEGINNING])
        with file.path.open("rb") as opened:
            return begins_as_picture(opened.read(BEGINNING))
    except (OSError, UnusableError):
        return False


def without_suffix(name: str) -> str:
    """A name without a picture's suffix and what follows it, as in `.jpg_large`."""
    found = _LIKE_A_PICTURE.search(name)
    return name if found is None else name[: found.end("stem")]


def class_name(text: str) -> str:
    """A class as it is stored and shown: composed Unicode (NFC) on one line, see `one_line`."""
    return tidy(one_line(text))


def known(text: str, field: str) -> str:
    """A class in the form of `class_name`; blank if the text means unknown.

    That is a word in `_NOT_KNOWN` (`unknown`, `NaN`, `#N/A`, `(blank)`, ...), a spreadsheet's error
    value or, for a field such as genre, `Unknown Genre`.
    """
    name = class_name(text)
    word = name.casefold()
    if word in _NOT_KNOWN or word == f"unknown {field.casefold()}":
        return ""
    error = _NO_WORD.fullmatch(name)
    return "" if error and (name[0] != "#" or name == name.upper()) else name


def clean_names(listing: Listing) -> Listing:
    """Change the names of all fields and classes to the form of `class_name`, with a note on classes
    that become one by this; returns the listing.

    Every reader's listing goes through here, so no name has a line break or a control character in later
    code.
    """
    listing.fields = tuple(map(class_name, listing.fields))
    written: list[dict[str, str]] = [{} for _ in listing.fields]
    entries = []
    for entry in listing.entries:
        for names, label in zip(written, entry.labels, strict=True):
            if label not in names:
                names[label] = class_name(label)
        labels = tuple(names[label] for names, label in zip(written, entry.labels, strict=True))
        entries.append(entry if labels == entry.labels else replace(entry, labels=labels))
    listing.entries = entries
    for field_name, names in zip(listing.fields, written, strict=True):
        before: dict[str, list[str]] = defaultdict(list)
        for given, name in names.items():
            before[name].append(given)
        for name, several in before.items():
            if name and len(several) > 1:
                listing.notes.append(
                    f"{field_name}: taken as one class, '{name}': "
                    f"{' and '.join(map(ascii, sorted(several)))}, which differ by blanks or unseen "
                    "characters alone"
                )
    return listing


def could_be_labels(abouts: Sequence[Mapping[str, str]], no_class: Collection[str]) -> list[str]:
    """The columns that may be label fields: those with at most half as many distinct values as pictures.

    Args:
        abouts: the `Entry.about` of each picture.
        no_class: names of columns that are never classes.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for about in abouts:
        for name, text in about.items():
            found[name].add(text)
    most = max(2, len(abouts) // 2)
    return [name for name, texts in found.items() if len(texts) <= most and name not in no_class]


def suffix_of(name: str) -> str:
    """A file's suffix in lower case, such as `.png`; empty if there is none."""
    # Path.suffix gives the same, but is ten times slower: 0.5 s for all of WikiArt, and readers call
    # this often.
    last = name[name.rfind("/") + 1 :]
    dot = last.rfind(".")
    return last[dot:].lower() if 0 < dot < len(last) - 1 else ""


def holds_pictures(folder: Path) -> bool:
    """Whether there is at least one picture file below a folder."""
    return any(suffix_of(readable(name)) in PICTURE_SUFFIXES for _, name in walk(folder))
