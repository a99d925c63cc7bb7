"""Pictures fitted already, so that nothing is decoded twice: the parts of an interrupted or shared
packing, and an earlier collection.

A picture is identified by a key: a digest of its name, its stamp and the fitting options. A part is
a folder with pixels in shards and facts about them in arrays; it appears whole or not at all. The
order and sizes of parts do not matter.
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
from impasto.collection.options import PACKING_VERSION
from impasto.collection.shards import ShardReader
from impasto.collection.writer import ShardWriter, shard_prefix
from impasto.decoding.decode import DECODING_VERSION
from impasto.decoding.fingerprint import FINGERPRINT, Fingerprint
from impasto.decoding.fit import Fitting, Frame
from impasto.errors import ImpastoError
from impasto.files import atomic_folder, read_json, write_json
from impasto.formatting import error_text
from impasto.resolution import Resolution, are_buckets, area, nearest, parse_resolution, recorded
from impasto.sources.listing import Entry

KEY_BYTES = 16

FACTS, FINGERPRINTS, SHARDS = "facts.npz", "looks.npy", "shards.json"

_PART_SECONDS = 2.0
"""A part is closed after this time, so that an interruption costs little, ..."""
_PART_SHARE = 0.02
"""... or after this share of the time so far, so that there are not too many."""


def entry_keys(
    entries: Iterable[Entry], fitting: Fitting, encodings: dict[Resolution, str]
) -> list[bytes]:
    """The key of each source picture's fitted pixels."""
    stored = [(recorded(side), encodings[side]) for side in sorted(encodings, key=area)]
    how = json.dumps([PACKING_VERSION, asdict(fitting), stored], sort_keys=True)
    texts = (json.dumps([how, entry.relative, entry.stamp]) for entry in entries)
    return [hashlib.sha256(text.encode()).digest()[:KEY_BYTES] for text in texts]


@dataclass(frozen=True)
class FittedSource:
    """A fitted source picture, with its encoded pixels."""

    stored: dict[Resolution, Stored]
    """By resolution: uint8 [K, H, W, 3], or K encoded pictures."""
    frames: list[Frame]
    width: int
    height: int
    sha256: str
    fingerprint: Fingerprint
    salvaged: bool
    file_bytes: int
    guessed_bits: int


@dataclass
class Facts:
    """Facts about S source pictures with N fitted ones, as arrays.

    Attributes:
        keys: uint8 [S, 16], see `entry_keys`.
        sha256: of the files, uint8 [S, 32].
        sizes: width and height, int32 [S, 2].
        counts: the number of pictures from each, int64 [S]; 0 if unusable.
        reasons: the reasons of the unusable ones, in order.
        frames: left, top, right, bottom, mirrored of each picture, float64 [N, 5].
        fingerprints: `fingerprint.FINGERPRINT` [S].
        salvaged: whether the file was truncated but accepted, bool [S].
        file_bytes: lengths of the files, int64 [S]; of the pixels if there is no file.
        guessed_bits: the guessed number of significant bits in 16, uint8 [S]; 0: nothing was
            guessed.
    """

    keys: np.ndarray
    sha256: np.ndarray
    sizes: np.ndarray
    counts: np.ndarray
    reasons: list[str]
    frames: np.ndarray
    fingerprints: np.ndarray
    salvaged: np.ndarray
    file_bytes: np.ndarray
    guessed_bits: np.ndarray

    def write(self, folder: Path) -> None:
        """Write `facts.npz` and `looks.npy`."""
        reasons = np.frombuffer("\n".join(self.reasons).encode(), np.uint8)
        with (folder / FACTS).open("wb") as file:
            np.savez(
                file,
                keys=self.keys,
                sha256=self.sha256,
                sizes=self.sizes,
                counts=self.counts,
                reasons=reasons,
                frames=self.frames,
                salvaged=self.salvaged,
                file_bytes=self.file_bytes,
                guessed_bits=self.guessed_bits,
            )
        np.save(folder / FINGERPRINTS, self.fingerprints, allow_pickle=False)

    @classmethod
    def read(cls, folder: Path) -> "Facts":
        """Read both files.

        Raises:
            ValueError: they are missing or damaged.
        """
        try:
            with np.load(folder / FACTS, allow_pickle=False) as arrays:
                reasons = bytes(arrays["reasons"]).decode()
                facts = cls(
                    arrays["keys"],
                    arrays["sha256"],
                    arrays["sizes"],
                    arrays["counts"],
                    reasons.split("\n") if reasons else [],
                    arrays["frames"],
                    np.load(folder / FINGERPRINTS, mmap_mode="r", allow_pickle=False),
                    arrays["salvaged"],
                    arrays["file_bytes"],
                    # Collections packed before version 2 of decoding have none.
                    arrays["guessed_bits"]
                    if "guessed_bits" in arrays
                    else np.zeros(len(arrays["keys"]), np.uint8),
                )
        except Exception as error:
            # On damaged files NumPy raises almost anything.
            raise ValueError(f"{FACTS} or {FINGERPRINTS}: {error_text(error)}") from error
        columns = [facts.sha256, facts.sizes, facts.counts, facts.fingerprints, facts.salvaged]
        columns += [facts.file_bytes, facts.guessed_bits]
        if any(len(column) != len(facts.keys) for column in columns):
            raise ValueError("its columns are of different lengths")
        if len(facts.frames) != facts.counts.sum():
            raise ValueError("it has not one frame a picture")
        if facts.fingerprints.dtype != FINGERPRINT or len(facts.reasons) != int(
            (facts.counts == 0).sum()
        ):
            raise ValueError("it is of another version")
        return facts


class FactsWriter:
    """Collects facts, a source picture at a time."""

    def __init__(self) -> None:
        self._keys: list[bytes] = []
        self._sha256: list[bytes] = []
        self._sizes: list[tuple[int, int]] = []
        self._counts: list[int] = []
        self._reasons: list[str] = []
        self._frames: list[np.ndarray] = []
        self._fingerprints: list[np.ndarray] = []
        self._salvaged: list[bool] = []
        self._file_bytes: list[int] = []
        self._guessed_bits: list[int] = []

    def add(
        self,
        key: bytes,
        sha256: bytes,
        size: tuple[int, int],
        frames: np.ndarray,
        fingerprint: np.ndarray,
        salvaged: bool,
        file_bytes: int,
        guessed_bits: int,
    ) -> None:
        """Add a source picture with its frames [K, 5] and its fingerprint, `FINGERPRINT` []."""
        self._keys.append(key)
        self._sha256.append(sha256)
        self._sizes.append(size)
        self._counts.append(len(frames))
        self._frames.append(frames)
        self._fingerprints.append(fingerprint)
        self._salvaged.append(salvaged)
        self._file_bytes.append(file_bytes)
        self._guessed_bits.append(guessed_bits)

    def add_unusable(self, key: bytes, reason: str) -> None:
        """Add an unusable source picture, with the reason."""
        self.add(key, bytes(32), (0, 0), np.empty((0, 5)), np.zeros((), FINGERPRINT), False, 0, 0)
        self._reasons.append(" ".join(reason.splitlines()))

    def facts(self) -> Facts:
        """The collected facts as arrays."""
        return Facts(
            np.frombuffer(b"".join(self._keys), np.uint8).reshape(-1, KEY_BYTES),
            np.frombuffer(b"".join(self._sha256), np.uint8).reshape(-1, 32),
            np.array(self._sizes, np.int32).reshape(-1, 2),
            np.array(self._counts, np.int64),
            self._reasons,
            np.concatenate(self._frames) if self._frames else np.empty((0, 5)),
            np.array(self._fingerprints, FINGERPRINT),
            np.array(self._salvaged, bool),
            np.array(self._file_bytes, np.int64),
            np.array(self._guessed_bits, np.uint8),
        )


def frames_array(frames: Sequence[Frame]) -> np.ndarray:
    """float64 [K, 5]: left, top, right, bottom, mirrored."""
    return np.array([(*frame.box, frame.mirrored) for frame in frames], np.float64).reshape(-1, 5)


class Piece:
    """A part or a collection: facts, and the pictures by resolution."""

    def __init__(self, facts: Facts, readers: dict[Resolution, list[ShardReader]]) -> None:
        self.facts = facts
        self._readers = readers
        """By resolution: readers whose picture numbers continue one another."""
        self._frames = np.cumsum(facts.counts) - facts.counts
        self._buckets = _buckets(facts, list(readers))
        self.firsts = np.zeros(len(facts.keys), np.int64)
        """The number of each source picture's first picture, int64 [S], among those of its bucket."""
        for size, some in readers.items():
            mine = np.array([bucket in (None, size) for bucket in self._buckets], bool)
            counts = facts.counts[mine]
            self.firsts[mine] = np.cumsum(counts) - counts
            if sum(map(len, some)) != counts.sum():
                raise ValueError(f"it has not {counts.sum()} pictures of {size} px")
        self.outdated: Set[bytes] = frozenset()
        """Keys of source pictures that this version decodes to other pixels."""
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
        """The bucket of a source picture; None where its pictures are there at all resolutions."""
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
        """The encoded pictures from number `first` on, in one piece or more."""
        found: list[Stored] = []
        for reader in self._readers[resolution]:
            if count and first < len(reader):
                numbers = np.arange(first, min(first + count, len(reader)))
                found.append(reader.stored(numbers))
                first, count = first + len(numbers), count - len(numbers)
            first -= len(reader)
        return found

    def pixels(self, resolution: Resolution, number: int) -> np.ndarray:
        """One picture, uint8 [1, H, W, 3]."""
        for reader in self._readers[resolution]:
            if number < len(reader):
                return reader.pixels(np.array([number]))
            number -= len(reader)
        raise IndexError(number)


class PartWriter:
    """Writes fitted pictures to parts in a folder, and closes a part now and then.

    Args:
        folder: the folder for the parts.
        encodings: of each resolution.
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
        # Finished pictures are kept after an interruption.
        self.close()

    def add(self, key: bytes, result: FittedSource | str) -> None:
        """Store a source picture's result: pictures, or the reason why there are none."""
        if not self._writers:
            self._open()
        try:
            self._add(key, result)
        except BaseException:
            # An interruption in the middle would leave pixels and facts inconsistent.
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
        """Close the part that is being written, if any."""
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
    """The bucket of each source picture, as `Fitting.of` finds it; None where there are none."""
    if not are_buckets(sizes):
        return [None] * len(facts.keys)
    pictures = [(int(width), int(height)) for width, height in facts.sizes]
    # Those of no size are unusable.
    found = {each: nearest(*each, sizes) if all(each) else sizes[0] for each in set(pictures)}
    return [found[picture] for picture in pictures]


def of_collection(folder: Path, description: dict[str, Any]) -> Piece:
    """A collection with its excluded duplicates, as a piece for another packing.

    Raises:
        ImpastoError, OSError, ValueError, KeyError, TypeError: it is damaged, or was packed before
            collections kept these facts.
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
    """The parts in a folder; damaged ones are skipped, and fitted again."""
    pieces = []
    for part in sorted(folder.glob("part-*")):
        with contextlib.suppress(ImpastoError, OSError, ValueError, KeyError, TypeError):
            pieces.append(Piece.of_part(part))
    return pieces


class FittedIndex:
    """An index of the source pictures fitted before."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = list(pieces)
        self._places: dict[bytes, tuple[int, int]] = {}
        for number, piece in enumerate(self.pieces):
            for position, key in enumerate(map(np.ndarray.tobytes, piece.facts.keys)):
                if key not in piece.outdated:
                    self._places[key] = (number, position)

    def find(self, key: bytes) -> tuple[Piece, int] | None:
        """The piece with this key's picture, and its position there."""
        place = self._places.get(key)
        return None if place is None else (self.pieces[place[0]], place[1])
