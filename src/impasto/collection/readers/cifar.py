"""CIFAR-10 and CIFAR-100 as they are published: the binary version, as an archive or unpacked.

A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; the layout is described
on the page below. A batch is nothing but records: a byte for each label, then the red, the green
and the blue plane of a picture, row by row.

An archive is read where it lies and never unpacked to disk, so that no name in it leads anywhere,
and record by record, so that no batch lies in memory as a whole.
"""

import gzip
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np

from impasto.collection.listing import Entry, Listing
from impasto.collection.trees import Source, stamp_of, tidy
from impasto.errors import ImpastoError, choices

ORDER = 5

PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"

_SIDE = 32
_PLANES = 3 * _SIDE * _SIDE
_ARCHIVES = (".tar.gz", ".tgz", ".tar")  # Some browsers take the .gz off while downloading.
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class _DataSet:
    name: str
    archive: str
    training: tuple[str, ...]
    """Its batches, without `.bin`."""
    test: str
    fields: dict[str, str]
    """The file with the names of its classes for each label, in the order of a record's labels."""
    others: tuple[tuple[str, str], ...]
    """Two files of each other version, by which to know it."""

    @property
    def batches(self) -> list[str]:
        return [*self.training, self.test]

    @property
    def files(self) -> list[str]:
        return [*(f"{batch}.bin" for batch in self.batches), *self.fields.values()]


_DATA_SETS = (
    _DataSet(
        name="CIFAR-10",
        archive="cifar-10-binary.tar.gz",
        training=tuple(f"data_batch_{number}" for number in range(1, 6)),
        test="test_batch",
        fields={"class": "batches.meta.txt"},
        others=(("data_batch_1", "batches.meta"), ("data_batch_1.mat", "batches.meta.mat")),
    ),
    _DataSet(
        name="CIFAR-100",
        archive="cifar-100-binary.tar.gz",
        training=("train",),
        test="test",
        fields={"coarse": "coarse_label_names.txt", "fine": "fine_label_names.txt"},
        others=(("train", "meta"), ("train.mat", "meta.mat")),
    ),
)


@dataclass(frozen=True)
class _File:
    """A file on disk, or inside an archive."""

    path: Path
    """The archive's where it is in one."""
    start: int
    """The byte at which it begins in `path`, once that is decompressed."""
    size: int


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """A file's bytes, decompressed if need be; what goes wrong inside is one line to the user."""
    damaged = f"{path} is damaged or was cut short"
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == _GZIP
            file.seek(0)
            if compressed:
                with gzip.GzipFile(fileobj=file) as decompressed:
                    yield decompressed  # type: ignore[misc]  # It reads and seeks as they all do.
            else:
                yield file
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError, ValueError) as error:
        raise ImpastoError(f"{damaged} ({error}); download it again from {PAGE}") from error
    except OSError as error:
        raise ImpastoError(f"cannot read {path}: {error.strerror or error}") from error


def _files(source: Path) -> dict[str, _File]:
    """The files of a folder or an archive by name, whatever folder in the archive they are in."""
    if source.is_dir():
        paths = sorted(path for path in source.iterdir() if path.is_file())
        return {path.name: _File(path, 0, path.stat().st_size) for path in paths}
    ours = {name for data_set in _DATA_SETS for name in data_set.files}
    found: dict[str, _File] = {}
    with _reading(source) as stream:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if not member.isreg() or member.issparse():
                    continue
                if name in found and name in ours:
                    raise ImpastoError(f"{source} has two files {name}; give the published archive")
                found[name] = _File(source, member.offset_data, member.size)
        while stream.read(2**20):
            pass  # To the very end, where gzip keeps its checksum.
    return found


def _which(names: Iterable[str]) -> _DataSet | None:
    """The data set that has two files or more of these: one alone may be called that by chance."""
    return next((each for each in _DATA_SETS if len({*each.files} & {*names}) > 1), None)


def _other_version(names: Iterable[str]) -> _DataSet | None:
    """The data set of whose Python or Matlab version these are files."""
    for data_set in _DATA_SETS:
        if any({*version} <= {*names} for version in data_set.others):
            return data_set
    return None


def claims(source: Source, labels: tuple[str, ...] | None) -> bool:
    """Any tar archive, and a folder with the files of a version, even one that is refused."""
    if source.file is not None:
        return source.path.name.lower().endswith(_ARCHIVES)
    names = [path.name for path in source.path.iterdir() if path.is_file()]
    return _which(names) is not None or _other_version(names) is not None


def _columns(data_set: _DataSet, labels: tuple[str, ...] | None) -> dict[str, int]:
    """The fields of the listing, and which of a record's labels each is."""
    own = list(data_set.fields)
    if labels is None:
        labels = tuple(own)
    if len(own) == 1:
        if len(labels) > 1:
            raise ImpastoError(
                f"{data_set.name} holds one label, but --labels names {len(labels)}: "
                f"{', '.join(labels)}; give one name for it"
            )
        return dict.fromkeys(labels, 0)
    for name in labels:
        if name not in own:
            raise ImpastoError(
                f"unknown label '{name}' of {data_set.name}; there is {choices(own)}"
            )
    return {name: own.index(name) for name in labels}


def _class_names(file: _File, name: str) -> list[str]:
    """The lines of a file of names; a label is the number of its line, from 0."""
    with _reading(file.path) as stream:
        stream.seek(file.start)
        text = stream.read(min(file.size, 2**16)).decode("utf-8", "replace")
    names = [tidy(line) for line in text.strip().splitlines()]
    if not names or "" in names:
        raise ImpastoError(
            f"{name} in {file.path} does not name a class on each line; download it again from "
            f"{PAGE}"
        )
    return names


def _records(batches: list[_File], length: int) -> Iterator[bytes]:
    """The records of `length` bytes of all batches, in order."""
    for path, inside in groupby(batches, key=lambda batch: batch.path):
        with _reading(path) as stream:
            for batch in inside:
                stream.seek(batch.start)
                for _ in range(batch.size // length):
                    record = stream.read(length)
                    if len(record) < length:
                        raise EOFError("it ends within a record")
                    yield record


def _pixels(batches: list[_File], length: int, numbers: Sequence[int]) -> Iterator[np.ndarray]:
    """The pixels of some records, uint8 [32, 32, 3]."""
    wanted = set(numbers)
    for number, record in enumerate(_records(batches, length)):
        if number not in wanted:
            continue
        planes = np.frombuffer(record, np.uint8)[-_PLANES:].reshape(3, _SIDE, _SIDE)
        yield planes.transpose(1, 2, 0)


def read(opened: Source, labels: tuple[str, ...] | None) -> Listing:
    """List the records, the test batch as held out: that split is part of the data set.

    Raises:
        ImpastoError: an archive of something else, of a version that cannot be read without
            running code, damaged or incomplete; or labels that are not in it.
    """
    source = opened.path
    files = _files(source)
    data_set = _which(files)
    if data_set is None and (other := _other_version(files)) is not None:
        raise ImpastoError(
            f"{source} is {other.name} in its Python or Matlab version, which impasto does not read "
            f"(pickles can run code); download the binary version, {other.archive}, from {PAGE}"
        )
    if data_set is None:
        raise ImpastoError(
            f"{source} is an archive of neither CIFAR-10 nor CIFAR-100, the only ones that are read "
            "packed; unpack it and give the folder"
        )
    columns = _columns(data_set, labels)
    if missing := [name for name in data_set.files if name not in files]:
        raise ImpastoError(
            f"{source} lacks {choices(missing)} of {data_set.name}; download {data_set.archive} "
            f"again from {PAGE}"
        )
    length = len(data_set.fields) + _PLANES
    batches = [files[f"{name}.bin"] for name in data_set.batches]
    for name, batch in zip(data_set.batches, batches, strict=True):
        if batch.size == 0 or batch.size % length:
            raise ImpastoError(
                f"{name}.bin in {source} has {batch.size:,} bytes, which are no whole records of "
                f"{length:,}; download {data_set.archive} again from {PAGE}"
            )

    classes = [_class_names(files[name], name) for name in data_set.fields.values()]
    listing = Listing(f"{data_set.name}, binary version", fields=tuple(columns))
    listing.contents = partial(_pixels, batches, length)
    listing.decoded = True
    records = _records(batches, length)
    for name, batch in zip(data_set.batches, batches, strict=True):
        stamp = stamp_of(batch.path.stat())
        for number, record in enumerate(islice(records, batch.size // length)):
            for label, names in zip(record, classes, strict=False):
                if label >= len(names):
                    raise ImpastoError(
                        f"{name}.bin in {source} is damaged: record {number} is of class {label}, "
                        f"and there are {len(names)}, from 0; download {data_set.archive} again "
                        f"from {PAGE}"
                    )
            given = tuple(classes[column][record[column]] for column in columns.values())
            heldout = name == data_set.test
            entry = Entry(f"{name}/{number:05}", None, stamp, given, heldout=heldout)
            listing.entries.append(entry)
    listing.notes.append(
        f"held out is the test part of {data_set.name} itself; --heldout and --seed choose nothing "
        "here"
    )
    return listing
