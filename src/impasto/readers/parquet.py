"""Parquet as Hugging Face's `datasets` writes it: a file, or a folder of `train-00000-of-00072.parquet`.

A picture is a struct of `bytes` and `path`, a class a number; `parquet_files.py` finds the columns.

Files are read as streams, by row group and in small batches. What must lie in memory is one page of
the column of pictures, as stored and decompressed: 1 MB each, or 1,024 pictures where whoever wrote
the file left it at Arrow's own choice.
"""

import posixpath
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError, choices
from impasto.formatting import counted
from impasto.sources.archives import begins_with, is_archive
from impasto.sources.heldout import hold_out, is_heldout
from impasto.sources.listing import (
    PICTURE_SUFFIXES,
    Content,
    Entry,
    Listing,
    could_be_labels,
    known,
    suffix_of,
)
from impasto.sources.parquet_files import (
    Part,
    broken,
    column_of,
    described_beside,
    opened_file,
    part_of,
    says,
    texts_of,
)
from impasto.sources.trees import (
    File,
    Source,
    Tree,
    UnusableError,
    stamp_of,
    tidy,
    unreadable,
)

ORDER = 7

_SUFFIXES = (".parquet", ".pq")
_MAGIC = b"PAR1"
_NO_CLASSES = (
    *("title", "year", "licence", "source"),
    # What packing tells of each picture itself.
    *("index", "path", "sha256", "width", "height", "split"),
)
_BATCH = 8
"""Pictures taken out of a page at once."""
_LONG_TEXT = 1000
"""A column of more letters a row, on average, is nothing that pictures are chosen by."""


def _files(source: Source) -> list[File]:
    """The parquet files of a source, sorted by name."""
    if source.file is not None:
        status = source.path.stat()
        return [File(source.file, status.st_size, stamp_of(status), source.path.absolute())]
    return [file for file in source.tree.files.values() if suffix_of(file.name) in _SUFFIXES]


def claims(source: Source, labels: tuple[str, ...] | None) -> bool:
    """A parquet file, and what has some in it: with pictures in them, or with none beside them."""
    if source.file is not None:
        if suffix_of(source.file) in _SUFFIXES:
            return True
        # In the hub's cache, files are named by their digests.
        return begins_with(source.path, len(_MAGIC)) == _MAGIC
    files = _files(source)
    if any(_holds_pictures(file, source.tree) for file in files):
        return True
    # Where nothing else could be read, this reader says why these cannot.
    others = (n for n in source.tree.files if suffix_of(n) in PICTURE_SUFFIXES or is_archive(n))
    return bool(files) and not any(others)


def _holds_pictures(file: File, tree: Tree) -> bool:
    """Whether there are pictures in a file, or the names of some that lie beside it."""
    try:
        part = part_of(file, {})
        if part is None or part.inside:
            return part is not None
        with opened_file(part.path) as opened:
            first = next(opened.iter_batches(batch_size=_BATCH, columns=[part.picture]), None)
            values = [] if first is None else column_of(first, part.picture).to_pylist()
    except ImpastoError:  # A folder of pictures is one whatever else lies in it.
        return False
    paths = [value.get("path") if isinstance(value, dict) else value for value in values]
    return any(path and _file_of(str(path), part, tree) for path in paths)


@dataclass
class _Told:
    """What the rows say but for their pictures, and what about that the user may want to know."""

    texts: dict[str, list[str]]
    """A text for each row by column, a class by its name; empty where there is none."""
    paths: list[str]
    """What the picture is called."""
    unknown: Counter[tuple[str, str]]
    """How often a column had which class that is none."""
    nameless: Counter[str]
    """How often a column had a number that no class has."""


def _told(part: Part) -> _Told:
    """Read all columns of a file that are one text a row.

    Raises:
        ImpastoError: it is damaged.
    """
    texts_known = _Told({name: [] for name in part.others}, [], Counter(), Counter())
    columns = [*part.others, *([part.paths] if part.paths else [])]
    with opened_file(part.path) as opened:
        for batch in opened.iter_batches(columns=columns, use_threads=False) if columns else []:
            for name in part.others:
                texts = texts_of(column_of(batch, name))
                texts_known.texts[name] += _known(name, texts, part.classes.get(name), texts_known)
            if part.paths:
                texts_known.paths += texts_of(column_of(batch, part.picture).field("path"))
        texts_known.paths = texts_known.paths if part.paths else [""] * part.rows
        for texts in (*texts_known.texts.values(), texts_known.paths):
            if len(texts) != part.rows:
                raise ValueError(f"{len(texts):,} rows where it claims {part.rows:,}")
    return texts_known


def _known(field: str, texts: list[str], names: list[str] | None, texts_known: _Told) -> list[str]:
    """Classes by name, and none where they say that it is not known."""
    if names is not None:
        numbers = [int(text) if text else -1 for text in texts]
        # By `datasets`, numbers below 0 are those of no class.
        texts_known.nameless[field.lower()] += sum(number >= len(names) for number in numbers)
        texts = [names[at] if 0 <= at < len(names) else "" for at in numbers]
    unknown = {text for text in set(texts) if text and not known(text, field)}
    for text in sorted(unknown):
        texts_known.unknown[field.lower(), text] += texts.count(text)
    return ["" if text in unknown else text for text in texts]


def _heldout(name: str) -> bool | None:
    """Whether a file is of a test or validation part by the names of its folders, or else its own;
    None: they do not say."""
    *folders, last = name.split("/")
    for part in (*reversed(folders), posixpath.splitext(last)[0]):
        if (texts_known := is_heldout(part)) is not None:
            return texts_known
    return None


def read(source: Source, labels: tuple[str, ...] | None) -> Listing:
    """List the rows; parts for testing and validation are held out, if there is one for training.

    The labels are all columns whose classes have names, where none are asked for.

    Raises:
        ImpastoError: a file is damaged, has no pictures, or lacks a label column; or pyarrow is
            not there.
    """
    listing = Listing("Hugging Face parquet")
    files = _files(source)
    beside = described_beside(source, files)
    parts = []
    for file in files:
        part = part_of(file, beside)
        if part is not None:
            parts.append(part)
        else:
            listing.left_out.append((file.name, "not pictures: a parquet file with none in it"))
    if not parts:
        raise ImpastoError(
            f"{source.path} has no column of pictures: neither Hugging Face's struct of bytes and "
            "path, nor pictures as bytes, nor names of files in a column file_name"
        )
    fields = _fields(source.path, parts, labels)
    listing.fields = tuple(name.lower() for name in fields)
    held = [_heldout(part.name) for part in parts]
    # Where all of it is a test part, that is what is to be learned from.
    split = True in held and not all(held)
    described: list[tuple[tuple[str, ...], dict[str, str]]] = []
    paths: list[str] = []
    unknown: Counter[tuple[str, str]] = Counter()
    nameless: Counter[str] = Counter()
    long: set[str] = set()
    for part in parts:
        texts_known = _told(part)
        unknown += texts_known.unknown
        nameless += texts_known.nameless
        paths += texts_known.paths
        by_field = [texts_known.texts.get(name, [""] * part.rows) for name in fields]
        rest = {name: texts for name, texts in texts_known.texts.items() if name not in fields}
        lengthy = {name for name in rest if sum(map(len, rest[name])) > _LONG_TEXT * part.rows}
        long |= lengthy
        rest = {_key(name): texts for name, texts in rest.items() if name not in lengthy}
        for row in range(part.rows):
            about = {key: texts[row] for key, texts in rest.items() if texts[row]}
            described.append((tuple(texts[row] for texts in by_field), about))
    _add_entries(listing, parts, described, paths)
    listing.contents = partial(_contents, source.tree, parts)
    listing.notes += _notes(listing, labels, unknown, nameless)
    if long:
        listing.notes.append(f"columns of long texts were passed over: {choices(list(long))}")
    _hold_out_parts(listing, parts, held, split)
    return listing


def _hold_out_parts(
    listing: Listing, parts: list[Part], held: list[bool | None], split: bool
) -> None:
    """Hold out the parts for testing, where there are others.

    Args:
        listing: with an entry a row.
        parts: the parquet files.
        held: whether each is for testing, by its name.
        split: whether that decides what is held out.
    """
    count = sum(part.rows for part, is_held in zip(parts, held, strict=True) if is_held)
    own = [
        bool(is_held) if split else None
        for part, is_held in zip(parts, held, strict=True)
        for _ in range(part.rows)
    ]
    note = (
        f"held out are the data set's own test and validation parts ({counted(count, 'picture')}); "
        "--heldout and --seed choose nothing here"
    )
    hold_out(listing, own, [note] if split else [])


def _key(name: str) -> str:
    """A column's name in `Entry.about`."""
    return {"license": "licence"}.get(name.lower(), name.lower())


def _fields(path: Path, parts: list[Part], labels: tuple[str, ...] | None) -> list[str]:
    """The columns that are labels.

    Raises:
        ImpastoError: an unknown column; the message lists the valid ones.
    """
    if labels is None:
        return list(dict.fromkeys(name for part in parts for name in part.classes))
    valid = {name.lower(): name for part in parts for name in part.others}
    for name in labels:
        if name.lower() not in valid:
            raise ImpastoError(
                f"unknown label column '{name}' in {path}; there is {choices(list(valid.values()))}"
            )
    return [valid[name.lower()] for name in labels]


def _add_entries(
    listing: Listing,
    parts: list[Part],
    described: list[tuple[tuple[str, ...], dict[str, str]]],
    paths: list[str],
) -> None:
    """Fill the listing; pictures are called by their own paths if no two have the same."""
    names = [path.replace("\\", "/").lstrip("/") for path in paths]
    own = all(names) and len(set(names)) == len(names)
    number = 0
    for part in parts:
        for row in range(part.rows):
            picked, about = described[number]
            name = names[number] if own else f"{part.name}/{row:08}"
            stamp = f"{part.stamp}-{row}"
            listing.entries.append(Entry(name, None, stamp, picked, about))
            number += 1


def _notes(
    listing: Listing,
    labels: tuple[str, ...] | None,
    unknown: Counter[tuple[str, str]],
    nameless: Counter[str],
) -> list[str]:
    """What the user may want to know of the columns."""
    notes = [
        f"'{name}' counts as unknown, not as a class of {field} ({counted(count, 'picture')})"
        for (field, name), count in unknown.items()
        if field in listing.fields
    ]
    notes += [
        f"{counted(count, 'picture')} with a number in {field} that no class has; it counts as unknown"
        for field, count in nameless.items()
        if field in listing.fields
    ]
    abouts = [entry.about for entry in listing.entries]
    if labels is None and not listing.fields and (could := could_be_labels(abouts, _NO_CLASSES)):
        notes.append(
            "no column has names of classes (the repository's README.md or dataset_infos.json may "
            f"have them: put it beside); --labels takes any of {choices(could)}"
        )
    return notes


def _contents(tree: Tree, parts: list[Part], numbers: Sequence[int]) -> Iterator[Content]:
    """The pictures of some entries; their numbers rise."""
    for at, rows in _dealt(numbers, [part.rows for part in parts]):
        yield from _pictures(tree, parts[at], rows)


def _dealt(numbers: Sequence[int], counts: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """Rising numbers by the stretch of that many that each falls into: counted from where it begins."""
    ends = list(accumulate(counts))
    for at, inside in groupby(numbers, partial(bisect_right, ends)):
        first = ends[at] - counts[at]
        yield at, [number - first for number in inside]


def _pictures(tree: Tree, part: Part, rows: list[int]) -> Iterator[Content]:
    """The pictures of some rows of a file; where a row group is damaged, why there are none."""
    given = 0
    try:
        with opened_file(part.path) as opened:
            for group, wanted in _dealt(rows, part.groups):
                kind, reason = "unreadable", "it has fewer rows than when it was listed"
                done = 0
                try:
                    for value in _cells(opened, part.picture, group, wanted):
                        yield _content(value, part, tree)
                        done += 1
                except broken() as error:
                    kind, reason = unreadable(error), says(error)
                for _ in wanted[done:]:
                    yield UnusableError(f"{kind}: {part.name} is damaged here: {reason}")
                given += len(wanted)
    except ImpastoError as error:
        for _ in rows[given:]:
            yield UnusableError(f"{unreadable(error)}: {error}")


def _cells(opened: Any, column: str, group: int, rows: list[int]) -> Iterator[Any]:
    """The values of a column in some rows of a row group: dict, bytes, str or None."""
    left = iter(rows)
    row = next(left)
    first = 0
    for batch in opened.iter_batches(
        batch_size=_BATCH, row_groups=[group], columns=[column], use_threads=False
    ):
        values = column_of(batch, column)
        while row < first + len(values):
            yield values[row - first].as_py()
            following = next(left, None)
            if following is None:
                return
            row = following
        first += len(values)


def _content(value: Any, part: Part, tree: Tree) -> Content:
    """A picture of what is in its cell, or of the file that the cell names."""
    content, path = value, None
    if isinstance(value, dict):
        content, path = value.get("bytes"), value.get("path")
    elif isinstance(value, str):
        content, path = None, value
    if isinstance(content, bytes) and content:
        return content
    if not path:
        return UnusableError("no picture: its row is empty")
    name = _file_of(str(path), part, tree)
    if name is None:
        return UnusableError(f"listed but missing: {tidy(str(path))}")
    try:
        return tree.read(name)
    except UnusableError as reason:
        return reason


def _file_of(path: str, part: Part, tree: Tree) -> str | None:
    """The file in the tree that a path in a cell names: from the parquet file's folder, or the top."""
    path = tidy(path).replace("\\", "/")
    names = (posixpath.join(posixpath.dirname(part.name), path), path)
    return next((n for n in map(posixpath.normpath, names) if n in tree.files), None)
