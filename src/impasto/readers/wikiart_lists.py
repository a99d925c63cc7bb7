"""WikiArt as ArtGAN's authors publish it: folders of pictures, and lists of their classes.

W. R. Tan, C. S. Chan, H. E. Aguirre, K. Tanaka, Improved ArtGAN for Conditional Synthesis of Natural
Image and Artwork, 2019; `WikiArt Dataset/README.md` of cs-chan/ArtGAN on GitHub. For style, genre and
artist there are `style_class.txt` with lines `12 Impressionism`, and `style_train.csv` and
`style_val.csv` with lines `Impressionism/claude-monet_water-lilies-6.jpg,12`. The repository itself has
some without a suffix, with a header and two commas. Lists may lie anywhere beside the pictures.

The three fields were split independently: 566 of the 81,446 pictures are for training in one and
for validation in another. A picture is held out if all lists that have it hold it out, whichever
labels are asked for. Names in the lists are UTF-8 that was once decoded as Latin-1; `file_names.py`
finds their files.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from impasto.delimited import Shape, Splitter
from impasto.errors import ImpastoError, choices
from impasto.formatting import counted
from impasto.sources.file_names import find_named, naming_note, plain, repaired
from impasto.sources.listing import Entry, Listing, entry_of, pictures, read_from
from impasto.sources.trees import File, Source, Tree, decoded_file, read_text, tidy
from impasto.tabular import filled

ORDER = 20

FIELDS = ("style", "genre", "artist")
LICENCE = "non-commercial research only"
"""The lists' licence by their README; the pictures' rights are stated on WikiArt.org."""

_LIST = re.compile(r"(style|genre|artist)_(train|val|class)(?:\.csv|\.txt)?")
_NUMBER = re.compile(r"[0-9]{1,9}")
_CLASS = re.compile(r"([0-9]{1,9})[\s,.:]+(.+)")
_YEAR = re.compile(r"-(1[0-9]{3}|20[0-9]{2})(?:-[0-9]+)?(?:\([0-9]+\))?$")


@dataclass(slots=True)
class _Picture:
    """A picture in the lists."""

    labels: dict[str, str] = field(default_factory=dict)
    """Its class by field."""
    train: bool = False
    """Whether a list has it for training."""
    val: bool = False
    """Whether a list has it for validation."""


def _lists(tree: Tree) -> dict[tuple[str, str], str]:
    """The lists by field and kind; of several, the one highest in the tree."""
    found: dict[tuple[str, str], str] = {}
    for name in sorted(tree.files, key=lambda name: name.count("/")):
        if match := _LIST.fullmatch(name.rpartition("/")[2].lower()):
            found.setdefault((match[1], match[2]), name)
    return found


def claims(source: Source, labels: tuple[str, ...] | None) -> bool:
    """A folder or archive with at least one list of training pictures."""
    return source.file is None and any(kind == "train" for _, kind in _lists(source.tree))


def _class_names(tree: Tree, name: str) -> dict[int, str]:
    lines = map(tidy, read_text(tree, name).split("\n"))
    found = {int(line[1]): tidy(line[2]) for text in lines if (line := _CLASS.fullmatch(text))}
    if not found:
        raise ImpastoError(f"{tree.place / name} has no line such as '12 Impressionism'")
    return found


def _filled(cells: list[str]) -> list[str]:
    return cells[: filled(cells)]


def _is_row(cells: list[str]) -> bool:
    """Whether these are a path and a class number, perhaps with blank cells between."""
    cells = [tidy(cell) for cell in _filled(cells)]
    return len(cells) > 1 and bool(cells[0]) and _NUMBER.fullmatch(cells[-1]) is not None


def _could_be_row(cells: list[str]) -> bool:
    return len(_filled(cells)) > 1


class _Joined:
    """All lists, joined by path."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.lists = _lists(tree)
        self.fields = [name for name in FIELDS if (name, "train") in self.lists]
        self.splits = any(kind == "val" for _, kind in self.lists)
        """Whether they have a split."""
        self.pictures: dict[str, _Picture] = {}
        self.notes: list[str] = []
        self.left_out: list[tuple[str, str]] = []
        """The places of unreadable rows, with the reasons."""
        for name in self.fields:
            self._add(name)

    def _add(self, name: str) -> None:
        """Read the lists of a field."""
        if (name, "class") not in self.lists:
            raise ImpastoError(
                f"{self.tree.place / self.lists[name, 'train']} needs {name}_class.txt beside it, which "
                "names the classes; it is published with the list"
            )
        classes = _class_names(self.tree, self.lists[name, "class"])
        odd: Counter[str] = Counter()
        for kind in ("train", "val"):
            if (name, kind) not in self.lists:
                continue
            for path, number in self._rows(self.lists[name, kind], odd):
                picture = self.pictures.setdefault(path, _Picture())
                setattr(picture, kind, True)
                if number not in classes:
                    odd["of a class without a name"] += 1
                elif picture.labels.setdefault(name, classes[number]) != classes[number]:
                    odd["of another class than in an earlier row, which counts"] += 1
        self.notes += [f"{name} lists: {counted(n, 'row')} {what}" for what, n in odd.items()]

    def _rows(self, list_name: str, odd: Counter[str]) -> Iterator[tuple[str, int]]:
        text, notes = decoded_file(self.tree, list_name)
        self.notes += notes
        shape = Shape(_is_row, _could_be_row, lambda cells, first: first == 0 and _is_row(cells))
        for row in Splitter(text, ",").rows(shape):
            if row.fault:
                where = f"{row.at} of {list_name}"
                self.left_out.append((where, f"row not readable: {row.fault.format(at=where)}"))
            elif _is_row(row.cells):
                cells = _filled(row.cells)
                # A path may contain commas; the last cell is a number.
                yield plain(",".join(cells[:-1]).rstrip(" ,")), int(cells[-1])
            elif row.line > 1 and any(map(tidy, row.cells)):  # The first may be a header.
                odd["without a path and a class, passed over"] += 1

    def heldout(self, picture: _Picture) -> bool | None:
        return not picture.train if self.splits else None


def _about(path: str) -> dict[str, str]:
    """Artist, title and year from a file name such as `claude-monet_water-lilies-1906.jpg`."""
    stem = path.rpartition("/")[2].rpartition(".")[0]
    artist, _, title = repaired(stem).partition("_")
    year = _YEAR.search(stem)
    about = {"title": title, "artist": artist, "year": year[1] if year else "", "licence": LICENCE}
    return {name: text for name, text in about.items() if text}


def _entry(
    file: File, path: str, picture: _Picture, labels: tuple[str, ...], heldout: bool | None
) -> Entry:
    classes = tuple(picture.labels.get(name, "") for name in labels)
    about = picture.labels | _about(path)
    for name, label in zip(labels, classes, strict=True):
        if label:
            about.pop(name, None)
    return entry_of(file, labels=classes, about=about, heldout=heldout)


def read(source: Source, labels: tuple[str, ...] | None) -> Listing:
    """List the pictures that are both in a list and in the folder; the default labels are all
    fields.

    Raises:
        ImpastoError: a list cannot be read, lacks its class names, or a label has no list.
    """
    tree = source.tree
    joined = _Joined(tree)
    if labels is None:
        labels = tuple(joined.fields)
    labels = tuple(name.lower() for name in labels)
    for name in labels:
        if name not in joined.fields:
            raise ImpastoError(
                f"unknown label '{name}' of the WikiArt lists in {source.path}; there is "
                f"{choices(joined.fields)}"
            )
    listing = Listing("WikiArt by ArtGAN's lists", fields=labels)
    files = {file.name: file for file in pictures(tree, listing)}
    used = set(joined.lists.values())
    listing.left_out = [(name, reason) for name, reason in listing.left_out if name not in used]
    found = find_named(joined.pictures, files)
    for path, picture in joined.pictures.items():
        if path in found:
            file = files.pop(found[path])
            listing.entries.append(_entry(file, path, picture, labels, joined.heldout(picture)))
        else:
            listing.left_out.append((path, "listed but missing: in the WikiArt lists"))
    listing.left_out += joined.left_out
    listing.left_out += [(name, "not listed in the WikiArt lists") for name in files]
    listing.entries.sort(key=lambda entry: entry.relative)
    listing.notes += [*joined.notes, *naming_note(found, "the WikiArt lists")]
    if joined.splits:
        listing.notes.append(
            "held out is what every WikiArt list that has it keeps for validation; --heldout and --seed "
            "have no effect"
        )
        both = sum(joined.pictures[path].train and joined.pictures[path].val for path in found)
        if both:
            listing.notes.append(
                f"{counted(both, 'picture')} for training in one WikiArt list and for validation in "
                "another; they are trained on"
            )
    return read_from(tree, listing)
