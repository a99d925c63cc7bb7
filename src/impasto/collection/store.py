"""An opened collection: pictures, labels, split and sources."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from impasto.collection.checking import check_is_collection
from impasto.collection.encoding import RAW
from impasto.collection.hashes import content_hash, restricted_hash
from impasto.collection.restricting import select_pictures
from impasto.collection.shards import RESTORE, ShardReader, file_name, load_array
from impasto.collection.tables import read_table
from impasto.errors import ImpastoError, choices
from impasto.files import expand_home, read_json, sha256_of_file
from impasto.formatting import counted, titled
from impasto.resolution import Resolution, are_buckets, area, parse_resolution, sides, times

FORMAT = "impasto collection"
FORMAT_VERSION = 2
BUCKETS_VERSION = 3
"""Of a collection in buckets, which earlier versions do not read."""
_READABLE = (1, FORMAT_VERSION, BUCKETS_VERSION)
"""Format 1 has a single, raw resolution."""


@dataclass(frozen=True)
class LabelField:
    """A kind of label, such as style, with its classes sorted by name."""

    name: str
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    """The number of training pictures of each class."""


class Collection:
    """A packed collection at one of its resolutions, opened by `Collection.open`; it is read-only.

    It pickles as its path, resolution and condition, so that worker processes map the same files.
    """

    path: Path
    name: str
    resolution: Resolution
    """Side of the square pictures in pixels, or the width and height of rectangles."""
    resolutions: tuple[Resolution, ...]
    """All packed resolutions, rising, or all buckets; `at` opens another one."""
    bucketed: bool
    """Whether the pictures are in buckets, sizes of different proportions. Then this object has the
    pictures of one bucket."""
    encoding: str
    """`raw`, or the name of a compression."""
    condition: str | None
    """The condition that its pictures meet; None: it has all packed ones. See `only`."""
    content_hash: str
    """SHA-256 of this resolution's contents and of the condition, 64 hexadecimal digits."""
    fields: tuple[LabelField, ...]
    fit: str
    """How pictures were brought to their size: crop, squash, pad, tiles or aspect."""
    labels: np.ndarray
    """int64 [N, F]: index of the class in each of the F fields, -1 for unknown, of all N packed
    pictures, also those of other buckets."""
    span: range
    """The indices of all pictures at this resolution: 0 to N - 1, or those of the bucket."""
    train_indices: np.ndarray
    """int64 [T]: the training pictures that meet the condition, rising."""
    heldout_indices: np.ndarray
    """int64 [H]: the held-out pictures that meet the condition, rising."""
    split: np.ndarray
    """uint8 [N]: 1 where a picture is held out, else 0; whatever the bucket and the condition."""
    sources: np.ndarray
    """int64 [N]: the source picture of each picture, as a row of `source_table()`."""

    def __init__(
        self, path: Path, resolution: Resolution | None = None, condition: str | None = None
    ) -> None:
        self.path = path = Path(path)
        self.condition = None
        self._true: np.ndarray | None = None  # bool [N]: whether the condition is true
        description = read_json(path / "collection.json", "collection")
        self._check_format(description)
        try:
            self._read(description, resolution)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise ImpastoError(
                f"{path / 'collection.json'} is damaged ({error}); pack the collection again"
            ) from error
        if condition is not None:
            self._restrict(condition)

    @classmethod
    def open(cls, path: str | Path, resolution: Resolution | None = None) -> "Collection":
        """Open a collection.

        Args:
            path: the collection's folder.
            resolution: a packed resolution in pixels, or a bucket; None: the largest, or the bucket with
                the most pictures.

        Raises:
            ImpastoError: the folder is not a collection, has an unknown format, lacks the resolution,
                or has missing, truncated or inconsistent files.
        """
        path = expand_home(path)
        check_is_collection(path, resolution=resolution or 64)
        return cls(path, resolution)

    def __repr__(self) -> str:
        fields = "".join(f", {f.name} of {counted(len(f.classes), 'class')}" for f in self.fields)
        size = f"{counted(len(self), 'picture')} of {self.resolution} px"
        return f"<Collection {self.title}: {size}{fields}>"

    @property
    def title(self) -> str:
        """The name, with the condition if there is one: `paintings (only style = 'Realism')`."""
        return titled(self.name, self.condition)

    @property
    def indices(self) -> np.ndarray:
        """int64 [T + H]: the training and the held-out pictures, rising."""
        return np.sort(np.concatenate([self.train_indices, self.heldout_indices]))

    def at(self, resolution: Resolution) -> "Collection":
        """The same pictures at another of `resolutions`, or the pictures of another bucket.

        Raises:
            ImpastoError: the collection is not packed at this resolution.
        """
        if resolution == self.resolution:
            return self
        return Collection(self.path, resolution, self.condition)

    def views(self) -> "list[Collection]":
        """The collection at each of its buckets; only itself if there are no buckets."""
        return [self.at(size) for size in self.resolutions] if self.bucketed else [self]

    def is_at(self, content_hash: str) -> bool:
        """Whether `content_hash` is this collection's at any of its buckets."""
        others = self.resolutions if self.bucketed else ()
        return content_hash in (self.content_hash, *map(self._hash_at, others))

    def _hash_at(self, resolution: Resolution) -> str:
        """The content hash at a resolution, computed without opening the pictures there."""
        largest = resolution == self._largest
        whole = self._largest_hash if largest else self._computed_hash(resolution)
        true, condition = self._true, str(self.condition)
        return whole if true is None else restricted_hash(whole, condition, true)

    def view_for(self, size: Resolution) -> "Collection":
        """The collection at the bucket whose sides are a whole multiple of `size`; itself if there is
        none."""
        able = [each for each in self.resolutions if self.bucketed and times(each, size)]
        return self.at(able[0]) if able else self

    def only(self, condition: str | None) -> "Collection":
        """The part of the collection that meets a condition, in both splits.

        Indices, fields and classes stay those of the whole collection. The content hash changes.

        Args:
            condition: as for `pack --where`, on label fields and the columns of `sources.csv`, such as
                `style = 'Ukiyo-e' and year < 1850`; `style=Ukiyo-e` for a single class; None: all.

        Raises:
            ImpastoError: the condition cannot be parsed, names an unknown column or class, or is true
                of no training picture.
        """
        if condition is None:
            return self
        part = Collection(self.path, self.resolution, condition)
        if self.condition is None or self.condition == part.condition:
            return part
        return Collection(self.path, self.resolution, f"({self.condition}) and ({part.condition})")

    def _restrict(self, condition: str) -> None:
        said, true = select_pictures(
            condition, self.fields, self.labels, self.sources, self.source_table()
        )
        train = self.train_indices[true[self.train_indices]]
        if not len(train):
            raise ImpastoError(
                f"{said} is true of none of the {counted(len(self.train_indices), 'training picture')} "
                f"of {self.name}"
            )
        self.condition, self._true = said, true
        self.content_hash = self._hash_at(self.resolution)
        self.train_indices = train
        self.heldout_indices = self.heldout_indices[true[self.heldout_indices]]
        self.fields = tuple(
            replace(field, counts=self._train_counts(column, len(field.classes)))
            for column, field in enumerate(self.fields)
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return Collection, (self.path, self.resolution, self.condition)

    def _check_format(self, description: Any) -> None:
        if not isinstance(description, dict) or description.get("format") != FORMAT:
            raise ImpastoError(f"{self.path / 'collection.json'} is not of an impasto collection")
        version = description.get("format_version")
        if version not in _READABLE:
            raise ImpastoError(
                f"{self.path} is of collection format {version}, and this impasto reads "
                f"{' and '.join(map(str, _READABLE))}; update impasto, or pack the pictures again"
            )

    def _read(self, description: dict[str, Any], resolution: Resolution | None) -> None:
        self.name = str(description["name"])
        self._largest_hash = str(description["content_hash"])
        self.fit = str(description["fit"]["name"])
        self._count = int(description["count"])
        self._read_sizes(description, resolution)
        self._table_digests = {
            file_name(file): str(digest) for file, digest in description.get("tables", {}).items()
        }
        self._array_digests = {
            file_name(file): str(digest) for file, digest in description["arrays"].items()
        }
        self._shards = self._reader(self._pixels, self.span.start)
        if len(self._shards) != len(self.span):
            raise ValueError(f"its shards hold {len(self._shards)} pictures, not {len(self.span)}")
        classes = [
            (str(field["name"]), tuple(str(item["name"]) for item in field["classes"]))
            for field in description["fields"]
        ]
        self.labels = self._array("labels.npy", (self._count, len(classes)), np.int64)
        self.split = self._array("split.npy", (self._count,), np.uint8)
        self.sources = self._array("source.npy", (self._count,), np.int64)
        if not np.isin(self.split, (0, 1)).all():
            raise ValueError("split.npy holds other values than 0 and 1")
        mine = self.split[self.span.start : self.span.stop]
        self.train_indices = self.span.start + np.flatnonzero(mine == 0).astype(np.int64)
        self.heldout_indices = self.span.start + np.flatnonzero(mine == 1).astype(np.int64)
        self.fields = tuple(
            LabelField(name, names, self._train_counts(column, len(names)))
            for column, (name, names) in enumerate(classes)
        )
        self.content_hash = self._hash_at(self.resolution)

    def _read_sizes(self, description: dict[str, Any], resolution: Resolution | None) -> None:
        """Read the list of sizes or buckets, and choose one."""
        self._largest = largest = parse_resolution(description["resolution"])
        if "pixels" in description:
            pixels = description["pixels"]
        else:
            pixels = [
                {
                    "resolution": description["resolution"],
                    "encoding": RAW,
                    "shards": description["shards"],
                }
            ]
        self._pixels = {parse_resolution(each["resolution"]): each for each in pixels}
        self._excluded = {
            parse_resolution(each["resolution"]): each for each in description.get("aside", [])
        }
        self.resolutions = tuple(sorted(self._pixels, key=area))
        self.bucketed = are_buckets(self.resolutions)
        if self.bucketed:
            self.resolutions = tuple(self._pixels)
        elif largest != self.resolutions[-1]:
            raise ValueError(
                f"its largest pictures are of {self.resolutions[-1]} px, not {largest}"
            )
        self.resolution = largest if resolution is None else resolution
        if self.resolution not in self._pixels:
            raise ImpastoError(
                f"{self.path} is packed at {sides(self.resolutions)}, not at {resolution} px; pack "
                f"the pictures again with --resolution {resolution}"
            )
        self.encoding = str(self._pixels[self.resolution]["encoding"])
        self.span = range(self._count)
        if self.bucketed:
            described = self._pixels[self.resolution]
            first = int(described["first"])
            self.span = range(self._count)[first : first + int(described["pictures"])]

    def _reader(self, pixels: dict[Resolution, dict[str, Any]], first: int = 0) -> ShardReader:
        described = pixels[self.resolution]
        encoding = str(described["encoding"])
        return ShardReader(self.path, self.resolution, encoding, described["shards"], first)

    def _computed_hash(self, resolution: Resolution) -> str:
        """The content hash from the digests in `collection.json`. It covers all buckets."""
        others = [size for size in self.resolutions if self.bucketed and size != resolution]
        return content_hash(
            resolution,
            [
                str(shard["sha256"])
                for size in (resolution, *others)
                for shard in self._pixels[size]["shards"]
            ],
            self._array_digests["labels.npy"],
            self._array_digests["split.npy"],
            [(field.name, field.classes) for field in self.fields],
        )

    def _train_counts(self, column: int, classes: int) -> tuple[int, ...]:
        labels = self.labels[:, column]
        if len(labels) and not (labels.min() >= -1 and labels.max() < classes):
            raise ValueError(f"labels.npy holds a class that column {column} does not have")
        known = labels[self.train_indices]
        return tuple(np.bincount(known[known >= 0], minlength=classes).tolist())

    def _array(self, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        array = load_array(self.path / name)
        if array.shape != shape or array.dtype != dtype:
            raise ImpastoError(
                f"{self.path / name} is {array.dtype} {array.shape} where {np.dtype(dtype)} {shape} "
                f"is expected; {RESTORE}"
            )
        array.flags.writeable = False
        return array

    def __len__(self) -> int:
        """The number of pictures, training and held-out."""
        return len(self.train_indices) + len(self.heldout_indices)

    def images(self, indices: np.ndarray) -> np.ndarray:
        """The pixels of some pictures, uint8 [B, H, W, 3].

        Args:
            indices: integers [B] in `span`, in any order, repeats allowed.

        Raises:
            IndexError: an index that is out of range or not an integer.
            ImpastoError: a compressed picture is damaged.
        """
        return self._shards.pixels(indices)

    def stored(self) -> dict[Resolution, tuple[str, int]]:
        """The encoding and the bytes on disk, by resolution."""
        return {
            side: (
                str(described["encoding"]),
                sum(int(shard["bytes"]) for shard in described["shards"]),
            )
            for side, described in ((side, self._pixels[side]) for side in self.resolutions)
        }

    def excluded(self) -> ShardReader:
        """The excluded duplicates at this resolution, in the order of their rows in
        `duplicates_table()` (those with `kept` 0).

        Raises:
            ImpastoError: their description or a file is damaged.
        """
        if not self._excluded:
            return ShardReader(self.path, self.resolution, RAW, [])
        try:
            return self._reader(self._excluded)
        except (KeyError, TypeError, ValueError) as error:
            raise ImpastoError(
                f"{self.path / 'collection.json'} is damaged ({error}); pack the collection again"
            ) from error

    def field(self, name: str) -> int:
        """The column of field `name` in `labels`.

        Raises:
            ImpastoError: there is no such field; the message lists the fields.
        """
        names = [field.name for field in self.fields]
        if name not in names:
            raise ImpastoError(f"no label field '{name}' in {self.name}; there is {choices(names)}")
        return names.index(name)

    def source_table(self) -> list[dict[str, str]]:
        """The rows of `sources.csv`, one for each source picture: path, title, artist, licence, ...

        Raises:
            ImpastoError: the table is missing or unreadable, or has fewer rows than there are source
                pictures.
        """
        rows = read_table(self.path / "sources.csv")
        needed = int(self.sources.max(initial=-1)) + 1
        if len(rows) < needed:
            table = self.path / "sources.csv"
            raise ImpastoError(
                f"{table} has {len(rows):,} rows and should have {needed:,}; {RESTORE}"
            )
        return rows

    def duplicates_table(self) -> list[dict[str, str]]:
        """The rows of `duplicates.csv`, one for each source picture with duplicates, sorted by group:
        group, path, kept (1 or 0), kind (exact, near or features), distance, row (index of its first
        picture, in the collection or among the excluded ones), ...; empty for format 1."""
        return read_table(self.path / "duplicates.csv", required=False)

    def alike_table(self) -> list[dict[str, str]]:
        """The rows of `alike.csv`, one for each source picture that is alike others, sorted by set:
        set, path, row (index of its first picture), width, height; empty for older collections."""
        return read_table(self.path / "alike.csv", required=False)

    def left_out_table(self) -> list[dict[str, str]]:
        """The rows of `left-out.csv`, one for each unusable picture: path, reason."""
        return read_table(self.path / "left-out.csv")

    def forgotten_table(self) -> list[dict[str, str]]:
        """The rows of `forgotten.csv`, one for each source picture removed after packing: path,
        sha256, when."""
        return read_table(self.path / "forgotten.csv", required=False)

    def fingerprint(self) -> list[list[str | int]]:
        """Name, size and modification time of each file that `verify` reads: a quick check for
        changes."""
        names = sorted({**self._shards.digests, **self._array_digests})
        files = ((name, (self.path / name).stat()) for name in names)
        return [[name, status.st_size, status.st_mtime_ns] for name, status in files]

    def verify(self, *, everything: bool = False) -> None:
        """Check every file of this resolution against its recorded digest.

        Args:
            everything: also check other resolutions, excluded duplicates and tables.

        Raises:
            ImpastoError: a file or the content hash does not match.
        """
        digests = {**self._shards.digests, **self._array_digests}
        if everything:
            digests |= self._table_digests
            for resolution in self.resolutions:
                view = self.at(resolution)
                digests |= view._shards.digests | view.excluded().digests
        for file, expected in digests.items():
            path = self.path / file
            try:
                found = sha256_of_file(path)
            except FileNotFoundError:
                raise ImpastoError(f"{path} is missing; {RESTORE}") from None
            except OSError as error:
                raise ImpastoError(f"cannot read {path}: {error.strerror or error}") from error
            if found != expected:
                raise ImpastoError(f"{path} has changed since it was packed; {RESTORE}")
        if self._computed_hash(self._largest) != self._largest_hash:
            raise ImpastoError(
                f"{self.path / 'collection.json'} has changed since it was packed: its content hash "
                "is not that of its files"
            )
