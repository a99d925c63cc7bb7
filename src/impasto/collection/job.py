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
from impasto.collection.parts import FittedIndex, Piece, open_parts, piece_of_collection
from impasto.collection.replacing import work_folder
from impasto.decoding.decode import DECODING_VERSION, may_decode_differently
from impasto.errors import ImpastoError
from impasto.resolution import Resolution
from impasto.sources.listing import Content, Listing

PixelFeatures = Callable[[np.ndarray], np.ndarray]
"""A function from pictures, uint8 [B, H, W, 3], to a feature network's features, float32 [B, D]."""


@dataclass
class PackJob:
    """A source, the options and the destination of a packing."""

    source_name: str
    """The source as `collection.json` names it: an absolute path, an address without credentials, or
    `masters`."""
    destination: Path
    """The collection's folder, absolute."""
    options: PackOptions
    listing: Listing
    encodings: dict[Resolution, str]
    """The encoding of each resolution or bucket."""
    keys: list[bytes]
    """The key of each entry, see `parts.py`."""
    earlier: dict[str, Any] | None
    """The description of an earlier collection at the destination, of the same source and options."""
    forgotten: list[dict[str, str]] = field(default_factory=list)
    """The rows of the earlier collection's `forgotten.csv`."""
    features: PixelFeatures | None = None
    """Computes features, if duplicates are found by them."""
    outdated_keys: frozenset[bytes] | None = None
    """The cached result of `_outdated`."""

    @property
    def work(self) -> Path:
        """The folder with the parts of this packing."""
        return work_folder(self.destination)

    def pieces(self) -> list[Piece]:
        """Everything fitted before: the parts of this packing, and the earlier collection."""
        pieces = open_parts(self.work)
        if self.earlier is not None:
            with contextlib.suppress(ImpastoError, OSError, ValueError, KeyError, TypeError):
                pieces.append(piece_of_collection(self.destination, self.earlier))
                if self.earlier["made"].get("decoding_version") != DECODING_VERSION:
                    pieces[-1].outdated = self._outdated(pieces[-1])
        return pieces

    def missing(self, numbers: Iterable[int]) -> list[int]:
        """The numbers of those of these entries that are not fitted yet."""
        known = FittedIndex(self.pieces())
        return [number for number in numbers if known.find(self.keys[number]) is None]

    def _outdated(self, piece: Piece) -> frozenset[bytes]:
        """The keys of the source pictures that must be decoded again, because another version of
        decoding packed them: those whose first bytes say that their pixels may differ, and all that were
        unusable."""
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
        """The files or contents of these entries, whose numbers must rise."""
        return self.listing.pictures(numbers)

    def digest(self) -> str:
        """SHA-256 of everything that determines the collection, 64 hexadecimal digits. The pictures'
        stamps stand for their contents."""
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
    """Whether this version may decode a source's picture to other pixels than earlier versions; see
    `may_decode_differently`."""
    if isinstance(picture, bytes):
        return may_decode_differently(io.BytesIO(picture))
    if not isinstance(picture, Path):
        return False
    try:
        with picture.open("rb") as file:
            return may_decode_differently(file)
    except OSError:
        return False
