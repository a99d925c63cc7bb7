"""What a reader finds in a source: the pictures, what is known of each, and what it passed over."""

import os
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

_PICTURES = """
.jpg .jpeg .jpe .jfif .mpo .png .apng .webp .gif .bmp .dib .tif .tiff .avif .jp2 .j2k .ppm .pgm .pbm
.pnm .tga .ico
"""
# These lie beside pictures and nobody expects them in a collection, so they are not reported.
_BESIDE = """
.txt .md .rst .csv .tsv .json .jsonl .yaml .yml .xml .html .htm .py .pyc .db .ini .log .url .lnk
.xmp .npy .npz .safetensors
"""
PICTURE_SUFFIXES = frozenset(_PICTURES.split())
_SIDE_SUFFIXES = frozenset(_BESIDE.split())
ABOUT = ("title", "artist", "year", "licence")
"""What `sources.csv` says of a picture where the source tells it."""


@dataclass(frozen=True)
class Entry:
    """A source picture: where it lies, and what its source says of it."""

    path: Path
    """The picture's file, or the one that it is in with others."""
    relative: str
    """Its path inside the source, with `/` on every system; its identity in the collection."""
    labels: tuple[str, ...] = ()
    """A class name for each field of the listing; empty where it is not known."""
    about: dict[str, str] = field(default_factory=dict)
    """Some of `ABOUT`."""
    heldout: bool | None = None
    """Whether the source itself keeps it from training; None: it does not say. All or none say."""


@dataclass
class Listing:
    """All that a reader found."""

    kind: str
    """In words, for the report and for `collection.json`."""
    fields: tuple[str, ...] = ()
    entries: list[Entry] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Relative path and reason, of what is no picture or cannot be used."""
    notes: list[str] = field(default_factory=list)
    """What the user may want to know, a sentence each."""
    pixels: Callable[[], Iterator[np.ndarray]] | None = None
    """Where pictures are no files of their own: reads each entry's, in order, uint8 [H, W, 3]."""


def tidy(text: str) -> str:
    """Text as it is compared and stored: composed Unicode (NFC), no blanks at the ends."""
    return unicodedata.normalize("NFC", text).strip()


def _is_litter(folder: str) -> bool:
    return folder.startswith(".") or folder in ("__pycache__", "__MACOSX")


def _readable(name: str) -> str:
    """A file's name as text that can be written, where its bytes are not UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def walk(
    folder: Path, on_error: Callable[[OSError], None] | None = None
) -> Iterator[tuple[Path, str]]:
    """Every file below a folder with its relative path, sorted, links followed once.

    Hidden files and folders are passed over, and so are packed collections. Folders that cannot be
    read are told to `on_error`.
    """
    seen: set[tuple[int, int]] = set()
    for place, folders, files in os.walk(folder, onerror=on_error, followlinks=True):
        status = Path(place).stat()
        identity = (status.st_dev, status.st_ino)
        # A link that leads back up would otherwise be walked for ever.
        if identity in seen or "collection.json" in files:
            folders.clear()
            continue
        if status.st_ino:
            seen.add(identity)
        folders[:] = sorted(name for name in folders if not _is_litter(name))
        for name in sorted(files):
            if not name.startswith("."):
                path = Path(place, name)
                yield path, _readable(path.relative_to(folder).as_posix())


def pictures(folder: Path, listing: Listing) -> Iterator[tuple[Path, str]]:
    """The picture files below a folder; others that a user may miss go to `listing.left_out`."""

    def unreadable(error: OSError) -> None:
        name = _readable(os.path.relpath(error.filename, folder))
        listing.left_out.append((name, f"unreadable: a folder: {error.strerror}"))

    for path, relative in walk(folder, unreadable):
        suffix = path.suffix.lower()
        if suffix in PICTURE_SUFFIXES:
            yield path, relative
        elif suffix not in _SIDE_SUFFIXES:
            listing.left_out.append(
                (relative, f"not a picture file by its name: {_readable(suffix)}")
            )


def holds_pictures(folder: Path) -> bool:
    """Whether there is at least one picture file below a folder."""
    return any(path.suffix.lower() in PICTURE_SUFFIXES for path, _ in walk(folder))
