"""What a reader finds in a source: the pictures, what is known of each, and what it passed over."""

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
# These lie beside pictures and nobody expects them in a collection, so they are not reported.
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
"""What sources write where nobody knows the class, in small letters: by hand; pandas, databases and
JavaScript; a spreadsheet's pivot tables where a cell is blank (in English, German, French, Italian,
Portuguese, Dutch, Spanish) and its error values. A folder of such a name is a class all the same."""
_NO_WORD = re.compile(
    r"[-\u2013\u2014.\u2026?]+"  # nothing but dashes, dots and question marks
    r"|#[\u00a1\u00bf]?[^\W\d_]+(?:[/_][^\W_]+)*[!?]"  # #BEZUG! #\u00a1DIV/0! #NOMBRE? ...
    r"|Err:\d{3}"  # LibreOffice
    r"|##+"  # a column too narrow for what is in it
)
"""A spreadsheet's error values in whatever language are in capitals, so only those count."""
_NOT_READ = (".rar", ".7z")
PICTURE_SUFFIXES = frozenset(_PICTURES.split())
_LIKE_A_PICTURE = re.compile(
    rf"(?P<stem>[^/]+)({'|'.join(map(re.escape, _PICTURES.split()))})[^/]*$", re.IGNORECASE
)
"""A name in which something follows a picture's suffix: `.jpg_large`, `.jpg (1)`, `.jpg?w=640`."""
_SIDE_SUFFIXES = frozenset(_BESIDE.split())
ABOUT = ("title", "artist", "year", "licence", "source")
"""What `sources.csv` says of a picture where the source tells it; `source` is the page or address that
it came from."""
BY_NAME = "not a picture file by its name"
"""The kind of reason why a file is left out that was not looked into."""


Content = bytes | np.ndarray | UnusableError
"""A picture as a source gives it: a file's bytes, uint8 [H, W, 3], or why there is none."""


@dataclass(frozen=True)
class Entry:
    """A source picture: where it lies, and what its source says of it."""

    relative: str
    """Its path inside the source, with `/` on every system; its identity in the collection."""
    path: Path | None = None
    """Its file; None where it is none of its own, and the listing's `contents` gives it."""
    stamp: str = ""
    """Changes when the picture does; see `File.stamp`. Never empty where the source is to be packed
    again without decoding it again."""
    labels: tuple[str, ...] = ()
    """A class name for each field of the listing; empty where it is not known."""
    about: dict[str, str] = field(default_factory=dict)
    """Some of `ABOUT`, and whatever else the source tells: what `--where` may ask for. Never blank."""
    heldout: bool | None = None
    """Whether the source itself keeps it from training; None: it does not say. All or none say."""


@dataclass
class Listing:
    """All that a reader found."""

    kind: str
    """In words, for the report and for `collection.json`."""
    fields: tuple[str, ...] = ()
    entries: list[Entry] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Relative path and reason, of what is no picture or cannot be used."""
    notes: list[str] = field(default_factory=list)
    """What the user may want to know, a sentence each."""
    contents: Callable[[Sequence[int]], Iterator[Content]] | None = None
    """Where pictures are no files of their own: gives those of these entries, whose numbers rise."""
    decoded: bool = False
    """Whether `contents` gives pixels, not bytes."""


def entry_of(tree_file: File, **told: object) -> Entry:
    """The entry of a file in a tree."""
    return Entry(tree_file.name, tree_file.path, tree_file.stamp, **told)  # type: ignore[arg-type]


def read_from(tree: Tree, listing: Listing) -> Listing:
    """The listing, its entries' bytes taken from the tree where they are no files on disk."""
    if any(entry.path is None for entry in listing.entries):
        names = [entry.relative for entry in listing.entries]
        listing.contents = lambda numbers: tree.contents([names[number] for number in numbers])
    return listing


def pictures(tree: Tree, listing: Listing) -> Iterator[File]:
    """The picture files of a tree; others that a user may miss go to `listing.left_out`."""
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
    """Whether a file is of those that lie beside pictures, such as a table."""
    return suffix_of(name) in _SIDE_SUFFIXES


def is_picture(file: File, tree: Tree) -> bool:
    """Whether a file is a picture: by its suffix or, where that is only like a picture's, by its first
    bytes; so is one on disk without a suffix."""
    suffix = suffix_of(file.name)
    if suffix in PICTURE_SUFFIXES:
        return True
    if suffix in _SIDE_SUFFIXES or file.size == 0:  # As pipes have no size.
        return False
    if not _LIKE_A_PICTURE.search(file.name) and (suffix or file.path is None):
        return False
    if file.name not in tree.looked_into:
        tree.looked_into[file.name] = _begins_as_picture(file, tree)
    return tree.looked_into[file.name]


def _begins_as_picture(file: File, tree: Tree) -> bool:
    try:
        if file.path is None:
            return begins_as_picture(tree.read(file.name)[:BEGINNING])
        with file.path.open("rb") as opened:
            return begins_as_picture(opened.read(BEGINNING))
    except (OSError, UnusableError):
        return False


def without_suffix(name: str) -> str:
    """A name up to a picture's suffix and what follows that, as in `.jpg_large`."""
    found = _LIKE_A_PICTURE.search(name)
    return name if found is None else name[: found.end("stem")]


def class_name(text: str) -> str:
    """A class as it is stored and shown: composed Unicode (NFC) on one line, see `one_line`."""
    return tidy(one_line(text))


def known(text: str, field: str) -> str:
    """A class as a source names it, as `class_name` writes it; blank where that only says that nobody
    knows it, as the words in `_NOT_KNOWN` (`unknown`, `NaN`, `#N/A`, `(blank)`, ...), a spreadsheet's
    error value and, of the field genre, `Unknown Genre` do."""
    name = class_name(text)
    word = name.casefold()
    if word in _NOT_KNOWN or word == f"unknown {field.casefold()}":
        return ""
    error = _NO_WORD.fullmatch(name)
    return "" if error and (name[0] != "#" or name == name.upper()) else name


def one_line_each(listing: Listing) -> Listing:
    """The listing with every field and class as `class_name` writes it, and a note of classes that
    thereby became one.

    Every listing goes through here, whatever reader made it, so that nothing that comes after meets
    a line break or a control character in a name.
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
    """What is told of pictures (`Entry.about` of each) that looks like classes, with far fewer of them
    than pictures.

    Args:
        abouts: what is known of each picture, by name.
        no_class: names of what is never a class.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for about in abouts:
        for name, text in about.items():
            found[name].add(text)
    most = max(2, len(abouts) // 2)
    return [name for name, texts in found.items() if len(texts) <= most and name not in no_class]


def suffix_of(name: str) -> str:
    """The end of a file's name from its last dot, in small letters; none where the name begins there."""
    # As Path.suffix, which takes ten times as long: 0.5 s for all of WikiArt, and readers ask often.
    last = name[name.rfind("/") + 1 :]
    dot = last.rfind(".")
    return last[dot:].lower() if 0 < dot < len(last) - 1 else ""


def holds_pictures(folder: Path) -> bool:
    """Whether there is at least one picture file below a folder."""
    return any(suffix_of(readable(name)) in PICTURE_SUFFIXES for _, name in walk(folder))
