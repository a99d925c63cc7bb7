"""Parquet that Hugging Face's `datasets` opens by `load_dataset(OUT)`, with Image and ClassLabel
features.

The features are JSON in the schema's metadata, as `datasets` itself writes them. By its documentation,
negative numbers mean no class. Small row groups can be read in little memory.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from impasto.collection.unpacking import Job, picture_name
from impasto.errors import ImpastoError
from impasto.files import atomic_folder
from impasto.sources.parquet_files import library

TITLE = "Hugging Face parquet"
DEFAULT_SPLIT = "all"
SINGLE_FIELD = False
NEEDS_CLASS = False
RECORDS_SPLIT = True

_PICTURE = "image"
_NUMBERS = ("width", "height")
"""Numeric columns of `sources.csv`."""
_GROUP_ROWS = 1000
_GROUP_BYTES = 2**24
"""Most rows and bytes of a row group."""
_FILE_BYTES = 500 * 10**6
"""A file is closed after the row group that reaches this size, as in `datasets`."""
_PAGE_ROWS = 4
"""Most pictures after which pyarrow checks whether a page is full."""


def write(job: Job, out: Path) -> None:
    """Write the folder: `data/train-00000-of-00002.parquet` and so on.

    Raises:
        ImpastoError: pyarrow is not installed, `out` has a file's name, a label field has the name of
            the picture column, `sources.csv` has a wrong number, or the folder cannot be written.
    """
    library()
    if out.suffix.lower() == ".parquet":
        raise ImpastoError(
            "parquet is written as a folder of files, for datasets.load_dataset: give a folder's "
            f"name, such as {out.with_suffix('')}, with --as parquet"
        )
    if _PICTURE in (field.name for field in job.label_fields()):
        raise ImpastoError(
            f"the label field {_PICTURE} would be a second column of that name; leave it out of "
            "--labels"
        )
    with atomic_folder(out) as folder:
        files = _Files(folder / "data", job)
        for part, rows in _groups(job):
            files.write(part, rows)
        files.finish()


def _groups(job: Job) -> Iterator[tuple[str, list[tuple[int, bytes]]]]:
    """For each row group: the part, and the index and the PNG of each picture."""
    part, rows, size = "", list[tuple[int, bytes]](), 0
    for next_part, index, file in job.pictures():
        if rows and (next_part != part or len(rows) >= _GROUP_ROWS or size >= _GROUP_BYTES):
            yield part, rows
            rows, size = [], 0
        part = next_part
        rows.append((index, file))
        size += len(file)
    yield part, rows


def _whole_number(column: str, text: str | None) -> int | None:
    """A number of pixels; spreadsheets may have written `640.0`.

    Raises:
        ImpastoError: the text is no number.
    """
    try:
        return None if text is None else int(float(text))
    except (ValueError, OverflowError):
        raise ImpastoError(
            f"sources.csv has '{text}' in its column {column}, which is no number; restore the file"
        ) from None


class _Files:
    """Writes row groups to the files of all parts, with a new file when one is full."""

    def __init__(self, folder: Path, job: Job) -> None:
        import pyarrow

        self._job = job
        self._folder = folder
        self._paths: dict[str, list[Path]] = {part: [] for part in job.parts}
        self._writer: Any = None
        self._bytes = 0
        names = [field.name for field in job.label_fields()]
        self._described, self._sources = job.provenance(leave_out=[_PICTURE, *names])
        features: dict[str, Any] = {_PICTURE: {"_type": "Image"}}
        for field in job.label_fields():
            features[field.name] = {"names": list(field.classes), "_type": "ClassLabel"}
        for name in self._described:
            kind = "int32" if name in _NUMBERS else "string"
            features[name] = {"dtype": kind, "_type": "Value"}
        picture = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
        kinds = [(_PICTURE, picture)]
        kinds += [(name, pyarrow.int64()) for name in names]
        for name in self._described:
            kinds.append((name, pyarrow.int32() if name in _NUMBERS else pyarrow.string()))
        information = json.dumps({"info": {"features": features}})
        self._schema = pyarrow.schema(kinds, metadata={"huggingface": information})

    def write(self, part: str, rows: list[tuple[int, bytes]]) -> None:
        """Add a row group, part by part."""
        if self._writer is not None and (self._bytes >= _FILE_BYTES or not self._paths[part]):
            self._close()
        if self._writer is None:
            self._open(part)
        self._writer.write_table(self._table(rows), row_group_size=len(rows))
        self._bytes += sum(len(file) for _, file in rows)

    def _open(self, part: str) -> None:
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{part}-{len(self._paths[part])}"
        self._paths[part].append(path)
        # Dictionaries and min/max statistics of PNGs are useless.
        others = self._schema.names[1:]
        self._writer = library().ParquetWriter(
            path,
            self._schema,
            use_dictionary=others,
            write_statistics=others,
            write_batch_size=_PAGE_ROWS,
            write_page_checksum=True,
        )
        self._bytes = 0

    def _table(self, rows: list[tuple[int, bytes]]) -> Any:
        import pyarrow

        collection = self._job.collection
        indices = [index for index, _ in rows]
        pictures = [{"bytes": file, "path": picture_name(index)} for index, file in rows]
        sources = [self._sources[source] for source in collection.sources[indices].tolist()]
        columns: list[Any] = [pictures]
        columns += [collection.labels[indices, column] for column in self._job.fields]
        for name in self._described:
            texts = [source[name] or None for source in sources]
            numbers = name in _NUMBERS
            columns.append([_whole_number(name, text) for text in texts] if numbers else texts)
        return pyarrow.table(
            [
                pyarrow.array(values, field.type)
                for values, field in zip(columns, self._schema, strict=True)
            ],
            schema=self._schema,
        )

    def _close(self) -> None:
        self._writer.close()
        self._writer = None

    def finish(self) -> None:
        """Close the last file, and write the number of files into all names."""
        self._close()
        for part, paths in self._paths.items():
            for number, path in enumerate(paths):
                path.rename(self._folder / f"{part}-{number:05}-of-{len(paths):05}.parquet")
