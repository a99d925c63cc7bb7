"""Describe a parquet file: its columns as text, the column of pictures, and the columns of classes.

The columns' features (Image, ClassLabel with its class names) are JSON under the key `huggingface` of
the schema's metadata. Data sets from before 2023, such as huggan/wikiart, have them in
`dataset_infos.json` or in the YAML head of `README.md`. Without these, the column of pictures is
recognised by its contents: structs with `bytes` or `path`, bytes that are pictures, file names.
"""

import io
import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from PIL import Image

from impasto.errors import ImpastoError
from impasto.files import refuse_pointer_file
from impasto.formatting import error_text
from impasto.sources.file_kinds import BEGINNING, begins_as_picture
from impasto.sources.remote.path import Place
from impasto.sources.trees import File, Source, system_error, tidy

_FILE_COLUMNS = ("file", "file_name", "filename")
_READ_AHEAD = 2**20
"""Bytes that are read at once from a column. Without this, pyarrow reads the column of a whole row
group."""
_LONGEST_CARD = 2**20
"""Most characters of a `README.md` that are searched for the YAML head."""


@dataclass(frozen=True)
class Part:
    """A parquet file with pictures."""

    name: str
    """Its path in the source."""
    path: Place
    stamp: str
    """See `File.stamp`."""
    groups: tuple[int, ...]
    """The number of rows of each row group."""
    picture: str
    """The column of pictures."""
    others: tuple[str, ...]
    """The columns whose rows can be written as one text each: strings, numbers, dates."""
    classes: dict[str, list[str]]
    """By column of class numbers: the names of the classes."""
    inside: bool
    """Whether the column of pictures may hold the pictures themselves, not only file names."""
    paths: str | None
    """The subcolumn of the picture column that holds their file names."""

    @property
    def rows(self) -> int:
        """The number of rows."""
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


def read_errors() -> tuple[type[BaseException], ...]:
    """The exceptions that reading a damaged file may raise."""
    import pyarrow

    return (pyarrow.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError)


def error_line(error: BaseException) -> str:
    """An error on one line of at most 200 characters."""
    return error_text(error)[:200]


@contextmanager
def opened_file(path: Place) -> Iterator[Any]:
    """Open a file as a `pyarrow.parquet.ParquetFile`. Within this context, errors from reading it become
    an ImpastoError."""
    parquet = library()
    try:
        with path.open("rb") as file:
            yield parquet.ParquetFile(
                file, pre_buffer=False, buffer_size=_READ_AHEAD, page_checksum_verification=True
            )
    except read_errors() as error:
        if (unread := system_error(error)) is not None:
            raise ImpastoError(f"cannot read {path}: {unread.strerror or unread}") from error
        refuse_pointer_file(path)
        raise ImpastoError(
            f"{path} is damaged or was cut short ({error_line(error)}); download it again"
        ) from error


def described_beside(source: Source, files: list[File]) -> dict[str, dict[str, Any]]:
    """By column: the features in the data set's description, of all its configurations.

    The description is at the top of the data set's repository, in some folder above the files.

    Args:
        source: the source.
        files: its parquet files.
    """
    top: Place = (source.path if source.path.is_dir() else source.path.parent).absolute()
    inside = {top / parent for file in files for parent in PurePosixPath(file.name).parents}
    above = {top.parent} if top.name == "data" else set()
    features: dict[str, dict[str, Any]] = {}
    for place in sorted(above | inside, key=lambda place: len(place.parts)):
        features |= _infos(_text(place / "dataset_infos.json"))
        features |= _card(_text(place / "README.md"))
    return features


def _text(path: Place) -> str:
    """A file's text; blank if it cannot be read."""
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
    """The features in the YAML head of a `README.md`, in their form in JSON."""
    import yaml

    head = re.match(r"---\s*\n(.*?\n)---\s*\n", text[:_LONGEST_CARD], re.DOTALL)
    try:
        declared = yaml.safe_load(head[1]) if head else None
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    infos = declared.get("dataset_info") if isinstance(declared, dict) else None
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
    """The values of a dictionary; none of anything else."""
    return list(value.values()) if isinstance(value, dict) else []


def _merged(found: list[Any]) -> dict[str, dict[str, Any]]:
    """The features of several configurations as one. Of features of one name, the last one is used."""
    return {
        str(name): feature
        for features in found
        if isinstance(features, dict)
        for name, feature in features.items()
        if isinstance(feature, dict)
    }


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    """The features in a schema's metadata; empty if there are none or they are damaged."""
    declared = (schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        return _merged([json.loads(declared)["info"]["features"]])
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}


def _class_names(feature: dict[str, Any]) -> list[str] | None:
    """The class names of a ClassLabel; None for other features."""
    names = feature.get("names")
    if feature.get("_type") != "ClassLabel" or not isinstance(names, list):
        return None
    return [tidy(str(name)) for name in names]


def _plain(kind: Any) -> Any:
    """A column's type without its encoding: the type of a dictionary's values, or of an extension type's
    storage."""
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
    """Whether values of this type can be written as one text each."""
    from pyarrow import types

    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
    return _is_string(kind) or types.is_temporal(kind) or any(test(kind) for test in tests)


def part_of(file: File, beside: dict[str, dict[str, Any]]) -> Part | None:
    """Describe a file by its footer.

    Args:
        file: the file.
        beside: the result of `described_beside`.

    Returns:
        The description; None if the file has no column of pictures.

    Raises:
        ImpastoError: the file is damaged, or in an archive.
    """
    if file.path is None:
        raise ImpastoError(
            f"{file.name} lies in an archive, and parquet is not read there; unpack it"
        )
    with opened_file(file.path) as opened:
        schema, metadata = opened.schema_arrow, opened.metadata
        # A row takes at least a byte. A damaged row count must not fill the memory.
        if metadata.num_rows > file.size:
            raise ValueError(f"it claims {metadata.num_rows:,} rows in {file.size:,} bytes")
        kinds = {name: _plain(schema.field(at).type) for at, name in enumerate(schema.names)}
        features = beside | _features(schema)
        picture = _picture_column(opened, kinds, features)
        if picture is None:
            return None
        # Only the row count is read here: pyarrow 26 aborts the process on damaged column metadata,
        # where reading the column raises.
        groups = [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)]
        if min(groups, default=0) < 0 or sum(groups) != metadata.num_rows:
            raise ValueError("its row groups do not have as many rows as it has")
        others = tuple(
            name
            for name, kind in kinds.items()
            # The names of columns that pandas adds begin with two underscores.
            if name != picture and not name.startswith("__") and _is_one_text(kind)
        )
        names = {name: _class_names(features.get(name, {})) for name in others}
        return Part(
            file.name,
            file.path,
            file.stamp,
            tuple(groups),
            picture,
            others,
            {
                name: declared
                for name, declared in names.items()
                if declared and not _is_string(kinds[name])
            },
            "bytes" in _children(kinds[picture]) or _is_binary(kinds[picture]),
            f"{picture}.path" if "path" in _children(kinds[picture]) else None,
        )


def _children(kind: Any) -> set[str]:
    """The names of a struct's fields; empty for other types."""
    from pyarrow import types

    return {field.name for field in kind} if types.is_struct(kind) else set()


def _picture_column(
    opened: Any, kinds: dict[str, Any], features: dict[str, dict[str, Any]]
) -> str | None:
    """The column of pictures; None if there is none.

    Of the columns of the likeliest type it is the one called `image` or `img`, else the first. The types
    are, in this order: declared as Image; structs with `bytes` or `path`; bytes that are pictures; file
        names.
    """
    types = {name: features.get(name, {}).get("_type") for name in kinds}
    declared = [name for name in kinds if types[name] == "Image"]
    # Audio and video are such structs too.
    structs = [
        name
        for name, kind in kinds.items()
        if {"bytes", "path"} & _children(kind) and not types[name]
    ]
    binary = [name for name, kind in kinds.items() if _is_binary(kind)]
    for found in (declared, structs, [name for name in binary if _shows_pictures(opened, name)]):
        if found:
            return next((name for name in found if name.lower() in ("image", "img")), found[0])
    files = [name for name, kind in kinds.items() if _is_string(kind)]
    return next((name for name in files if name.lower() in _FILE_COLUMNS), None)


def _shows_pictures(opened: Any, column: str) -> bool:
    """Whether the first value of a column of bytes that is not null is a picture."""
    for batch in opened.iter_batches(batch_size=64, columns=[column], use_threads=False):
        for value in column_of(batch, column):
            if value.is_valid:
                return _is_picture(value.as_py())
    return False


def _is_picture(content: bytes) -> bool:
    if begins_as_picture(content[:BEGINNING]):
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            Image.open(io.BytesIO(content)).close()
        except Image.DecompressionBombError:
            return True  # It is a picture, though a large one.
        except Exception:
            return False
    return True


def column_of(batch: Any, name: str) -> Any:
    """The first column of this name in a record batch."""
    return batch.column(batch.schema.names.index(name))


def texts_of(column: Any) -> list[str]:
    """Each value of a pyarrow array as text; empty for null and NaN."""
    import pyarrow

    while isinstance(column, pyarrow.DictionaryArray | pyarrow.ExtensionArray):
        if isinstance(column, pyarrow.DictionaryArray):
            column = column.dictionary_decode()
        else:
            column = column.storage
    if pyarrow.types.is_timestamp(column.type):
        # Without a time zone it is in UTC, and pyarrow needs no time zone database.
        column = column.cast(pyarrow.timestamp(column.type.unit))
    floating = pyarrow.types.is_floating(column.type)
    if not _is_string(column.type):
        column = column.cast(pyarrow.string())
    # As bytes first, because the strings may be invalid UTF-8.
    values = column.cast(pyarrow.large_binary()).to_pylist()
    texts = ["" if value is None else tidy(value.decode("utf-8", "replace")) for value in values]
    return ["" if text == "nan" else text for text in texts] if floating else texts
