"""Read pictures from shards by index, through memory maps. Compressed pictures are decoded."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from impasto.collection.encoding import RAW, Stored, decode
from impasto.decoding.workers import available_cores
from impasto.errors import ImpastoError
from impasto.files import refuse_pointer_file
from impasto.resolution import Resolution, width_and_height

RESTORE = "restore it from a copy or pack the collection again"
"""What to do about a damaged file of a collection, for messages."""
_MAGIC = b"\x93NUMPY"
"""The first bytes of a `.npy` file."""


class ShardReader:
    """Reads the N pictures of one resolution, which are numbered consecutively through their shards.

    The files are memory-mapped, so that only requested pictures are read from the disk.

    Args:
        folder: where the shards are.
        resolution: of the pictures.
        encoding: `raw`, or a name in `ENCODINGS`.
        shards: the records of `ShardWriter.describe`.
        first: index of the first picture; that of a bucket's pictures in the whole collection.

    Raises:
        ImpastoError: a file is missing or has another length.
        ValueError: the files do not agree with their records.
    """

    def __init__(
        self,
        folder: Path,
        resolution: Resolution,
        encoding: str,
        shards: Sequence[dict[str, Any]],
        first: int = 0,
    ) -> None:
        self.folder = Path(folder)
        self.resolution = resolution
        width, height = width_and_height(resolution)
        self._shape = (height, width, 3)
        self._first = first
        self.encoding = encoding
        self.digests: dict[str, str] = {}
        """The recorded SHA-256 of each file, in order."""
        self._names = [file_name(shard["file"]) for shard in shards]
        self._shards: list[np.ndarray] = []
        """A raw shard's pixels [K, H, W, 3], or a compressed one's bytes."""
        self._offsets: list[np.ndarray] = []
        """For compressed shards, int64 [K + 1]: the start of each picture, and the end."""
        for name, shard in zip(self._names, shards, strict=True):
            self.digests[name] = str(shard["sha256"])
            if encoding == RAW:
                self._shards.append(self._map_raw(name, shard))
            else:
                offsets = self._map_offsets(shard)
                self.digests[shard["offsets"]["file"]] = str(shard["offsets"]["sha256"])
                self._offsets.append(offsets)
                self._shards.append(self._map_bytes(name, int(shard["bytes"]), int(offsets[-1])))
        self._starts = np.cumsum([0] + [int(shard["pictures"]) for shard in shards])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def pixels(self, indices: np.ndarray) -> np.ndarray:
        """Some pictures, uint8 [B, H, W, 3].

        Args:
            indices: integers [B] from `first` to `first` + N - 1, in any order, repeats allowed.

        Raises:
            IndexError: an index that is out of range or not an integer.
            ImpastoError: a compressed picture is damaged; the message names it and its file.
        """
        indices = self._checked(indices)
        if len(self._shards) == 1 and self.encoding == RAW:
            return np.take(self._shards[0], indices, axis=0)
        pixels = np.empty((len(indices), *self._shape), dtype=np.uint8)
        if self.encoding != RAW:

            def put(place: int) -> None:
                pixels[place] = self._decoded(int(indices[place]))

            _for_each(put, len(indices))
            return pixels
        shard_of = np.searchsorted(self._starts, indices, side="right") - 1
        for number in np.unique(shard_of):
            rows = shard_of == number
            pixels[rows] = self._shards[number][indices[rows] - self._starts[number]]
        return pixels

    def stored(self, indices: np.ndarray) -> Stored:
        """Some pictures as they are stored, so that `ShardWriter.append_stored` can copy them without
        decoding.

        Args:
            indices: as for `pixels`.

        Returns:
            uint8 [B, H, W, 3] of raw shards; else the encoded bytes of each picture.
        """
        if self.encoding == RAW:
            return self.pixels(indices)
        return [self._bytes(int(index)) for index in self._checked(indices)]

    def _checked(self, indices: np.ndarray) -> np.ndarray:
        """The indices, counted from 0.

        Raises:
            IndexError: an index is out of range or not an integer.
        """
        indices = np.asarray(indices)
        if indices.size == 0:
            indices = indices.astype(np.int64)
        if indices.ndim != 1 or indices.dtype.kind not in "iu":
            raise IndexError(f"indices are integers [B], not {indices.dtype} {indices.shape}")
        end = self._first + len(self)
        if len(indices) and not (indices.min() >= self._first and indices.max() < end):
            raise IndexError(f"indices are from {self._first} to below {end}")
        return indices - self._first if self._first else indices

    def _bytes(self, index: int) -> bytes:
        """The encoded bytes of a compressed picture, counted from 0."""
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        offsets = self._offsets[number]
        place = index - int(self._starts[number])
        return self._shards[number][int(offsets[place]) : int(offsets[place + 1])].tobytes()

    def _decoded(self, index: int) -> np.ndarray:
        try:
            return decode(self._bytes(index), self.encoding, self.resolution)
        except ValueError as error:
            number = int(np.searchsorted(self._starts, index, side="right")) - 1
            raise ImpastoError(
                f"{self.folder / self._names[number]} is damaged: picture {index + self._first} cannot "
                f"be decoded ({error}); {RESTORE}"
            ) from error

    def _map_raw(self, name: str, shard: dict[str, Any]) -> np.ndarray:
        check_size(self.folder / name, int(shard["bytes"]))
        # Plain arrays over the map, because indexing numpy.memmap costs more than the copy.
        pixels = np.asarray(load_array(self.folder / name, mmap_mode="r"))
        expected = (int(shard["pictures"]), *self._shape)
        if pixels.shape != expected or pixels.dtype != np.uint8:
            raise ValueError(f"{name} is {pixels.dtype} {pixels.shape}")
        return pixels

    def _map_offsets(self, shard: dict[str, Any]) -> np.ndarray:
        name = file_name(shard["offsets"]["file"])
        check_size(self.folder / name, int(shard["offsets"]["bytes"]))
        offsets = np.asarray(load_array(self.folder / name, mmap_mode="r"))
        if offsets.shape != (int(shard["pictures"]) + 1,) or offsets.dtype != np.int64:
            raise ValueError(f"{name} is {offsets.dtype} {offsets.shape}")
        if offsets[0] != 0 or (np.diff(offsets) <= 0).any():
            raise ImpastoError(f"{self.folder / name} is damaged: it does not rise; {RESTORE}")
        return offsets

    def _map_bytes(self, name: str, size: int, end: int) -> np.ndarray:
        path = self.folder / name
        check_size(path, size)
        if end != size:
            raise ValueError(f"{name} has {size} bytes, and its offsets end at {end}")
        try:
            return np.asarray(np.memmap(path, np.uint8, mode="r"))
        except FileNotFoundError:
            raise ImpastoError(f"{path} is missing; {RESTORE}") from None
        except (OSError, ValueError) as error:
            raise ImpastoError(f"{path} is damaged or too short ({error}); {RESTORE}") from error


def file_name(name: str) -> str:
    """Check that `name` is the name of a file, not a path to another folder.

    Raises:
        ValueError: it is a path.
    """
    if Path(name).name != name:
        raise ValueError(f"'{name}' is not a file's name")
    return name


def check_size(path: Path, size: int) -> None:
    """Check a file's length. A missing file passes; opening it raises the error.

    Args:
        path: of the file.
        size: recorded length in bytes.

    Raises:
        ImpastoError: the length differs, or the file is a Git LFS pointer.
    """
    refuse_pointer_file(path)
    if path.exists() and path.stat().st_size != size:
        raise ImpastoError(
            f"{path} has {path.stat().st_size} bytes where {size} are expected; {RESTORE}"
        )


def load_array(path: Path, **how: Any) -> np.ndarray:
    """Read a `.npy` file of a collection, without unpickling.

    Args:
        path: of the file.
        how: further arguments of `np.load`.

    Raises:
        ImpastoError: the file is missing, unreadable, damaged or a Git LFS pointer.
    """
    refuse_pointer_file(path)
    try:
        with path.open("rb") as file:
            is_array = file.read(len(_MAGIC)) == _MAGIC
        # NumPy might read another file as a zip of arrays, or recommend allow_pickle.
        array = np.load(path, allow_pickle=False, **how) if is_array else None
    except FileNotFoundError:
        raise ImpastoError(f"{path} is missing; {RESTORE}") from None
    except OSError as error:
        raise ImpastoError(f"{path} cannot be read ({error.strerror}); {RESTORE}") from error
    except Exception as error:  # whatever NumPy raises on a damaged header
        raise ImpastoError(f"{path} is damaged or too short; {RESTORE}") from error
    if array is None:
        raise ImpastoError(f"{path} is no array of numbers; {RESTORE}")
    return array


# Decoding in threads

_pools: dict[int, ThreadPoolExecutor] = {}
"""By process id: the thread pool. A forked process inherits a pool whose threads do not exist."""


def _thread_count() -> int:
    """The number of decoding threads: one for each core, divided among the processes that torchrun
    started on this machine (LOCAL_WORLD_SIZE)."""
    processes = os.environ.get("LOCAL_WORLD_SIZE", "")
    return max(1, available_cores() // max(1, int(processes) if processes.isdecimal() else 1))


def _pool() -> ThreadPoolExecutor:
    """The decoding threads, which all readers share; started on first use."""
    if os.getpid() not in _pools:
        _pools.clear()
        _pools[os.getpid()] = ThreadPoolExecutor(_thread_count(), "impasto-decode")
    return _pools[os.getpid()]


def _for_each(do: Callable[[int], None], count: int) -> None:
    """Call `do` with 0 to `count` - 1, in threads if there are several cores. The decoders release the
    GIL. The first error is raised."""
    parts = min(count, _thread_count())
    if parts <= 1:
        for place in range(count):
            do(place)
        return

    def work(part: int) -> None:
        for place in range(part, count, parts):
            do(place)

    list(_pool().map(work, range(parts)))
