"""Pictures that are fitted already, so that none is decoded twice: the parts of an interrupted or shared
packing, and an earlier collection.

A source picture is identified by a key: a digest of its path, its stamp and the fitting options. A part
is a folder with pixels in shards and facts about the source pictures in arrays. It is written
atomically. The order and the sizes of parts do not matter.
"""

import contextlib
import hashlib
import json
import sys
import time
import uuid
from collections.abc import Iterable, Sequence, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from impasto.collection.encoding import Stored
from impasto.collection.facts import KEY_BYTES, Facts, FactsWriter
from impasto.collection.options import PACKING_VERSION
from impasto.collection.shards import ShardReader
from impasto.collection.writer import ShardWriter, shard_prefix
from impasto.decoding.decode import DECODING_VERSION
from impasto.decoding.fingerprint import Fingerprint
from impasto.decoding.fit import Fitting, Frame
from impasto.errors import ImpastoError
from impasto.files import atomic_folder, read_json, write_json
from impasto.resolution import Resolution, are_buckets, area, nearest, parse_resolution, recorded
from impasto.sources.listing import Entry

SHARDS = "shards.json"

_PART_SECONDS = 2.0
"""A part is closed after this time, so that an interruption loses little work, ..."""
_PART_SHARE = 0.02
"""... but not before this share of the time so far, so that there are not too many parts."""


def entry_keys(
    entries: Iterable[Entry], fitting: Fitting, encodings: dict[Resolution, str]
) -> list[bytes]:
    """The key of each entry, `KEY_BYTES` bytes.

    Args:
        entries: of the listing.
        fitting: the options of fitting.
        encodings: the encoding of each resolution.
    """
    stored = [(recorded(side), encodings[side]) for side in sorted(encodings, key=area)]
    how = json.dumps([PACKING_VERSION, asdict(fitting), stored], sort_keys=True)
    texts = (json.dumps([how, entry.relative, entry.stamp]) for entry in entries)
    return [hashlib.sha256(text.encode()).digest()[:KEY_BYTES] for text in texts]


@dataclass(frozen=True)
class FittedSource:
    """A fitted source picture, with its encoded pixels."""

    stored: dict[Resolution, Stored]
    """By resolution: pixels, uint8 [K, H, W, 3], or K encoded pictures."""
    frames: list[Frame]
    """The part of the source picture that each of the K pictures shows."""
    width: int
    height: int
    sha256: str
    """SHA-256 of its file, 64 hexadecimal digits."""
    fingerprint: Fingerprint
    salvaged: bool
    """Whether the file was truncated but accepted."""
    file_bytes: int
    """See `Facts`, as for the next one."""
    guessed_bits: int


def frames_array(frames: Sequence[Frame]) -> np.ndarray:
    """The frames as in `Facts.frames`, float64 [K, 5]."""
    return np.array([(*frame.box, frame.mirrored) for frame in frames], np.float64).reshape(-1, 5)


class Piece:
    """The fitted pictures of a part or of a collection, by resolution, with the facts about them.

    Args:
        facts: about S source pictures.
        readers: by resolution: the readers of its pictures, one after the other.

    Raises:
        ValueError: the readers have another number of pictures than the facts say.
    """

    def __init__(self, facts: Facts, readers: dict[Resolution, list[ShardReader]]) -> None:
        self.facts = facts
        self._readers = readers
        """By resolution: readers whose pictures are numbered consecutively."""
        self._frames = np.cumsum(facts.counts) - facts.counts
        self._buckets = _buckets(facts, list(readers))
        self.firsts = np.zeros(len(facts.keys), np.int64)
        """The number of each source picture's first picture among those of its bucket, int64 [S]."""
        for size, some in readers.items():
            mine = np.array([bucket in (None, size) for bucket in self._buckets], bool)
            counts = facts.counts[mine]
            self.firsts[mine] = np.cumsum(counts) - counts
            if sum(map(len, some)) != counts.sum():
                raise ValueError(f"it has not {counts.sum()} pictures of {size} px")
        self.outdated: Set[bytes] = frozenset()
        """The keys of source pictures that must be decoded again."""
        self._unusable = np.cumsum(facts.counts == 0) - 1

    @classmethod
    def of_part(cls, folder: Path) -> "Piece":
        """Open a part.

        Raises:
            ImpastoError, OSError, ValueError, KeyError, TypeError: it is damaged.
        """
        part = read_json(folder / SHARDS, "part of a packing")
        if part["decoding_version"] != DECODING_VERSION:
            raise ValueError("it was decoded by another version")
        readers = {
            (resolution := parse_resolution(each["resolution"])): [
                ShardReader(folder, resolution, each["encoding"], each["shards"])
            ]
            for each in part["shards"]
        }
        return cls(Facts.read(folder), readers)

    def bucket(self, position: int) -> Resolution | None:
        """The bucket of a source picture; None if there are no buckets."""
        return self._buckets[position]

    def reason(self, position: int) -> str | None:
        """Why a source picture is unusable; None if it is usable."""
        if self.facts.counts[position]:
            return None
        return self.facts.reasons[self._unusable[position]]

    def frames(self, position: int) -> np.ndarray:
        """The frames of a source picture's pictures, float64 [K, 5]."""
        first = self._frames[position]
        return self.facts.frames[first : first + self.facts.counts[position]]

    def stored(self, resolution: Resolution, first: int, count: int) -> list[Stored]:
        """Pictures `first` to `first + count - 1` as they are stored, in one or several batches."""
        found: list[Stored] = []
        for reader in self._readers[resolution]:
            if count and first < len(reader):
                numbers = np.arange(first, min(first + count, len(reader)))
                found.append(reader.stored(numbers))
                first, count = first + len(numbers), count - len(numbers)
            first -= len(reader)
        return found

    def pixels(self, resolution: Resolution, number: int) -> np.ndarray:
        """The pixels of picture `number`, uint8 [1, H, W, 3]."""
        for reader in self._readers[resolution]:
            if number < len(reader):
                return reader.pixels(np.array([number]))
            number -= len(reader)
        raise IndexError(number)


class PartWriter:
    """Writes fitted pictures to parts in a folder, and begins a new part now and then.

    Args:
        folder: the folder for the parts.
        encodings: the encoding of each resolution.
    """

    def __init__(self, folder: Path, encodings: dict[Resolution, str]) -> None:
        self.folder = folder
        self.encodings = encodings
        self._stack = contextlib.ExitStack()
        self._facts = FactsWriter()
        self._writers: dict[Resolution, ShardWriter] = {}
        self._began = self._opened = time.monotonic()

    def __enter__(self) -> "PartWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # After an interruption or an error, too: finished pictures are kept.
        self.close()

    def add(self, key: bytes, result: FittedSource | str) -> None:
        """Store a source picture's result: pictures, or the reason why there are none."""
        if not self._writers:
            self._open()
        try:
            self._add(key, result)
        except BaseException:
            # The part is discarded, because its pixels and facts may not match.
            self._writers = {}
            self._stack.__exit__(*sys.exc_info())
            raise
        now = time.monotonic()
        if now - self._opened > max(_PART_SECONDS, _PART_SHARE * (now - self._began)):
            self.close()

    def _add(self, key: bytes, result: FittedSource | str) -> None:
        if isinstance(result, str):
            self._facts.add_unusable(key, result)
            return
        for resolution, stored in result.stored.items():
            self._writers[resolution].append_stored(stored)
        self._facts.add(
            key,
            bytes.fromhex(result.sha256),
            (result.width, result.height),
            frames_array(result.frames),
            result.fingerprint.record(),
            result.salvaged,
            result.file_bytes,
            result.guessed_bits,
        )

    def _open(self) -> None:
        folder = self._stack.enter_context(atomic_folder(self.folder / f"part-{uuid.uuid4().hex}"))
        sides = list(self.encodings)
        self._writers = {
            side: ShardWriter(folder, side, encoding, shard_prefix(side, sides))
            for side, encoding in self.encodings.items()
        }
        self._part, self._facts, self._opened = folder, FactsWriter(), time.monotonic()

    def close(self) -> None:
        """Finish the part that is being written, if there is one."""
        if not self._writers:
            return
        writers, self._writers = self._writers, {}
        with self._stack.pop_all():
            for writer in writers.values():
                writer.close()
            shards = [
                {
                    "resolution": recorded(side),
                    "encoding": writer.encoding,
                    "shards": writer.describe(),
                }
                for side, writer in writers.items()
            ]
            self._facts.facts().write(self._part)
            part = {"decoding_version": DECODING_VERSION, "shards": shards}
            write_json(self._part / SHARDS, part)


def _buckets(facts: Facts, sizes: Sequence[Resolution]) -> list[Resolution | None]:
    """The bucket of each source picture, as `Fitting.of` chooses it; None if there are no buckets."""
    if not are_buckets(sizes):
        return [None] * len(facts.keys)
    pictures = [(int(width), int(height)) for width, height in facts.sizes]
    # A size of 0 is that of an unusable picture, so any bucket will do.
    found = {each: nearest(*each, sizes) if all(each) else sizes[0] for each in set(pictures)}
    return [found[picture] for picture in pictures]


def piece_of_collection(folder: Path, description: dict[str, Any]) -> Piece:
    """Open a collection, excluded duplicates included, as a piece for another packing.

    Args:
        folder: the collection's folder.
        description: its `collection.json`.

    Raises:
        ImpastoError, OSError, ValueError, KeyError, TypeError: it is damaged, or was packed by a version
            that did not store facts.
    """
    readers: dict[Resolution, list[ShardReader]] = {}
    for each in (*description["pixels"], *description["aside"]):
        side = parse_resolution(each["resolution"])
        reader = ShardReader(folder, side, each["encoding"], each["shards"])
        readers.setdefault(side, []).append(reader)
    if not readers:
        raise ValueError("it names no pictures")
    return Piece(Facts.read(folder), readers)


def open_parts(folder: Path) -> list[Piece]:
    """Open the parts in a folder. Damaged ones are skipped, so their pictures are fitted again."""
    pieces = []
    for part in sorted(folder.glob("part-*")):
        with contextlib.suppress(ImpastoError, OSError, ValueError, KeyError, TypeError):
            pieces.append(Piece.of_part(part))
    return pieces


class FittedIndex:
    """An index of the fitted source pictures of some pieces by their keys."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = list(pieces)
        self._places: dict[bytes, tuple[int, int]] = {}
        for number, piece in enumerate(self.pieces):
            for position, key in enumerate(map(np.ndarray.tobytes, piece.facts.keys)):
                if key not in piece.outdated:
                    self._places[key] = (number, position)

    def find(self, key: bytes) -> tuple[Piece, int] | None:
        """The piece that has the source picture of this key, and its position there; None if there is
        none."""
        place = self._places.get(key)
        return None if place is None else (self.pieces[place[0]], place[1])
