"""WebDataset: a tar archive, or a folder of such shards, `train-000000.tar` and so on; or samples that
lie unpacked, `00000/000000001.jpg` beside `.json` and `.txt`, as img2dataset writes either.

The files of a sample share a key, the name up to the first dot after its last `/`; the rest is the
kind of file (https://webdataset.github.io/webdataset). Here that is a picture by its suffix;
`.cls`, its class; `.json`, an object of columns; `.txt`, a caption. Of several pictures in a sample
the first by name counts, `jpg` before `mask.png`.

The label is that of `.cls` unless `--labels` names fields of `.json`. Numeric classes are padded
with zeros, so that they sort: 7 of 120 is `007`. A nested key is called `a.b`; of a list, the first
is the class.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from impasto.errors import ImpastoError, choices
from impasto.formatting import counted
from impasto.sources.archives.tar import Tar, open_archive
from impasto.sources.columns import about_of
from impasto.sources.folders import layout
from impasto.sources.heldout import hold_out, is_heldout
from impasto.sources.json_tables import loads, row_cells
from impasto.sources.listing import (
    ABOUT,
    PICTURE_SUFFIXES,
    Content,
    Entry,
    Listing,
    could_be_labels,
    is_side_file,
    suffix_of,
)
from impasto.sources.listing import known as known_class
from impasto.sources.trees import File, Source, Tree, UnusableError, tidy
from impasto.tabular import decoded

ORDER = 8

_SHARDS = (".tar", ".tar.gz", ".tgz")
_BESIDE = ("cls", "json", "txt")
_ENDS = tuple(f".{what}" for what in _BESIDE)
_PARQUET = (".parquet", ".pq")
_NUMBER = re.compile(r"[0-9]+/$")
_NO_CLASS = ("title", "year", "licence", "source", "caption")
_LONG_TEXT = 1000
"""A field with more letters is skipped: nobody chooses pictures by it."""


@dataclass(frozen=True)
class _Sample:
    picture: File
    beside: dict[str, str]
    """The names of its other files by kind, one of `_BESIDE`."""
    further: list[str]
    """Its other pictures, which are left out."""


@dataclass
class _Shard:
    name: str
    """Blank if there is only one."""
    open: Callable[[], Tree]
    close: Callable[[Tree], None]
    pictures: list[str]


def _kind(what: str) -> str:
    return "picture" if suffix_of(f"x.{what}") in PICTURE_SUFFIXES else what


def _samples(tree: Tree) -> tuple[list[_Sample], list[str]]:
    """The samples, in the order of their keys, and the files in no sample."""
    keys: dict[str, dict[str, str]] = defaultdict(dict)
    alone = []
    in_tar = isinstance(tree, Tar)
    for name in tree.files:
        folder, _, base = name.rpartition("/")
        # On disk, samples have no dots in their keys.
        stem, dot, what = base.partition(".") if in_tar else base.rpartition(".")
        if stem and dot:
            keys[f"{folder}/{stem}"][what] = name
        else:
            alone.append(name)
    samples = []
    for parts in keys.values():
        # The shortest kind first.
        order = sorted(parts, key=lambda what: (what.count("."), what.lower()))
        found = [parts[what] for what in order if _kind(what) == "picture"]
        if not found:
            alone += parts.values()
            continue
        beside = {what.lower(): parts[what] for what in order if what.lower() in _BESIDE}
        samples.append(_Sample(tree.files[found[0]], beside, found[1:]))
    return samples, alone


def _shard_files(source: Source) -> list[File]:
    files = source.tree.files.values()
    return [file for file in files if file.path and file.name.lower().endswith(_SHARDS)]


def claims(source: Source, labels: tuple[str, ...] | None) -> bool:
    """Pictures with such files beside them, if they are in no class folders and there is no table: in a
    tar, in a folder of tars with no pictures beside these, or unpacked."""
    if source.file is not None:
        return False
    names = [name for name in source.tree.files if suffix_of(name) in PICTURE_SUFFIXES]
    if names:
        return _are_samples(source.tree, names)
    shards = _shards(source)
    if not shards or any(map(_is_table, source.tree.files)):
        return any(map(_has_samples, shards))
    series = {_NUMBER.sub("", shard.name) for shard in shards if _NUMBER.search(shard.name)}
    if len(series) == 1 and not _has_class_folders(shards[0]):
        return True
    return any(map(_has_samples, shards))


def _is_table(name: str) -> bool:
    return name.rpartition("/")[2].startswith("metadata.")


def _are_samples(tree: Tree, names: list[str]) -> bool:
    """Whether these pictures are WebDataset samples."""
    if not any(name.lower().endswith(_ENDS) for name in tree.files):
        return False
    samples, _ = _samples(tree)
    if any("cls" in sample.beside for sample in samples):
        return True
    if any(map(_is_table, tree.files)):
        return False
    place = layout(names)
    in_folders = {level for name in names for level in place.levels(name)[:1]}
    # Other data sets have captions beside pictures too.
    telling = _BESIDE if isinstance(tree, Tar) else ("json",)
    described = sum(any(what in sample.beside for what in telling) for sample in samples)
    return len(in_folders) < 2 and 2 * described > len(samples)


def _has_class_folders(shard: _Shard) -> bool:
    """Whether pictures in a shard lie in folders by class, as in an archive that was split."""
    tree = shard.open()
    try:
        names = [name for name in tree.files if suffix_of(name) in PICTURE_SUFFIXES]
        return len(layout(names, 1).tops(names)) > 1
    except ImpastoError:
        return False
    finally:
        shard.close(tree)


def _has_samples(shard: _Shard) -> bool:
    """Whether a shard has samples with files beside their pictures."""
    tree = shard.open()
    try:
        return any(sample.beside for sample in _samples(tree)[0])
    except ImpastoError:
        return False
    finally:
        shard.close(tree)


def _shards(source: Source) -> list[_Shard]:
    """The shards in order; for unpacked samples, the source's tree alone."""
    tree = source.tree
    if isinstance(tree, Tar) or any(suffix_of(name) in PICTURE_SUFFIXES for name in tree.files):
        return [_Shard("", lambda: source.tree, lambda tree: None, [])]
    shards = []
    for file in _shard_files(source):
        name = file.name
        for suffix in _SHARDS:
            name = name.removesuffix(suffix)
        assert file.path is not None
        shards.append(
            _Shard(f"{name}/", partial(open_archive, file.path, source.names_encoding), _close, [])
        )
    return shards


def _close(tree: Tree) -> None:
    assert isinstance(tree, Tar)
    tree.close()


def _line(content: bytes) -> str:
    return " ".join(content.decode("utf-8", "replace").split())


def _described(content: bytes, name: str, strings: dict[str, str]) -> dict[str, str]:
    """The cells of a `.json` by column.

    Raises:
        ImpastoError: it is no text.
        ValueError: it is no JSON, no object, or has a key twice.
    """
    cells = {
        column: cell
        for column, cell in row_cells(loads(decoded(content, name)[0]), lists=False).items()
        # Keys with two leading underscores are programs' own.
        if len(cell) <= _LONG_TEXT and not any(part.startswith("__") for part in column.split("."))
    }
    return about_of(cells, {""}, strings)


def _sample_columns(
    tree: Tree, sample: _Sample, strings: dict[str, str]
) -> tuple[str, dict[str, str], Exception | None]:
    """A sample's class from `.cls`, its other columns, and the error of its first damaged file, if
    any; the damaged file's columns are missing."""
    given = ""
    about: dict[str, str] = {}
    wrong: Exception | None = None
    for what, name in sample.beside.items():
        try:
            content = tree.read(name)
            if what == "json":
                about |= _described(content, name, strings)
            elif what == "cls":
                given = _line(content)[:_LONG_TEXT]
            elif caption := _line(content)[:_LONG_TEXT]:
                about.setdefault("caption", caption)
        except (ImpastoError, UnusableError, ValueError) as error:
            wrong = wrong or error
    if "caption" in about:
        about.setdefault("title", about["caption"])
    return given, about, wrong


def _columns(source: Source, labels: tuple[str, ...] | None, found: "_Known") -> dict[str, str]:
    """By label: the field of `.json` that it comes from, or blank for `.cls`, whose label may have
    any name if there is no `.json`.

    Raises:
        ImpastoError: a label is unknown; the message lists the known ones.
    """
    has_classes, fields = any(found.classes), found.fields()
    if labels is None:
        return {"class": ""} if has_classes else {}
    columns = {}
    for label in labels:
        name = label.lower()
        inner = [field for field in fields if field.endswith(f".{name}")]
        if has_classes and name in ("cls", "class"):
            columns[name] = ""
        elif name in fields or len(inner) == 1:
            columns[name] = name if name in fields else inner[0]
        elif has_classes and len(labels) == 1 and not found.has_json:
            columns[name] = ""
        else:
            there = [*fields, *(["class"] if has_classes else [])]
            raise ImpastoError(
                f"unknown label '{label}' in {source.path}; there is {choices(there)}"
            )
    return columns


def _classes(texts: list[str], field: str) -> list[str]:
    """Class names: the first of several, numbers padded with zeros, blank where unknown."""
    texts = [known_class(tidy(text.partition("|")[0]), field) for text in texts]
    if all(re.fullmatch(r"-?[0-9]{1,9}", text) for text in texts if text):
        numbers = [int(text) if text else -1 for text in texts]
        width = len(str(max(numbers, default=0)))
        return [f"{number:0{width}}" if number >= 0 else "" for number in numbers]
    return texts


def _contents(shards: list[_Shard], numbers: Sequence[int]) -> Iterator[Content]:
    """The pictures of some entries; other shards are not opened."""
    first = 0
    for shard in shards:
        end = first + len(shard.pictures)
        inside = numbers[bisect_left(numbers, first) : bisect_left(numbers, end)]
        if inside:
            tree = shard.open()
            try:
                yield from tree.contents([shard.pictures[number - first] for number in inside])
            finally:
                shard.close(tree)
        first = end


@dataclass
class _Known:
    """The contents of the shards: lists with an item for each sample, and errors."""

    shards: list[_Shard] = field(default_factory=list)
    pictures: list[File] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    """Classes from `.cls`; blank where there is none."""
    abouts: list[dict[str, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Samples with a damaged file beside their picture, and the error."""
    has_json: bool = False
    """Whether there is any `.json`."""
    damaged: list[ImpastoError] = field(default_factory=list)
    """Errors of shards that cannot be read."""

    def add(self, shard: _Shard, tree: Tree, listing: Listing, strings: dict[str, str]) -> None:
        """Add the samples of a shard; other files go to `listing.left_out`."""
        samples, alone = _samples(tree)
        if not isinstance(tree, Tar):
            alone = [n for n in alone if not is_side_file(n) and suffix_of(n) not in _PARQUET]
        left_out = [*tree.left_out, *((name, "no picture of its key") for name in alone)]
        for sample in samples:
            name = sample.picture.name
            given, about, wrong = _sample_columns(tree, sample, strings)
            if wrong is not None:
                self.broken.append(f"{shard.name}{name} ({wrong})")
            self.has_json |= "json" in sample.beside
            shard.pictures.append(name)
            self.shards.append(shard)
            self.pictures.append(sample.picture)
            self.classes.append(given)
            self.abouts.append(about)
            reason = f"a further picture of its sample: {name} counts"
            left_out += [(further, reason) for further in sample.further]
        listing.left_out += [(shard.name + name, reason) for name, reason in left_out]

    def fields(self) -> list[str]:
        """The columns of all samples."""
        return list(dict.fromkeys(name for about in self.abouts for name in about))


def _find(shards: list[_Shard], listing: Listing) -> _Known:
    """All samples of all shards; a shard that cannot be read is left out.

    Raises:
        ImpastoError: none can be read.
    """
    found = _Known()
    strings: dict[str, str] = {}  # Interned: most samples share a few words.
    for shard in shards:
        tree = shard.open()
        try:
            found.add(shard, tree, listing, strings)
        except ImpastoError as error:
            found.damaged.append(error)
            listing.left_out.append((shard.name.rstrip("/"), f"unreadable: {error}"))
        finally:
            shard.close(tree)
    if len(found.damaged) == len(shards):
        raise found.damaged[0]
    return found


def read(source: Source, labels: tuple[str, ...] | None) -> Listing:
    """List the samples; shards named as a test or validation split are held out if there are others
    for training.

    Raises:
        ImpastoError: no shard can be read, or a label is unknown.
    """
    listing = Listing("WebDataset")
    shards = _shards(source)
    found = _find(shards, listing)
    columns = _columns(source, labels, found)
    listing.fields = tuple(columns)
    given = [
        _classes([about.get(name, "") for about in found.abouts] if name else found.classes, label)
        for label, name in columns.items()
    ]
    only_labels = {name for name in columns.values() if name not in ABOUT}
    for number, shard in enumerate(found.shards):
        picture, about = found.pictures[number], found.abouts[number]
        entry = Entry(
            f"{shard.name}{picture.name}",
            picture.on_disk,
            picture.stamp,
            tuple(classes[number] for classes in given),
            {name: text for name, text in about.items() if name not in only_labels},
        )
        listing.entries.append(entry)
    if any(entry.path is None for entry in listing.entries):
        listing.contents = partial(_contents, shards)
    listing.notes += _notes(found, len(shards)) + _passed_over(source, listing)
    hold_out(listing, *_heldout(found))
    unasked = labels is None and not columns
    if unasked and (could := could_be_labels(found.abouts, _NO_CLASS)):
        listing.notes.append(
            f"no labels were asked for; --labels takes fields of the .json: {choices(could)}"
        )
    return listing


def _heldout(found: _Known) -> tuple[list[bool | None], list[str]]:
    """By sample, whether the name of its shard (or of its folder, if unpacked) holds it out; and
    the notes."""
    held = {shard.name: is_heldout(shard.name) for shard in found.shards}
    if {True, False} <= set(held.values()):
        own: list[bool | None] = [bool(held[shard.name]) for shard in found.shards]
        note = (
            "held out are the shards for testing and validation "
            f"({counted(own.count(True), 'picture')}); --heldout and --seed have no effect"
        )
        return own, [note]
    names = [picture.name for picture in found.pictures]
    folders = layout(names if len(held) == 1 else ())
    return [folders.heldout(name) for name in names], folders.notes()


def _passed_over(source: Source, listing: Listing) -> list[str]:
    """A note on parquet files beside the samples, which img2dataset writes; other files beside
    shards go to the listing's `left_out`."""
    if isinstance(source.tree, Tar):
        return []
    tables = [name for name in source.tree.files if suffix_of(name) in _PARQUET]
    if not listing.entries or not listing.entries[0].path:
        used = {*tables, *(file.name for file in _shard_files(source))}
        others = [n for n in source.tree.files if n not in used and not is_side_file(n)]
        listing.left_out += [(name, "beside the shards: no tar archive") for name in others]
    if not tables:
        return []
    return [
        f"passed over beside the samples: {counted(len(tables), 'parquet file')} without pictures, such "
        f"as {tables[0]}; what is known of a picture is taken from its .json"
    ]


def _notes(found: _Known, shards: int) -> list[str]:
    notes = []
    if found.damaged:
        notes.append(
            f"{counted(len(found.damaged), 'shard')} of {shards} could not be read: {found.damaged[0]}"
        )
    if found.broken:
        notes.append(
            f"{counted(len(found.broken), 'sample')} with a damaged .cls, .json or .txt: what that "
            f"should tell is not known, such as of {found.broken[0]}"
        )
    return notes
