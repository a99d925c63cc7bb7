"""The reason why a file gives no picture, from the exception in decoding."""

import io

from PIL import Image, UnidentifiedImageError

from impasto.decoding.decode import Stream
from impasto.decoding.heif_boxes import is_truncated
from impasto.formatting import error_text
from impasto.sources.file_kinds import (
    BEGINNING,
    TIFF,
    begins_as_picture,
    container,
    describe_other,
)
from impasto.sources.trees import UnusableError


def reason_for(error: Exception, file: Stream, max_pixels: int) -> UnusableError:
    """The reason why a file gives no picture, from the exception in decoding: `kind: details`.

    The kinds are `not a picture`, `truncated`, `unreadable` (mostly damaged), `unreadable for now` (it
    cannot be opened, or there is not enough memory), `too large`, `too small` and `not installed` (its
    decoder).

    Args:
        error: the exception.
        file: the file that was decoded.
        max_pixels: the limit in `decode`.
    """
    if isinstance(error, UnusableError):
        return error
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return UnusableError(
            f"too large: more than {max_pixels:,} pixels; --max-pixels allows more"
        )
    if isinstance(error, MemoryError):
        return UnusableError("unreadable for now: there was not enough memory to decode it")
    text = error_text(error)
    if "MAX_TEXT_CHUNK" in text or "MAX_TEXT_MEMORY" in text:
        return UnusableError("too large: its text unpacks to more than 64 MB")
    start, size, end = _ends(file)
    in_boxes = container(start) and not start.startswith(b"\xff\x0a")
    if (
        "truncated" in text.lower()
        or _is_truncated(start, size, end)
        or (in_boxes and is_truncated(file))
    ):
        return UnusableError("truncated: the file ends before its picture does")
    if isinstance(error, UnidentifiedImageError):
        if start.startswith(TIFF):
            return UnusableError(
                "unreadable: damaged, or a TIFF of a kind that is not read here; save it with 8 or 16 "
                "bits a sample"
            )
        if begins_as_picture(start):
            return UnusableError("unreadable: damaged (its header makes no sense)")
        return UnusableError(f"not a picture: {describe_other(start)}")
    return UnusableError(f"unreadable: damaged ({text})")


def _ends(file: Stream) -> tuple[bytes, int, bytes]:
    """A file's first bytes, its length and its last bytes."""
    file.seek(0)
    start = file.read(BEGINNING)
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 64))
    return start, size, file.read()


def _is_truncated(start: bytes, size: int, end: bytes) -> bool:
    """Whether a picture's file is truncated, by its format's end marker or declared length."""
    if start.startswith(b"\xff\xd8\xff"):
        return b"\xff\xd9" not in end
    if start.startswith(b"\x89PNG"):
        return b"IEND" not in end
    if start.startswith(b"GIF8"):
        return not end.rstrip(b"\0").endswith(b";")
    if start.startswith(b"RIFF"):
        return int.from_bytes(start[4:8], "little") + 8 > size
    if start.startswith(TIFF):
        return int.from_bytes(start[4:8], "little" if start[:1] == b"I" else "big") >= size
    return False
