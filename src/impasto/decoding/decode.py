"""Decode a file, fast (by JPEG's draft mode) and in bounded memory, or give the reason why it cannot be
decoded."""

import contextlib
import functools
import io
import math
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image, ImageFile, PngImagePlugin, TiffImagePlugin

from impasto.decoding.bit_depth import correct_planar_tiff, declared_bits, stored_bits, to_8_bits
from impasto.decoding.colour import WHITE, finish, prepare, profile_of
from impasto.decoding.colour_metadata import (
    ADOBE_RGB,
    Tones,
    png_chunks,
    profile_of_primaries,
    tones_of_code_points,
    tones_of_png,
)
from impasto.decoding.heif_boxes import code_points
from impasto.decoding.plugins import jxl_size, load_plugin
from impasto.sources.file_kinds import (
    BEGINNING,
    RAW,
    TIFF,
    camera_raw,
    container,
)
from impasto.sources.trees import UnusableError

DECODING_VERSION = 2
"""Incremented when some files decode to other pixels than before; see `may_decode_differently`."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels of the source picture, upright by its EXIF orientation."""

Stream = io.BufferedReader | io.BytesIO
"""An open file, or bytes in memory."""

FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "DIB", "JPEG2000", "PPM", "ICO"),
    "TGA",  # Last, because its files have no signature.
)
"""Pillow's names of the formats that are read, besides those of `plugins.py`. Others of Pillow's are
left out, since some start other programs (EPS)."""

_METADATA_BYTES = 2**26
"""Most bytes of a decompressed text or colour profile in a PNG."""
_LARGE = 2**24
"""A decoded picture of more pixels is first reduced by an integer factor, to at least `_GAP` times the
target."""
_GAP = 4
"""Averaging of whole pixels before resampling leaves at least this many times the target's side."""

_EXIF_ORIENTATION = 0x0112
_EXIF_INTEROPERABILITY = 0xA005
_EXIF_BYTES = 2**16
"""Bytes at the beginning of a JPEG that are searched for EXIF data, which is in its first or second
segment."""
_ADOBE_RGB = "R03"
"""The value of the EXIF interoperability index for Adobe RGB (DCF 2.0); such files of cameras have no
profile."""
# By EXIF orientation: whether to swap the axes, then to mirror left to right, then top to bottom.
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
    """An upright picture, decoded at its own or a reduced size."""

    image: Image.Image
    """In one of the modes of `colour.prepare`."""
    extent: Box
    """The picture's exact box in `image`. A reduced JPEG ends inside its last pixels. If these counted
    as whole, everything would be shifted by up to half a pixel."""
    width: int
    """Of the source picture, in pixels."""
    height: int
    """Of the source picture, in pixels."""
    profile: bytes = b""
    """The ICC profile of `image`; empty: none."""
    background: tuple[int, int, int] = WHITE
    """The colour behind transparent pixels."""
    guessed_bits: int = 0
    """The guessed number of significant bits of 16-bit samples; 0: nothing was guessed."""

    def box_in_image(self, box: Box) -> Box:
        """Convert a box in pixels of the source picture to one in pixels of `image`."""
        left, top, right, bottom = self.extent
        x_scale = (right - left) / self.width
        y_scale = (bottom - top) / self.height
        return (
            max(left, left + box[0] * x_scale),
            max(top, top + box[1] * y_scale),
            min(right, left + box[2] * x_scale),
            min(bottom, top + box[3] * y_scale),
        )

    def resized(self, box: Box, size: tuple[int, int], exact: bool = False) -> Image.Image:
        """A part of the picture at another size, by Lanczos resampling, in sRGB.

        Args:
            box: the part, in pixels of the source picture.
            size: width and height of the result.
            exact: only Lanczos resampling. Otherwise a part more than `_GAP` times as large is first
                reduced to at least that by averaging whole pixels. This is five times faster, at some
                50 dB PSNR.
        """
        gap = None if exact else _GAP
        small = self.image.resize(
            size, Image.Resampling.LANCZOS, box=self.box_in_image(box), reducing_gap=gap
        )
        return finish(small, self.profile, self.background)

    def thumbnail(self, side: int) -> Image.Image:
        """The whole picture in sRGB, for its fingerprint, with sides of at most `side`.

        If `image` is in sRGB already, it is returned unchanged, at its own size.
        """
        if self.image.mode == "RGB" and not self.profile:
            return self.image
        size = (min(side, self.image.width), min(side, self.image.height))
        # `reducing_gap` averages whole pixels first, which is four times faster. A box filter would
        # count pixels on a boundary as whole.
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
def _without_libtiff_warnings(file: Stream) -> Iterator[None]:
    """If the file is a TIFF, discard what libtiff writes to the process's error stream."""
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
    """The EXIF orientation; 1 if there is none or the EXIF data is damaged."""
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


def _draft_factor(oversize: float) -> int:
    """The factor by which a JPEG is reduced while decoding. At least twice the target must remain."""
    return next((factor for factor in (8, 4, 2) if oversize / factor >= 2), 1)


def decode(
    file: Stream,
    oversize: Callable[[int, int], float],
    max_pixels: int,
    background: tuple[int, int, int] = WHITE,
    salvage: bool = False,
) -> Decoded:
    """Decode a picture, at a reduced size if it is larger than needed.

    A JPEG is reduced while decoding, other large pictures right after. Of several pictures in a
    file, the first is taken.

    Args:
        file: at its beginning.
        oversize: a function of width and height that says how many times larger than needed the
            picture's sides are; 1: decode it in full. May raise UnusableError.
        max_pixels: pictures of more pixels are refused.
        background: the colour behind transparent pixels, 0 to 255.
        salvage: accept truncated files. The missing part is grey in a JPEG. In other formats it is
            zeros: black, transparent, or a palette's first colour.

    Raises:
        UnusableError: with the reason why there is no picture in it.
        Exception: decoders raise almost any exception on damaged files; `reasons.py` gives the reason.
    """
    if camera_raw(file):
        raise UnusableError(f"not a picture: {RAW}")
    chunks = png_chunks(file)
    with (
        _limits(max_pixels, salvage),
        _without_libtiff_warnings(file),
        _open(file, max_pixels) as opened,
    ):
        tones = _tones(opened, file, chunks)
        stored = stored_bits(opened, chunks.get(b"IHDR", b""))
        declared = declared_bits(opened, chunks.get(b"sBIT", b""))
        width, height = opened.size
        _check_tiles(opened)
        ratio = oversize(width, height)
        extent = _drafted(opened, _draft_factor(ratio))
        ratio /= width / extent[2]
        opened.load()
        eight, guessed = to_8_bits(
            opened, lambda: _open(file, max_pixels), stored, declared, tones.curve
        )
        factor = 1
        if opened.width * opened.height > _LARGE:
            factor = max(1, int(ratio / _GAP))
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
    """Let the decoder reduce a picture by about a factor, if it can; returns the picture's box in the
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
        # The plugin's text for any error is advice on building it.
        raise OSError("or cut short") from error
    correct_planar_tiff(opened)
    return opened


def _tones(opened: ImageFile.ImageFile, file: Stream, chunks: dict[bytes, bytes]) -> Tones:
    """A picture's conversion to sRGB.

    Raises:
        UnusableError: sRGB cannot show its colours.
    """
    profile = profile_of(opened)
    if opened.format == "PNG":
        return tones_of_png(chunks, profile)
    if opened.format in ("AVIF", "HEIF") and not profile:
        # The decoder has applied the matrix and the video range already.
        points = code_points(file)
        return Tones() if points is None else tones_of_code_points((*points[:3], True))
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


def may_decode_differently(file: Stream) -> bool:
    """Whether a file that gave a picture in version 1 may give another one now.

    These are PNGs with chunks on colours, AVIFs with code points, JPEGs of cameras that are in Adobe RGB
    by EXIF data, and files of 12 or 16 bits a sample.
    """
    start = file.read(BEGINNING)
    if start.startswith(b"\xff\xd8\xff"):
        if _ADOBE_RGB.encode() not in file.read(_EXIF_BYTES):
            return False
    elif not start.startswith((b"\x89PNG", *TIFF)) and container(start) != "AVIF":
        return False
    try:
        chunks = png_chunks(file)
        with (
            _limits(2**40, salvage=False),
            _without_libtiff_warnings(file),
            _open(file, 2**40) as opened,
        ):
            tones = _tones(opened, file, chunks)
            stored = stored_bits(opened, chunks.get(b"IHDR", b""))
            return tones != Tones(profile=profile_of(opened)) or stored > 8 or camera_raw(file)
    except Exception:
        return True


def _check_tiles(opened: ImageFile.ImageFile) -> None:
    """Check that a TIFF's tiles are not far larger than the picture, since a whole tile is allocated.

    Raises:
        UnusableError: they are, or have no valid size.
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
