"""CIFAR-10 and CIFAR-100 as they are published: the binary or the Python version, in its archive or
unpacked.

A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; the layout is described
at https://www.cs.toronto.edu/~kriz/cifar.html. Pictures come in batches. A batch of the binary
version is records: a byte for each label, then the red, green and blue planes, row by row. A batch
of the Python version is a pickled dictionary of the same. Pickles are never run; see
`plain_pickle.py`.

One batch at a time is in memory: 31 MB, or 154 MB for CIFAR-100's training pictures.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from impasto.errors import ImpastoError, choices
from impasto.sources.listing import PICTURE_SUFFIXES, Entry, Listing, suffix_of
from impasto.sources.plain_pickle import Array, PlainPickleError, load_plain
from impasto.sources.trees import Source, Tree, UnusableError, tidy

ORDER = 4

PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"

_SIDE = 32
_PLANES = 3 * _SIDE * _SIDE


@dataclass(frozen=True)
class _DataSet:
    name: str
    training: tuple[str, ...]
    """The names of its training batches, without `.bin`."""
    test: str
    fields: tuple[str, ...]
    """The label fields, in the order of a record's labels."""
    names: tuple[str, ...]
    """For each field, the file with its class names in the binary version."""
    meta: str
    """The file with all class names in the Python version."""
    keys: tuple[tuple[str, str], ...]
    """For each field, the keys of its labels and of its class names in the Python version."""

    @property
    def batches(self) -> list[str]:
        return [*self.training, self.test]


_DATA_SETS = (
    _DataSet(
        name="CIFAR-10",
        training=tuple(f"data_batch_{number}" for number in range(1, 6)),
        test="test_batch",
        fields=("class",),
        names=("batches.meta.txt",),
        meta="batches.meta",
        keys=(("labels", "label_names"),),
    ),
    _DataSet(
        name="CIFAR-100",
        training=("train",),
        test="test",
        fields=("coarse", "fine"),
        names=("coarse_label_names.txt", "fine_label_names.txt"),
        meta="meta",
        keys=(("coarse_labels", "coarse_label_names"), ("fine_labels", "fine_label_names")),
    ),
)


@dataclass(frozen=True)
class _Batch:
    """Some pictures of 32 x 32 pixels."""

    labels: np.ndarray
    """int64 [N, F]."""
    planes: np.ndarray
    """uint8 [N, 3072]: red, green, blue, each row by row."""


@dataclass(frozen=True)
class _PublishedVersion:
    """A version of a data set, in a folder of a tree."""

    data_set: _DataSet
    version: str
    tree: Tree
    folder: str

    def damaged(self, name: str, what: str) -> ImpastoError:
        return ImpastoError(
            f"{name} in {self.tree.place} {what}; download {self.archive} again from {PAGE}"
        )

    @property
    def archive(self) -> str:
        end = {"binary": "binary", "Python": "python", "Matlab": "matlab"}[self.version]
        return f"{self.data_set.name.lower()}-{end}.tar.gz"

    def batch_file(self, batch: str) -> str:
        return f"{batch}.bin" if self.version == "binary" else batch

    @property
    def files(self) -> list[str]:
        own = self.data_set.names if self.version == "binary" else (self.data_set.meta,)
        return [*map(self.batch_file, self.data_set.batches), *own]

    def path(self, name: str) -> str:
        return f"{self.folder}/{name}" if self.folder else name

    def content(self, name: str) -> bytes:
        try:
            return self.tree.read(self.path(name))
        except UnusableError as reason:
            raise self.damaged(name, f"cannot be read ({reason})") from reason

    def dictionary(self, name: str) -> dict[bytes, Any]:
        """The dictionary in a pickle."""
        try:
            loaded = load_plain(self.content(name))
        except PlainPickleError as error:
            raise self.damaged(name, f"is not as published ({error})") from error
        if type(loaded) is not dict:
            raise self.damaged(name, "is not as published (it holds no dictionary)")
        return loaded

    def class_names(self) -> list[list[str]]:
        """The class names of each field; a label is an index into them."""
        found = []
        for file, (_, key) in zip(self.data_set.names, self.data_set.keys, strict=True):
            if self.version == "binary":
                text = self.content(file).decode("utf-8", "replace")
                names = [tidy(line) for line in text.strip().splitlines()]
            else:
                file, lines = self.data_set.meta, self.dictionary(self.data_set.meta)
                given = lines.get(key.encode())
                given = given if type(given) is list else []
                names = [tidy(name.decode("utf-8", "replace")) for name in _all(given, bytes)]
            if not names or "" in names:
                raise self.damaged(file, "does not name each class")
            found.append(names)
        return found

    def batch(self, name: str) -> _Batch:
        """A batch, whole.

        Raises:
            ImpastoError: it is damaged.
        """
        file = self.batch_file(name)
        if self.version == "binary":
            content = self.content(file)
            length = len(self.data_set.fields) + _PLANES
            if not content or len(content) % length:
                raise self.damaged(
                    file, f"has {len(content):,} bytes, which are no whole records of {length:,}"
                )
            records = np.frombuffer(content, np.uint8).reshape(-1, length)
            return _Batch(records[:, :-_PLANES].astype(np.int64), records[:, -_PLANES:])
        loaded = self.dictionary(file)
        data = loaded.get(b"data")
        planes = data.values if isinstance(data, Array) else None
        if planes is None or planes.ndim != 2 or planes.shape[1] != _PLANES or not len(planes):
            raise self.damaged(file, f"does not hold pictures of {_PLANES:,} bytes")
        columns = []
        for key, _ in self.data_set.keys:
            given = loaded.get(key.encode())
            numbers = list(_all(given, int)) if type(given) is list else []
            if len(numbers) != len(planes):
                raise self.damaged(file, f"does not hold a number in '{key}' for each picture")
            columns.append(numbers)
        return _Batch(np.array(columns, np.int64).T, planes)


def _all(things: list[Any], kind: type) -> Iterator[Any]:
    """The items of a type."""
    return (thing for thing in things if type(thing) is kind)


def _found(source: Source) -> list[_PublishedVersion]:
    """The versions in a source, in any folder.

    Two files with the right names are enough, so an incomplete version is recognised too; a single
    one may have its name by chance.
    """
    folders: dict[str, set[str]] = {}
    for path in source.tree.files:
        folder, _, name = path.rpartition("/")
        folders.setdefault(folder, set()).add(name)
    found = []
    for folder, files in folders.items():
        for data_set in _DATA_SETS:
            batch = data_set.training[0]
            binary = _PublishedVersion(data_set, "binary", source.tree, folder)
            if len(files & {*binary.files}) > 1:
                found.append(binary)
            elif {batch, data_set.meta} <= files:
                found.append(_PublishedVersion(data_set, "Python", source.tree, folder))
            elif {f"{batch}.mat", f"{data_set.meta}.mat"} <= files:
                found.append(_PublishedVersion(data_set, "Matlab", source.tree, folder))
    return found


def claims(source: Source, labels: tuple[str, ...] | None) -> bool:
    """A source with the files of a version (even one that is refused) at the top, or anywhere if it
    has no pictures."""
    if source.file is not None:
        return False
    found = _found(source)
    if any(not published.folder for published in found):
        return True
    return bool(found) and not any(
        suffix_of(name) in PICTURE_SUFFIXES for name in source.tree.files
    )


def _columns(data_set: _DataSet, labels: tuple[str, ...] | None) -> dict[str, int]:
    """The fields of the listing, and the index of each among a record's labels."""
    own = list(data_set.fields)
    if labels is None:
        labels = data_set.fields
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


def _pixels(
    load: Callable[[str], _Batch], counts: dict[str, int], numbers: Sequence[int]
) -> Iterator[np.ndarray]:
    """The pixels of some pictures, uint8 [32, 32, 3]; batches without any of them are not read."""
    first = 0
    for name, count in counts.items():
        wanted = [number - first for number in numbers if first <= number < first + count]
        if wanted:
            batch = load(name)
            if len(batch.planes) != count:
                raise ImpastoError(f"{name} was changed while it was packed; pack it again")
            for row in wanted:
                yield batch.planes[row].reshape(3, _SIDE, _SIDE).transpose(1, 2, 0)
        first += count


def read(source: Source, labels: tuple[str, ...] | None) -> Listing:
    """List the pictures; the test batch is held out, as the data set defines.

    Raises:
        ImpastoError: the version is unsupported, damaged or incomplete; there are several; or a
            label is unknown.
    """
    published, *others = _found(source)
    data_set = published.data_set
    if others:
        folders = [each.folder or "." for each in (published, *others)]
        raise ImpastoError(
            f"{source.path} holds CIFAR more than once, in {choices(folders)}; give one of them"
        )
    if published.version == "Matlab":
        raise ImpastoError(
            f"{source.path} is {data_set.name} in its Matlab version, which is not read; download "
            f"the binary or the Python version from {PAGE}"
        )
    columns = _columns(data_set, labels)
    if missing := [
        name for name in published.files if published.path(name) not in source.tree.files
    ]:
        raise ImpastoError(
            f"{source.path} lacks {choices(missing)} of {data_set.name}; download "
            f"{published.archive} again from {PAGE}"
        )

    classes = published.class_names()
    listing = Listing(f"{data_set.name}, {published.version} version", fields=tuple(columns))
    listing.left_out += source.tree.left_out
    counts: dict[str, int] = {}
    for name in data_set.batches:
        file = published.batch_file(name)
        given = published.batch(name).labels
        for column, names in zip(given.T, classes, strict=True):
            wrong = np.flatnonzero((column < 0) | (column >= len(names)))
            if len(wrong):
                raise published.damaged(
                    file,
                    f"is damaged: record {wrong[0]} is of class {column[wrong[0]]}, and there are "
                    f"{len(names)}, from 0",
                )
        counts[name] = len(given)
        stamp = source.tree.files[published.path(file)].stamp
        heldout = name == data_set.test
        for number, row in enumerate(given.tolist()):
            named = tuple(classes[column][row[column]] for column in columns.values())
            relative = f"{name}/{number:05}"
            entry = Entry(relative, None, f"{stamp}-{number}", named, heldout=heldout)
            listing.entries.append(entry)
    listing.contents = partial(_pixels, published.batch, counts)
    listing.decoded = True
    listing.notes.append(
        f"held out is the test part of {data_set.name} itself; --heldout and --seed have no effect"
    )
    return listing
