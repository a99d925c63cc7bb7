"""Parquet as Hugging Face's `datasets` writes it: a file, or a folder of `train-00000-of-00072.parquet`.

A picture is a struct of `bytes` and `path`, a class a number. What the columns are (features: Image,
ClassLabel with the names of its classes) is JSON under the key `huggingface` of the schema's
metadata; data sets of before 2023, WikiArt (huggan/wikiart) among them, have it in
`dataset_infos.json` or in the head of `README.md` instead. Without either, structs with `bytes`,
columns of bytes that are pictures, and columns of file names are taken for what they look like.

Files are read as streams, by row group and in small batches. What must lie in memory is one page of
the column of pictures, as stored and decompressed: 1 MB each, or 1,024 pictures where whoever wrote
the file left it at Arrow's own choice.
"""

import io
import json
import posixpath
import re
import warnings
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, groupby
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from impasto.collection.archives import is_archive
from impasto.collection.heldout import hold_out, is_heldout
from impasto.collection.listing import (
    PICTURE_SUFFIXES,
    Content,
    Entry,
    Listing,
    could_be_labels,
    known,
    suffix_of,
)
from impasto.collection.trees import (
    File,
    Source,
    Tree,
    UnusableError,
    stamp_of,
    tidy,
    unreadable,
)
from impasto.errors import ImpastoError, choices
from impasto.words import counted

ORDER = 7

_SUFFIXES = (".parquet", ".pq")
_MAGIC = b"PAR1"
_POINTER = b"version https://git-lfs"
_FILE_COLUMNS = ("file", "file_name", "filename")
_NO_CLASSES = (
    *("title", "year", "licence", "source"),
    # What packing tells of each picture itself.
    *("index", "path", "sha256", "width", "height", "split"),
)
_READ_AHEAD = 2**20
"""Bytes read at once of a column; without, a column of a row group is read as a whole."""
_BATCH = 8
"""Pictures taken out of a page at once."""
_LONGEST_CARD = 2**20
_LONG_TEXT = 1000
"""A column of more letters a row, on average, is nothing that pictures are chosen by."""


@dataclass(frozen=True)
class _Part:
    """One parquet file."""

    name: str
    path: Path
    stamp: str
    groups: tuple[int, ...]
    """The rows of each row group."""
    picture: str
    """The column of pictures."""
    others: tuple[str, ...]
    """The columns that are one text a row: strings, numbers, dates."""
    classes: dict[str, list[str]]
    """The names of the classes of those that are numbers of classes."""
    inside: bool
    """Whether pictures may be in it, not only the names of files."""
    paths: str | None
    """The column, inside that of the pictures, that says what they are called."""

    @property
    def rows(self) -> int:
        return sum(self.groups)


def library() -> Any:
    """The module `pyarrow.parquet`.

    Raises:
        ImpastoError: it is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ImpastoError("parquet takes pyarrow: pip install 'impasto[parquet]'") from error
    return pyarrow.parquet


def _broken() -> tuple[type[BaseException], ...]:
    """What reading a damaged file raises."""
    import pyarrow

    return (pyarrow.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError)


def _says(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A file's `pyarrow.parquet.ParquetFile`; whatever is wrong with it is one line to the user."""
    parquet = library()
    try:
        with path.open("rb") as file:
            yield parquet.ParquetFile(
                file, pre_buffer=False, buffer_size=_READ_AHEAD, page_checksum_verification=True
            )
    except _broken() as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise ImpastoError(f"cannot read {path}: {error.strerror or error}") from error
        if _starts_with(path, _POINTER):
            raise ImpastoError(
                f"{path} is a pointer of Git LFS, not the file itself; `git lfs pull` gets it"
            ) from error
        raise ImpastoError(
            f"{path} is damaged or was cut short ({_says(error)}); download it again"
        ) from error


def _starts_with(path: Path, mark: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(mark)) == mark
    except OSError:
        return False


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
        return source.path.is_file() and _starts_with(source.path, _MAGIC)
    files = _files(source)
    if any(_holds_pictures(file, source.tree) for file in files):
        return True
    # Where nothing else could be read, this reader says why these cannot.
    others = (n for n in source.tree.files if suffix_of(n) in PICTURE_SUFFIXES or is_archive(n))
    return bool(files) and not any(others)


def _holds_pictures(file: File, tree: Tree) -> bool:
    """Whether there are pictures in a file, or the names of some that lie beside it."""
    try:
        part = _part(file, {})
        if part is None or part.inside:
            return part is not None
        with _opened(part.path) as opened:
            first = next(opened.iter_batches(batch_size=_BATCH, columns=[part.picture]), None)
            values = [] if first is None else _column(first, part.picture).to_pylist()
    except ImpastoError:  # A folder of pictures is one whatever else lies in it.
        return False
    paths = [value.get("path") if isinstance(value, dict) else value for value in values]
    return any(path and _file_of(str(path), part, tree) for path in paths)


def _beside(source: Source, files: list[File]) -> dict[str, dict[str, Any]]:
    """The features that the data set's own description tells, of all its configurations.

    It lies at the top of the repository: somewhere above its files.
    """
    top = (source.path if source.path.is_dir() else source.path.parent).absolute()
    inside = {top / parent for file in files for parent in PurePosixPath(file.name).parents}
    above = {top.parent} if top.name == "data" else set()
    features: dict[str, dict[str, Any]] = {}
    for place in sorted(above | inside, key=lambda place: len(place.parts)):
        features |= _infos(_text(place / "dataset_infos.json"))
        features |= _card(_text(place / "README.md"))
    return features


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _infos(text: str) -> dict[str, dict[str, Any]]:
    """The features in a `dataset_infos.json`."""
    try:
        infos = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    found = [info.get("features") for info in _values(infos) if isinstance(info, dict)]
    return _merged(found)


def _card(text: str) -> dict[str, dict[str, Any]]:
    """The features in the YAML head of a `README.md`, in the form they have in JSON."""
    import yaml

    head = re.match(r"---\s*\n(.*?\n)---\s*\n", text[:_LONGEST_CARD], re.DOTALL)
    try:
        told = yaml.safe_load(head[1]) if head else None
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    infos = told.get("dataset_info") if isinstance(told, dict) else None
    features: dict[str, dict[str, Any]] = {}
    for info in infos if isinstance(infos, list) else [infos]:
        listed = info.get("features") if isinstance(info, dict) else None
        for item in listed if isinstance(listed, list) else []:
            match item:
                case {"name": name, "dtype": "image"}:
                    features[str(name)] = {"_type": "Image"}
                case {"name": name, "dtype": {"class_label": {"names": dict() as numbered}}}:
                    if all(str(number).isdecimal() for number in numbered):
                        names = [numbered[number] for number in sorted(numbered, key=int)]
                        features[str(name)] = {"_type": "ClassLabel", "names": names}
                case {"name": name, "dtype": {"class_label": {"names": list() as names}}}:
                    features[str(name)] = {"_type": "ClassLabel", "names": names}
    return features


def _values(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else []


def _merged(found: list[Any]) -> dict[str, dict[str, Any]]:
    """Features of several configurations as one; those of the same name mostly are the same."""
    return {
        str(name): feature
        for features in found
        if isinstance(features, dict)
        for name, feature in features.items()
        if isinstance(feature, dict)
    }


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    """The features in a schema's metadata; none where it has none, or what is there is damaged."""
    told = (schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        return _merged([json.loads(told)["info"]["features"]])
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}


def _class_names(feature: dict[str, Any]) -> list[str] | None:
    names = feature.get("names")
    if feature.get("_type") != "ClassLabel" or not isinstance(names, list):
        return None
    return [tidy(str(name)) for name in names]


def _plain(kind: Any) -> Any:
    """A column's type without its encoding: that of a dictionary's values, of an extension's storage."""
    import pyarrow

    while True:
        if isinstance(kind, pyarrow.DictionaryType):
            kind = kind.value_type
        elif isinstance(kind, pyarrow.BaseExtensionType):
            kind = kind.storage_type
        else:
            return kind


def _is_string(kind: Any) -> bool:
    from pyarrow import types

    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _is_binary(kind: Any) -> bool:
    from pyarrow import types

    return types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)


def _is_one_text(kind: Any) -> bool:
    from pyarrow import types

    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
    return _is_string(kind) or types.is_temporal(kind) or any(test(kind) for test in tests)


def _part(file: File, beside: dict[str, dict[str, Any]]) -> _Part | None:
    """What is in a file, by its footer; None where that is no pictures.

    Raises:
        ImpastoError: it is damaged, or in an archive.
    """
    if file.path is None:
        raise ImpastoError(
            f"{file.name} lies in an archive, and parquet is not read there; unpack it"
        )
    with _opened(file.path) as opened:
        schema, metadata = opened.schema_arrow, opened.metadata
        # No picture is smaller than a byte: a damaged number must not fill the memory with rows.
        if metadata.num_rows > file.size:
            raise ValueError(f"it claims {metadata.num_rows:,} rows in {file.size:,} bytes")
        kinds = {name: _plain(schema.field(at).type) for at, name in enumerate(schema.names)}
        features = beside | _features(schema)
        picture = _picture_column(opened, kinds, features)
        if picture is None:
            return None
        # Nothing else is asked of a row group: pyarrow 26 ends the process where what is said there
        # of a column is damaged, while reading it raises.
        groups = [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)]
        if min(groups, default=0) < 0 or sum(groups) != metadata.num_rows:
            raise ValueError("its row groups do not have as many rows as it has")
        others = tuple(
            name
            for name, kind in kinds.items()
            # Two underscores begin what pandas adds for itself.
            if name != picture and not name.startswith("__") and _is_one_text(kind)
        )
        names = {name: _class_names(features.get(name, {})) for name in others}
        return _Part(
            file.name,
            file.path,
            file.stamp,
            tuple(groups),
            picture,
            others,
            {name: told for name, told in names.items() if told and not _is_string(kinds[name])},
            "bytes" in _children(kinds[picture]) or _is_binary(kinds[picture]),
            f"{picture}.path" if "path" in _children(kinds[picture]) else None,
        )


def _children(kind: Any) -> set[str]:
    """The names inside a struct."""
    from pyarrow import types

    return {field.name for field in kind} if types.is_struct(kind) else set()


def _picture_column(
    opened: Any, kinds: dict[str, Any], features: dict[str, dict[str, Any]]
) -> str | None:
    """The column of pictures: one called so if there is, else the first of the likeliest kind."""
    types = {name: features.get(name, {}).get("_type") for name in kinds}
    told = [name for name in kinds if types[name] == "Image"]
    # Sound and films are such structs too.
    structs = [
        name
        for name, kind in kinds.items()
        if {"bytes", "path"} & _children(kind) and not types[name]
    ]
    binary = [name for name, kind in kinds.items() if _is_binary(kind)]
    for found in (told, structs, [name for name in binary if _shows_pictures(opened, name)]):
        if found:
            return next((name for name in found if name.lower() in ("image", "img")), found[0])
    files = [name for name, kind in kinds.items() if _is_string(kind)]
    return next((name for name in files if name.lower() in _FILE_COLUMNS), None)


def _shows_pictures(opened: Any, column: str) -> bool:
    """Whether the first value of a column of bytes is a picture."""
    for batch in opened.iter_batches(batch_size=64, columns=[column], use_threads=False):
        for value in _column(batch, column):
            if value.is_valid:
                return _is_picture(value.as_py())
    return False


def _is_picture(content: bytes) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            Image.open(io.BytesIO(content)).close()
        except Image.DecompressionBombError:
            return True  # Whether it is too large is not asked here.
        except Exception:
            return False
    return True


def _column(batch: Any, name: str) -> Any:
    return batch.column(batch.schema.names.index(name))


def _texts(column: Any) -> list[str]:
    """Text for each row of an array of any type that is one text a row; empty for null and NaN."""
    import pyarrow

    while isinstance(column, pyarrow.DictionaryArray | pyarrow.ExtensionArray):
        if isinstance(column, pyarrow.DictionaryArray):
            column = column.dictionary_decode()
        else:
            column = column.storage
    if pyarrow.types.is_timestamp(column.type):
        # Without its time zone it is in UTC, and needs no tables of time zones.
        column = column.cast(pyarrow.timestamp(column.type.unit))
    floating = pyarrow.types.is_floating(column.type)
    if not _is_string(column.type):
        column = column.cast(pyarrow.string())
    # By way of bytes, since nobody has checked that strings are UTF-8.
    values = column.cast(pyarrow.large_binary()).to_pylist()
    texts = ["" if value is None else tidy(value.decode("utf-8", "replace")) for value in values]
    return ["" if text == "nan" else text for text in texts] if floating else texts


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


def _told(part: _Part) -> _Told:
    """Read all columns of a file that are one text a row.

    Raises:
        ImpastoError: it is damaged.
    """
    told = _Told({name: [] for name in part.others}, [], Counter(), Counter())
    columns = [*part.others, *([part.paths] if part.paths else [])]
    with _opened(part.path) as opened:
        for batch in opened.iter_batches(columns=columns, use_threads=False) if columns else []:
            for name in part.others:
                texts = _texts(_column(batch, name))
                told.texts[name] += _known(name, texts, part.classes.get(name), told)
            if part.paths:
                told.paths += _texts(_column(batch, part.picture).field("path"))
        told.paths = told.paths if part.paths else [""] * part.rows
        for texts in (*told.texts.values(), told.paths):
            if len(texts) != part.rows:
                raise ValueError(f"{len(texts):,} rows where it claims {part.rows:,}")
    return told


def _known(field: str, texts: list[str], names: list[str] | None, told: _Told) -> list[str]:
    """Classes by name, and none where they say that it is not known."""
    if names is not None:
        numbers = [int(text) if text else -1 for text in texts]
        # By `datasets`, numbers below 0 are those of no class.
        told.nameless[field.lower()] += sum(number >= len(names) for number in numbers)
        texts = [names[at] if 0 <= at < len(names) else "" for at in numbers]
    unknown = {text for text in set(texts) if text and not known(text, field)}
    for text in sorted(unknown):
        told.unknown[field.lower(), text] += texts.count(text)
    return ["" if text in unknown else text for text in texts]


def _heldout(name: str) -> bool | None:
    """Whether a file is of a test or validation part by the names of its folders, or else its own;
    None: they do not say."""
    *folders, last = name.split("/")
    for part in (*reversed(folders), posixpath.splitext(last)[0]):
        if (told := is_heldout(part)) is not None:
            return told
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
    beside = _beside(source, files)
    parts = []
    for file in files:
        part = _part(file, beside)
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
        told = _told(part)
        unknown += told.unknown
        nameless += told.nameless
        paths += told.paths
        by_field = [told.texts.get(name, [""] * part.rows) for name in fields]
        rest = {name: texts for name, texts in told.texts.items() if name not in fields}
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
    return listing


def _key(name: str) -> str:
    """A column's name in `Entry.about`."""
    return {"license": "licence"}.get(name.lower(), name.lower())


def _fields(path: Path, parts: list[_Part], labels: tuple[str, ...] | None) -> list[str]:
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
    parts: list[_Part],
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


def _contents(tree: Tree, parts: list[_Part], numbers: Sequence[int]) -> Iterator[Content]:
    """The pictures of some entries; their numbers rise."""
    for at, rows in _dealt(numbers, [part.rows for part in parts]):
        yield from _pictures(tree, parts[at], rows)


def _dealt(numbers: Sequence[int], counts: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """Rising numbers by the stretch of that many that each falls into: counted from where it begins."""
    ends = list(accumulate(counts))
    for at, inside in groupby(numbers, partial(bisect_right, ends)):
        first = ends[at] - counts[at]
        yield at, [number - first for number in inside]


def _pictures(tree: Tree, part: _Part, rows: list[int]) -> Iterator[Content]:
    """The pictures of some rows of a file; where a row group is damaged, why there are none."""
    given = 0
    try:
        with _opened(part.path) as opened:
            for group, wanted in _dealt(rows, part.groups):
                kind, reason = "unreadable", "it has fewer rows than when it was listed"
                done = 0
                try:
                    for value in _cells(opened, part.picture, group, wanted):
                        yield _content(value, part, tree)
                        done += 1
                except _broken() as error:
                    kind, reason = unreadable(error), _says(error)
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
        values = _column(batch, column)
        while row < first + len(values):
            yield values[row - first].as_py()
            following = next(left, None)
            if following is None:
                return
            row = following
        first += len(values)


def _content(value: Any, part: _Part, tree: Tree) -> Content:
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


def _file_of(path: str, part: _Part, tree: Tree) -> str | None:
    """The file in the tree that a path in a cell names: from the parquet file's folder, or the top."""
    path = tidy(path).replace("\\", "/")
    names = (posixpath.join(posixpath.dirname(part.name), path), path)
    return next((n for n in map(posixpath.normpath, names) if n in tree.files), None)
