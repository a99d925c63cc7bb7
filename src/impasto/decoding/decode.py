"""Decode a file: fast (by JPEG draft mode), in bounded memory, or with a reason why not."""

import contextlib
import functools
import io
import math
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image, ImageFile, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from impasto.decoding.bit_depth import declared_bits, in_planes, stored_bits, to_eight
from impasto.decoding.colour import WHITE, finish, prepare, profile_of
from impasto.decoding.colour_metadata import (
    ADOBE_RGB,
    Tones,
    chunks_of,
    of_code_points,
    of_png,
    profile_of_primaries,
)
from impasto.decoding.heif_boxes import code_points, is_cut
from impasto.decoding.plugins import jxl_size, load_plugin
from impasto.formatting import error_text
from impasto.sources.file_kinds import (
    BEGINNING,
    RAW,
    TIFF,
    begins_as_picture,
    camera_raw,
    container,
    describe_other,
)
from impasto.sources.trees import UnusableError

DECODING_VERSION = 2
"""Incremented when some files decode to other pixels than before; `decoded_otherwise` names them."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels of the upright source picture (EXIF applied)."""

Stream = io.BufferedReader | io.BytesIO
"""An open file, or bytes in memory."""

FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "DIB", "JPEG2000", "PPM", "ICO"),
    "TGA",  # Last, because its files have no signature.
)
"""Pillow's names of the formats that are read, besides those of `plugins.py`. Not all of Pillow's:
some start other programs (EPS)."""

_METADATA_BYTES = 2**26
"""Most bytes of a text or colour profile in a PNG, decompressed."""
_LARGE = 2**24
"""A decoded picture of more pixels is first reduced by an integer factor that leaves at least
`_GAP` times the target."""
_GAP = 4
"""The least size, in multiples of the target, after averaging whole pixels before resampling."""

_EXIF_ORIENTATION = 0x0112
_EXIF_INTEROPERABILITY = 0xA005
_EXIF_WITHIN = 2**16
"""Bytes at the beginning of a JPEG that are searched for EXIF data, which is in its first or second
segment."""
_ADOBE_RGB = "R03"
"""What cameras write there, instead of a profile, for Adobe RGB (DCF 2.0)."""
# By orientation: whether the axes are swapped, then mirrored left to right, then top to bottom.
_ORIENTATIONS = {
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}

_TILE_SIDES = (322, 323)
"""TIFF's tags for a tile's width and height."""


@dataclass(frozen=True)
class Decoded:
    """An upright picture of `width` by `height`, perhaps decoded at a reduced size.

    `extent` is the picture's exact box in `image`: a reduced JPEG ends inside its last pixels, and
    counting these as whole would shift everything by up to half a pixel.
    """

    image: Image.Image
    """In one of the modes of `colour.prepare`."""
    extent: Box
    width: int
    height: int
    profile: bytes = b""
    """The ICC profile of `image`; empty: none."""
    background: tuple[int, int, int] = WHITE
    guessed_bits: int = 0
    """The guessed number of significant bits in 16; 0: nothing was guessed."""

    def within(self, box: Box) -> Box:
        """Convert a box in the picture's pixels to one in `image`."""
        left, top, right, bottom = self.extent
        x_scale = (right - left) / self.width
        y_scale = (bottom - top) / self.height
        return (
            max(left, left + box[0] * x_scale),
            max(top, top + box[1] * y_scale),
            min(right, left + box[2] * x_scale),
            min(bottom, top + box[3] * y_scale),
        )

    def shrink(self, box: Box, size: tuple[int, int], exact: bool = False) -> Image.Image:
        """The part of the picture in `box`, at `size`, by Lanczos resampling; sRGB.

        Unless `exact`, a part more than `_GAP` times as large is first reduced to at least that by
        averaging whole pixels: five times faster, at some 50 dB PSNR.
        """
        gap = None if exact else _GAP
        small = self.image.resize(
            size, Image.Resampling.LANCZOS, box=self.within(box), reducing_gap=gap
        )
        return finish(small, self.profile, self.background)

    def thumbnail(self, side: int) -> Image.Image:
        """The whole picture for its fingerprint, sRGB, with sides of at most `side`; one in sRGB is
        returned unchanged, at any size."""
        if self.image.mode == "RGB" and not self.profile:
            return self.image
        size = (min(side, self.image.width), min(side, self.image.height))
        # `reducing_gap` averages whole pixels first, four times faster; a box filter would count
        # pixels on a boundary whole.
        small = self.image.resize(size, Image.Resampling.HAMMING, box=self.extent, reducing_gap=2)
        return finish(small, self.profile, self.background)


@functools.cache
def _formats() -> tuple[str, ...]:
    """The `FORMATS` that the installed Pillow has."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@contextmanager
def _limits(max_pixels: int, salvage: bool) -> Iterator[None]:
    """Set Pillow's global limits against decompression bombs, and whether it accepts truncated
    files."""
    before = (
        Image.MAX_IMAGE_PIXELS,
        PngImagePlugin.MAX_TEXT_CHUNK,
        ImageFile.LOAD_TRUNCATED_IMAGES,
    )
    Image.MAX_IMAGE_PIXELS = max_pixels
    # Pillow's limit of a megabyte would refuse pictures with a long comment.
    PngImagePlugin.MAX_TEXT_CHUNK = _METADATA_BYTES
    ImageFile.LOAD_TRUNCATED_IMAGES = salvage
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        (
            Image.MAX_IMAGE_PIXELS,
            PngImagePlugin.MAX_TEXT_CHUNK,
            ImageFile.LOAD_TRUNCATED_IMAGES,
        ) = before


@contextmanager
def _silence(file: Stream) -> Iterator[None]:
    """Keep libtiff's warnings off the process's error stream."""
    file.seek(0)
    if file.read(4) not in TIFF:
        yield
        return
    with contextlib.ExitStack() as undo:
        with contextlib.suppress(OSError):  # The process may have no error stream.
            kept = os.dup(2)
            undo.callback(os.close, kept)
            undo.callback(os.dup2, kept, 2)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            undo.callback(os.close, nowhere)
            os.dup2(nowhere, 2)
        yield


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where there is none or the EXIF data is damaged."""
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:
        return 1


def _upright(image: Image.Image, extent: Box, orientation: int) -> tuple[Image.Image, Box]:
    """Turn a picture and its box upright, by its EXIF orientation."""
    swap, mirror, flip = _ORIENTATIONS.get(orientation, (False, False, False))
    left, top, right, bottom = extent
    if swap:
        image = image.transpose(Image.Transpose.TRANSPOSE)
        left, top, right, bottom = top, left, bottom, right
    if mirror:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        left, right = image.width - right, image.width - left
    if flip:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        top, bottom = image.height - bottom, image.height - top
    return image, (left, top, right, bottom)


def _draft_factor(spare: float) -> int:
    """The factor by which a JPEG may be reduced while decoding; at least twice the target must
    remain."""
    return next((factor for factor in (8, 4, 2) if spare / factor >= 2), 1)


def decode(
    file: Stream,
    spare: Callable[[int, int], float],
    max_pixels: int,
    background: tuple[int, int, int] = WHITE,
    salvage: bool = False,
) -> Decoded:
    """Decode a picture at no more than the needed size.

    A JPEG is reduced while decoding, other large pictures right after. Of several pictures in a
    file, the first is taken.

    Args:
        file: at its beginning.
        spare: a function of width and height: how many times larger the picture is than needed; 1:
            decode it in full. May raise UnusableError.
        max_pixels: larger pictures are refused.
        background: the colour behind transparent pixels.
        salvage: accept truncated files. The missing part is grey in a JPEG; in others it is zeros:
            black, transparent, or a palette's first colour.

    Raises:
        UnusableError: with the reason why there is no picture in it.
        Exception: decoders raise almost anything on damaged files; `reason_for` gives the reason.
    """
    if camera_raw(file):
        raise UnusableError(f"not a picture: {RAW}")
    chunks = chunks_of(file)
    with (
        _limits(max_pixels, salvage),
        _silence(file),
        _open(file, max_pixels) as opened,
    ):
        tones = _tones(opened, file, chunks)
        stored = stored_bits(opened, chunks.get(b"IHDR", b""))
        declared = declared_bits(opened, chunks.get(b"sBIT", b""))
        width, height = opened.size
        _check_tiles(opened)
        too_fine = spare(width, height)
        extent = _drafted(opened, _draft_factor(too_fine))
        too_fine /= width / extent[2]
        opened.load()
        eight, guessed = to_eight(
            opened, lambda: _open(file, max_pixels), stored, declared, tones.curve
        )
        factor = 1
        if opened.width * opened.height > _LARGE:
            factor = max(1, int(too_fine / _GAP))
            extent = (0, 0, extent[2] / factor, extent[3] / factor)
        # Read after loading, which turns a TIFF upright and resets its orientation.
        orientation = _orientation(opened)
        image, extent = _upright(prepare(eight, factor), extent, orientation)
    if salvage and _is_blank(image):
        raise UnusableError("truncated: the file ends before its picture begins")
    if orientation in _ORIENTATIONS and _ORIENTATIONS[orientation][0]:
        width, height = height, width
    return Decoded(image, extent, width, height, tones.profile, background, guessed)


def _drafted(opened: ImageFile.ImageFile, factor: int) -> Box:
    """Have the decoder reduce a picture by about a factor if it can; gives the picture's box in the
    result."""
    width, height = opened.size
    if factor > 1:
        reduced = opened.draft(None, (max(1, width // factor), max(1, height // factor)))
        if reduced is not None:
            return reduced[1]
    return 0, 0, width, height


def _open(file: Stream, max_pixels: int) -> ImageFile.ImageFile:
    """Open a picture with the decoder for its first bytes.

    Raises:
        UnusableError: no installed decoder reads it, or it is too large.
        Exception: as `decode`.
    """
    file.seek(0)
    form = container(file.read(BEGINNING))
    if form:
        load_plugin(form)
    if form == "JXL":
        width, height = jxl_size(file)
        if width * height > max_pixels:
            raise Image.DecompressionBombError
    file.seek(0)
    try:
        opened = Image.open(file, formats=(form,) if form else _formats())
    except RuntimeError as error:
        if form != "JXL":
            raise
        # For any error, its plugin advises how to build it.
        raise OSError("or cut short") from error
    in_planes(opened)
    return opened


def _tones(opened: ImageFile.ImageFile, file: Stream, chunks: dict[bytes, bytes]) -> Tones:
    """A picture's conversion to sRGB.

    Raises:
        UnusableError: sRGB cannot show its colours.
    """
    profile = profile_of(opened)
    if opened.format == "PNG":
        return of_png(chunks, profile)
    if opened.format in ("AVIF", "HEIF") and not profile:
        # The decoder has applied the matrix and the range.
        points = code_points(file)
        return Tones() if points is None else of_code_points((*points[:3], True))
    if not profile and _is_adobe_rgb(opened):
        return Tones(profile=profile_of_primaries(ADOBE_RGB))
    return Tones(profile=profile)


def _is_adobe_rgb(opened: ImageFile.ImageFile) -> bool:
    """Whether a JPEG is Adobe RGB by its EXIF data alone."""
    if opened.format not in ("JPEG", "MPO") or opened.mode != "RGB" or "exif" not in opened.info:
        return False
    try:
        declared = opened.getexif().get_ifd(_EXIF_INTEROPERABILITY).get(1)
    except Exception:  # Damaged EXIF data is ignored.
        return False
    return isinstance(declared, str) and declared.startswith(_ADOBE_RGB)


def decoded_otherwise(file: Stream) -> bool:
    """Whether a file that gave a picture may give another one since version 1: PNG by its chunks on
    colours, AVIF by its code points, a camera's JPEG by its EXIF data, and what has 12 or 16 bits a
    sample."""
    start = file.read(BEGINNING)
    if start.startswith(b"\xff\xd8\xff"):
        if _ADOBE_RGB.encode() not in file.read(_EXIF_WITHIN):
            return False
    elif not start.startswith((b"\x89PNG", *TIFF)) and container(start) != "AVIF":
        return False
    try:
        chunks = chunks_of(file)
        with _limits(2**40, salvage=False), _silence(file), _open(file, 2**40) as opened:
            tones = _tones(opened, file, chunks)
            stored = stored_bits(opened, chunks.get(b"IHDR", b""))
            return tones != Tones(profile=profile_of(opened)) or stored > 8 or camera_raw(file)
    except Exception:
        return True


def _check_tiles(opened: ImageFile.ImageFile) -> None:
    """Refuse a TIFF that declares tiles far larger than itself, since they would be allocated.

    Raises:
        UnusableError: they are.
    """
    tags = opened.tag_v2 if isinstance(opened, TiffImagePlugin.TiffImageFile) else {}
    sides = [tags.get(tag, 1) for tag in _TILE_SIDES]
    if not all(isinstance(side, int) for side in sides):
        raise UnusableError("unreadable: damaged (its tiles are of no known size)")
    if math.prod(sides) > max(opened.width * opened.height, _LARGE):
        raise UnusableError(f"too large: in tiles of {sides[0]:,} x {sides[1]:,} pixels")


def _is_blank(image: Image.Image) -> bool:
    """Whether a picture has a single colour."""
    extremes = image.getextrema()
    bands = extremes if isinstance(extremes[0], tuple) else (extremes,)
    return all(low == high for low, high in bands)


def reason_for(error: Exception, file: Stream, max_pixels: int) -> UnusableError:
    """The reason why a file gives no picture, from the exception in decoding: `kind: details`.

    The kinds: `not a picture`, `truncated`, `unreadable` (mostly damaged), `too large`, `too small`
    and `not installed` (its decoder); and, from where files are opened, `unreadable for now`.
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
    if "truncated" in text.lower() or _is_cut(start, size, end) or (in_boxes and is_cut(file)):
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


def _is_cut(start: bytes, size: int, end: bytes) -> bool:
    """Whether a picture's file is cut short, by each format's end marker."""
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
