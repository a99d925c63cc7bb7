"""A packing job: the source, the options, the destination, and earlier results."""

import contextlib
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from impasto.collection.duplicates import FINDING_VERSION
from impasto.collection.options import PACKING_VERSION, PackOptions
from impasto.collection.parts import FittedIndex, Piece, of_collection, open_parts
from impasto.collection.replacing import work_folder
from impasto.decoding.decode import DECODING_VERSION, may_decode_differently
from impasto.errors import ImpastoError
from impasto.resolution import Resolution
from impasto.sources.listing import Content, Listing

PixelFeatures = Callable[[np.ndarray], np.ndarray]
"""A function from pictures, uint8 [B, R, R, 3], to a feature network's features, float32 [B, D]."""


@dataclass
class PackJob:
    """A source, the options and the destination of a packing."""

    source_name: str
    """The source, as the description names it."""
    destination: Path
    options: PackOptions
    listing: Listing
    encodings: dict[Resolution, str]
    keys: list[bytes]
    """The key of each entry, see `parts.py`."""
    earlier: dict[str, Any] | None
    """The description of an earlier collection at the destination, of the same source and options."""
    forgotten: list[dict[str, str]] = field(default_factory=list)
    features: PixelFeatures | None = None
    outdated_keys: frozenset[bytes] | None = None
    """The cached result of `_outdated`."""

    @property
    def work(self) -> Path:
        return work_folder(self.destination)

    def pieces(self) -> list[Piece]:
        """Everything fitted before: the parts of this packing, and the earlier collection."""
        pieces = open_parts(self.work)
        if self.earlier is not None:
            with contextlib.suppress(ImpastoError, OSError, ValueError, KeyError, TypeError):
                pieces.append(of_collection(self.destination, self.earlier))
                if self.earlier["made"].get("decoding_version") != DECODING_VERSION:
                    pieces[-1].outdated = self._outdated(pieces[-1])
        return pieces

    def missing(self, numbers: Iterable[int]) -> list[int]:
        """Which of these entries are not fitted yet."""
        known = FittedIndex(self.pieces())
        return [number for number in numbers if known.find(self.keys[number]) is None]

    def _outdated(self, piece: Piece) -> frozenset[bytes]:
        """Keys of source pictures that this version may decode to other pixels than the version that
        packed the collection, judged by their files' first bytes; includes all that were unusable."""
        if self.outdated_keys is None:
            facts = piece.facts
            unusable = {key.tobytes() for key in facts.keys[facts.counts == 0]}
            usable = {key.tobytes() for key in facts.keys[facts.counts > 0]}
            numbers = [number for number, key in enumerate(self.keys) if key in usable]
            changed = {
                self.keys[number]
                for number, picture in zip(numbers, self.pictures(numbers), strict=True)
                if may_differ(picture)
            }
            self.outdated_keys = frozenset(unusable | changed)
        return self.outdated_keys

    def pictures(self, numbers: Sequence[int]) -> Iterable[Path | Content]:
        """The contents of these entries, to decode."""
        return self.listing.pictures(numbers)

    def digest(self) -> str:
        """A digest of everything that determines the collection, with the source's stamps in place
        of its contents."""
        entries = [
            [key.hex(), entry.labels, entry.about, entry.heldout]
            for key, entry in zip(self.keys, self.listing.entries, strict=True)
        ]
        decisive = [
            PACKING_VERSION,
            DECODING_VERSION,
            FINDING_VERSION,
            self.options.recorded(),
            self.listing.fields,
            entries,
            self.listing.left_out,
            self.forgotten,
        ]
        text = json.dumps(decisive, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def may_differ(picture: Path | Content) -> bool:
    """`may_decode_differently` for a picture from a source."""
    if isinstance(picture, bytes):
        return may_decode_differently(io.BytesIO(picture))
    if not isinstance(picture, Path):
        return False
    try:
        with picture.open("rb") as file:
            return may_decode_differently(file)
    except OSError:
        return False
