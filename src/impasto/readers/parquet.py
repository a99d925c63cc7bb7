"""Parquet as Hugging Face's `datasets` writes it: a file, or a folder of `train-00000-of-00072.parquet`.

A picture is a struct of `bytes` and `path`, a class a number; `parquet_files.py` finds the columns.

Files are read as streams, by row group and in small batches. Memory holds one page of the picture
column, stored and decompressed: 1 MB each, or 1,024 pictures with Arrow's default.
"""

import posixpath
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, groupby
from typing import Any

from impasto.errors import ImpastoError, choices
from impasto.formatting import counted
from impasto.sources.archives import first_bytes, is_archive
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
    column_of,
    described_beside,
    error_line,
    opened_file,
    part_of,
    read_errors,
    texts_of,
)
from impasto.sources.remote.path import Place
from impasto.sources.trees import (
    File,
    Source,
    Tree,
    UnusableError,
    file_at,
    tidy,
    unreadable,
)

ORDER = 7

_SUFFIXES = (".parquet", ".pq")
_MAGIC = b"PAR1"
_NO_CLASSES = (
    *("title", "year", "licence", "source"),
    # Columns that packing writes for each picture itself.
    *("index", "path", "sha256", "width", "height", "split"),
)
_BATCH = 8
"""Pictures read from a page at once."""
_LONG_TEXT = 1000
"""A column with more letters a row on average is skipped: nobody chooses pictures by it."""


def _files(source: Source) -> list[File]:
    """The parquet files of a source, sorted by name."""
    if source.file is not None:
        return [file_at(source.path)]
    return [file for file in source.tree.files.values() if suffix_of(file.name) in _SUFFIXES]


def claims(source: Source, labels: tuple[str, ...] | None) -> bool:
    """A parquet file, or a source with some: with pictures in them, or without other pictures."""
    if source.file is not None:
        if suffix_of(source.file) in _SUFFIXES:
            return True
        # In the hub's cache, file names are digests.
        return first_bytes(source.path, len(_MAGIC)) == _MAGIC
    files = _files(source)
    if any(_holds_pictures(file, source.tree) for file in files):
        return True
    # If no other reader could read anything, this one reports why these files cannot be read.
    others = (n for n in source.tree.files if suffix_of(n) in PICTURE_SUFFIXES or is_archive(n))
    return bool(files) and not any(others)


def _holds_pictures(file: File, tree: Tree) -> bool:
    """Whether a file has pictures, or names of pictures that lie beside it."""
    try:
        part = part_of(file, {})
        if part is None or part.inside:
            return part is not None
        with opened_file(part.path) as opened:
            first = next(opened.iter_batches(batch_size=_BATCH, columns=[part.picture]), None)
            values = [] if first is None else column_of(first, part.picture).to_pylist()
    except ImpastoError:  # A folder of pictures stays one, whatever else is in it.
        return False
    paths = [value.get("path") if isinstance(value, dict) else value for value in values]
    return any(path and _file_of(str(path), part, tree) for path in paths)


@dataclass
class _RowTexts:
    """The columns of a file but its pictures, with counts for notes."""

    texts: dict[str, list[str]]
    """By column, a text for each row (of a class its name); empty where unknown."""
    paths: list[str]
    """For each row, the picture's path."""
    unknown: Counter[tuple[str, str]]
    """By column and class name that means unknown: the number of rows."""
    nameless: Counter[str]
    """By column: the number of rows with a number that no class has."""


def _row_texts(part: Part) -> _RowTexts:
    """Read a file's columns other than pictures.

    Raises:
        ImpastoError: it is damaged.
    """
    row_texts = _RowTexts({name: [] for name in part.others}, [], Counter(), Counter())
    columns = [*part.others, *([part.paths] if part.paths else [])]
    with opened_file(part.path) as opened:
        for batch in opened.iter_batches(columns=columns, use_threads=False) if columns else []:
            for name in part.others:
                texts = texts_of(column_of(batch, name))
                row_texts.texts[name] += _known(name, texts, part.classes.get(name), row_texts)
            if part.paths:
                row_texts.paths += texts_of(column_of(batch, part.picture).field("path"))
        row_texts.paths = row_texts.paths if part.paths else [""] * part.rows
        for texts in (*row_texts.texts.values(), row_texts.paths):
            if len(texts) != part.rows:
                raise ValueError(f"{len(texts):,} rows where it claims {part.rows:,}")
    return row_texts


def _known(
    field: str, texts: list[str], names: list[str] | None, row_texts: _RowTexts
) -> list[str]:
    """Class names, blank where they mean unknown."""
    if names is not None:
        numbers = [int(text) if text else -1 for text in texts]
        # In `datasets`, negative numbers mean no class.
        row_texts.nameless[field.lower()] += sum(number >= len(names) for number in numbers)
        texts = [names[at] if 0 <= at < len(names) else "" for at in numbers]
    unknown = {text for text in set(texts) if text and not known(text, field)}
    for text in sorted(unknown):
        row_texts.unknown[field.lower(), text] += texts.count(text)
    return ["" if text in unknown else text for text in texts]


def _heldout(name: str) -> bool | None:
    """Whether a file is of a test or validation split, by its folders' names or else its own; None:
    they do not say."""
    *folders, last = name.split("/")
    for part in (*reversed(folders), posixpath.splitext(last)[0]):
        if (decided := is_heldout(part)) is not None:
            return decided
    return None


def read(source: Source, labels: tuple[str, ...] | None) -> Listing:
    """List the rows; test and validation splits are held out if there is one for training.

    By default the labels are all columns with class names.

    Raises:
        ImpastoError: a file is damaged, has no pictures, or lacks a label column; or pyarrow is not
            installed.
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
    # If everything is a test split, it is what to train on.
    split = True in held and not all(held)
    described: list[tuple[tuple[str, ...], dict[str, str]]] = []
    paths: list[str] = []
    unknown: Counter[tuple[str, str]] = Counter()
    nameless: Counter[str] = Counter()
    long: set[str] = set()
    for part in parts:
        row_texts = _row_texts(part)
        unknown += row_texts.unknown
        nameless += row_texts.nameless
        paths += row_texts.paths
        by_field = [row_texts.texts.get(name, [""] * part.rows) for name in fields]
        rest = {name: texts for name, texts in row_texts.texts.items() if name not in fields}
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
        listing.notes.append(f"columns of long texts were skipped: {choices(list(long))}")
    _hold_out_parts(listing, parts, held, split)
    return listing


def _hold_out_parts(
    listing: Listing, parts: list[Part], held: list[bool | None], split: bool
) -> None:
    """Hold out the test files, if there are others.

    Args:
        listing: has an entry for each row.
        parts: the parquet files.
        held: whether each is a test split, by its name.
        split: whether `held` decides what is held out.
    """
    count = sum(part.rows for part, is_held in zip(parts, held, strict=True) if is_held)
    own = [
        bool(is_held) if split else None
        for part, is_held in zip(parts, held, strict=True)
        for _ in range(part.rows)
    ]
    note = (
        f"held out are the data set's own test and validation parts ({counted(count, 'picture')}); "
        "--heldout and --seed have no effect"
    )
    hold_out(listing, own, [note] if split else [])


def _key(name: str) -> str:
    """A column's key in `Entry.about`."""
    return {"license": "licence"}.get(name.lower(), name.lower())


def _fields(path: Place, parts: list[Part], labels: tuple[str, ...] | None) -> list[str]:
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
    """Fill the listing; pictures are named by their own paths if these are unique."""
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
    """Notes on the columns."""
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
    for at, rows in _by_range(numbers, [part.rows for part in parts]):
        yield from _pictures(tree, parts[at], rows)


def _by_range(numbers: Sequence[int], counts: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """Split rising numbers among consecutive ranges of these lengths; each number is counted from
    its range's start."""
    ends = list(accumulate(counts))
    for at, inside in groupby(numbers, partial(bisect_right, ends)):
        first = ends[at] - counts[at]
        yield at, [number - first for number in inside]


def _pictures(tree: Tree, part: Part, rows: list[int]) -> Iterator[Content]:
    """The pictures of some rows of a file; for a damaged row group, the reason instead."""
    given = 0
    try:
        with opened_file(part.path) as opened:
            for group, wanted in _by_range(rows, part.groups):
                kind, reason = "unreadable", "it has fewer rows than when it was listed"
                done = 0
                try:
                    for value in _cells(opened, part.picture, group, wanted):
                        yield _content(value, part, tree)
                        done += 1
                except read_errors() as error:
                    kind, reason = unreadable(error), error_line(error)
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
    """The picture in a cell, or in the file that the cell names."""
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
