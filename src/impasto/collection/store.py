"""A packed collection, opened: pixels by memory map, labels, splits and where each came from."""

import csv
import hashlib
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from impasto.collection.listing import holds_pictures
from impasto.errors import ImpastoError, choices
from impasto.files import read_json, sha256_of_file

FORMAT = "impasto collection"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class LabelField:
    """A kind of label, such as style, with its classes sorted by name."""

    name: str
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    """Pictures for training of each class."""


def content_hash(
    resolution: int,
    shard_digests: list[str],
    labels_digest: str,
    split_digest: str,
    fields: list[tuple[str, tuple[str, ...]]],
) -> str:
    """SHA-256 over everything that training reads of a collection, 64 hexadecimal digits."""
    text = json.dumps(
        {
            "resolution": resolution,
            "shards": shard_digests,
            "labels": labels_digest,
            "split": split_digest,
            "fields": [[name, list(classes)] for name, classes in fields],
        },
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def pack_command(folder: Path, resolution: int) -> str:
    """The command that makes a collection of a folder of pictures."""
    name = folder.resolve().name or "pictures"
    destination = Path("collections") / f"{name}-{resolution}"
    return (
        f"impasto pack {shlex.quote(str(folder))} {shlex.quote(str(destination))} "
        f"--resolution {resolution}"
    )


def check_is_collection(path: Path, resolution: int) -> None:
    """Say what to do instead where `path` is no collection.

    Raises:
        ImpastoError: nothing is there, or a file, or a folder of pictures, or another folder.
    """
    if not path.exists():
        raise ImpastoError(
            f"there is no {path}; give a collection made with `impasto pack`, or the word masters"
        )
    if (path / "collection.json").is_file():
        return
    if path.is_dir() and holds_pictures(path):
        raise ImpastoError(
            f"{path} is a folder of pictures, not a collection; first run "
            f"`{pack_command(path, resolution)}`"
        )
    raise ImpastoError(
        f"{path} is not a collection: a collection is a folder made with `impasto pack`, with a "
        "collection.json in it"
    )


class Collection:
    """A packed collection. Made by `Collection.open`; nothing in it is ever changed.

    It pickles as its path, so that a worker process maps the same files and copies no pixels.
    """

    path: Path
    name: str
    resolution: int
    content_hash: str
    fields: tuple[LabelField, ...]
    fit: str
    """How pictures were made square: crop, squash, pad or tiles."""
    labels: np.ndarray
    """int64 [N, F]: a column a field, a class's position in it or -1 for unknown."""
    train_indices: np.ndarray
    """int64: the pictures for training."""
    heldout_indices: np.ndarray
    """int64: the others."""
    sources: np.ndarray
    """int64 [N]: each picture's source picture, a row of `source_table()`."""

    def __init__(self, path: Path) -> None:
        self.path = path = Path(path)
        description = read_json(path / "collection.json", "collection")
        self._check_format(description)
        try:
            self._read(description)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ImpastoError(
                f"{path / 'collection.json'} is damaged ({error}); pack the collection again"
            ) from error

    @classmethod
    def open(cls, path: Path) -> "Collection":
        """Open the collection in folder `path`.

        Raises:
            ImpastoError: it is not a collection, is of an unknown format, or has files that are
                missing, too short or do not fit together.
        """
        check_is_collection(Path(path), resolution=64)
        return cls(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return Collection, (self.path,)

    def __repr__(self) -> str:
        return f"<Collection {self.name}: {len(self)} pictures of {self.resolution} px>"

    def _check_format(self, description: Any) -> None:
        if not isinstance(description, dict) or description.get("format") != FORMAT:
            raise ImpastoError(f"{self.path / 'collection.json'} is not of an impasto collection")
        version = description.get("format_version")
        if version != FORMAT_VERSION:
            raise ImpastoError(
                f"{self.path} is of collection format {version}, and this impasto reads "
                f"{FORMAT_VERSION}; update impasto, or pack the pictures again"
            )

    def _read(self, description: dict[str, Any]) -> None:
        self.name = str(description["name"])
        self.resolution = int(description["resolution"])
        self.content_hash = str(description["content_hash"])
        self.fit = str(description["fit"]["name"])
        self._count = int(description["count"])
        self._shard_digests = {
            self._file_name(shard["file"]): str(shard["sha256"]) for shard in description["shards"]
        }
        self._array_digests = {
            self._file_name(file): str(digest) for file, digest in description["arrays"].items()
        }
        self._shards = [
            self._map_shard(shard["file"], int(shard["pictures"]), int(shard["bytes"]))
            for shard in description["shards"]
        ]
        self._starts = np.cumsum([0] + [len(shard) for shard in self._shards])
        if self._starts[-1] != self._count:
            raise ValueError(f"its shards hold {self._starts[-1]} pictures, not {self._count}")
        classes = [
            (str(field["name"]), tuple(str(item["name"]) for item in field["classes"]))
            for field in description["fields"]
        ]
        self.labels = self._array("labels.npy", (self._count, len(classes)), np.int64)
        split = self._array("split.npy", (self._count,), np.uint8)
        self.sources = self._array("source.npy", (self._count,), np.int64)
        if not np.isin(split, (0, 1)).all():
            raise ValueError("split.npy holds other values than 0 and 1")
        self.train_indices = np.flatnonzero(split == 0).astype(np.int64)
        self.heldout_indices = np.flatnonzero(split == 1).astype(np.int64)
        self.fields = tuple(
            LabelField(name, names, self._train_counts(column, len(names)))
            for column, (name, names) in enumerate(classes)
        )

    def _train_counts(self, column: int, classes: int) -> tuple[int, ...]:
        labels = self.labels[:, column]
        if len(labels) and not (labels.min() >= -1 and labels.max() < classes):
            raise ValueError(f"labels.npy holds a class that column {column} does not have")
        known = labels[self.train_indices]
        return tuple(np.bincount(known[known >= 0], minlength=classes).tolist())

    @staticmethod
    def _file_name(name: str) -> str:
        # A name from a file must not lead out of the folder.
        if Path(name).name != name:
            raise ValueError(f"'{name}' is not a file's name")
        return name

    def _load(self, name: str, **how: Any) -> np.ndarray:
        path = self.path / name
        try:
            return np.load(path, allow_pickle=False, **how)
        except FileNotFoundError:
            raise ImpastoError(
                f"{path} is missing; restore it from a copy or pack the collection again"
            ) from None
        except (OSError, ValueError, EOFError) as error:
            raise ImpastoError(
                f"{path} is damaged or too short ({error}); restore it from a copy or pack the "
                "collection again"
            ) from error

    def _array(self, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        array = self._load(name)
        if array.shape != shape or array.dtype != dtype:
            raise ImpastoError(
                f"{self.path / name} is {array.dtype} {array.shape} where {np.dtype(dtype)} {shape} "
                "is expected; restore it from a copy or pack the collection again"
            )
        array.flags.writeable = False
        return array

    def _map_shard(self, name: str, pictures: int, size: int) -> np.ndarray:
        path = self.path / name
        if path.exists() and path.stat().st_size != size:
            raise ImpastoError(
                f"{path} has {path.stat().st_size} bytes where {size} are expected; restore it from "
                "a copy or pack the collection again"
            )
        # Plain arrays over the map: numpy.memmap's own indexing costs more than the copy.
        shard = np.asarray(self._load(name, mmap_mode="r"))
        if (
            shard.shape != (pictures, self.resolution, self.resolution, 3)
            or shard.dtype != np.uint8
        ):
            raise ValueError(f"{name} is {shard.dtype} {shard.shape}")
        return shard

    def __len__(self) -> int:
        """All pictures, for training or held out."""
        return self._count

    def images(self, indices: np.ndarray) -> np.ndarray:
        """The pixels of some pictures, uint8 [B, H, W, 3].

        Args:
            indices: integers [B] from 0 to N - 1, in any order, repeats allowed.

        Raises:
            IndexError: an index that is out of range or not an integer.
        """
        indices = np.asarray(indices)
        if indices.size == 0:
            indices = indices.astype(np.int64)
        if indices.ndim != 1 or indices.dtype.kind not in "iu":
            raise IndexError(f"indices are integers [B], not {indices.dtype} {indices.shape}")
        if len(indices) and not (indices.min() >= 0 and indices.max() < self._count):
            raise IndexError(f"indices are from 0 to {self._count - 1}")
        if len(self._shards) == 1:
            return np.take(self._shards[0], indices, axis=0)
        side = self.resolution
        pixels = np.empty((len(indices), side, side, 3), dtype=np.uint8)
        shard_of = np.searchsorted(self._starts, indices, side="right") - 1
        for number in np.unique(shard_of):
            rows = shard_of == number
            pixels[rows] = self._shards[number][indices[rows] - self._starts[number]]
        return pixels

    def field(self, name: str) -> int:
        """The column of field `name` in `labels`.

        Raises:
            ImpastoError: there is no such field; the message lists those there are.
        """
        names = [field.name for field in self.fields]
        if name not in names:
            raise ImpastoError(f"no label field '{name}' in {self.name}; there is {choices(names)}")
        return names.index(name)

    def source_table(self) -> list[dict[str, str]]:
        """The rows of `sources.csv`, one a source picture: path, title, artist, licence, ...

        Raises:
            ImpastoError: the table is missing or unreadable.
        """
        path = self.path / "sources.csv"
        try:
            with path.open(encoding="utf-8", newline="") as file:
                return list(csv.DictReader(file))
        except FileNotFoundError:
            raise ImpastoError(f"{path} is missing; restore it from a copy") from None
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise ImpastoError(f"cannot read {path}: {error}") from error

    def fingerprint(self) -> list[list[str | int]]:
        """Name, size and time of writing of each file that `verify` reads: the same as long as nobody
        has written to them, and quick to ask for."""
        names = sorted({**self._shard_digests, **self._array_digests})
        files = ((name, (self.path / name).stat()) for name in names)
        return [[name, status.st_size, status.st_mtime_ns] for name, status in files]

    def verify(self) -> None:
        """Read every file again and compare it with what was packed; takes a while.

        Raises:
            ImpastoError: a file has changed, or the content hash is not that of the files.
        """
        digests = {**self._shard_digests, **self._array_digests}
        for file, expected in digests.items():
            path = self.path / file
            try:
                found = sha256_of_file(path)
            except OSError as error:
                raise ImpastoError(f"cannot read {path}: {error.strerror or error}") from error
            if found != expected:
                raise ImpastoError(
                    f"{path} has changed since it was packed; restore it from a copy or pack the "
                    "collection again"
                )
        expected = content_hash(
            self.resolution,
            list(self._shard_digests.values()),
            self._array_digests["labels.npy"],
            self._array_digests["split.npy"],
            [(field.name, field.classes) for field in self.fields],
        )
        if expected != self.content_hash:
            raise ImpastoError(
                f"{self.path / 'collection.json'} has changed since it was packed: its content hash "
                "is not that of its files"
            )
