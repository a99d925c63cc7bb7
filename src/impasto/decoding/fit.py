"""Make pictures of a wanted size from a file, in one of five ways (`FITS` and `ASPECT`)."""

import hashlib
import io
import math
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from impasto.decoding.decode import Box, Decoded, Stream, decode
from impasto.decoding.fingerprint import Fingerprint, fingerprint_of
from impasto.decoding.reasons import reason_for
from impasto.resolution import Resolution, nearest, short_side, width_and_height
from impasto.sources.trees import UnusableError

ASPECT = "aspect"
"""The fit by which each picture gets one of several sizes of different proportions."""
TILE_SCALES = (1.0, 0.84, 0.71, 0.59, 0.5)
"""Sides of the tiles as shares of those of the largest possible tile."""
TILE_STRIDE = 0.25
"""The largest step between neighbouring tiles, as a share of their side."""

_IN_MEMORY = 2**25
"""Files of at most this many bytes are read into memory as a whole."""
_THUMBNAIL_SIDE = 64
"""Side of the picture that the fingerprint is computed from; a multiple of `fingerprint.SIDE`."""


@dataclass(frozen=True)
class Frame:
    """The part of a source picture that a packed one shows."""

    box: Box
    mirrored: bool = False
    """Whether the packed picture is mirrored left to right."""


@dataclass(frozen=True)
class Fitting:
    """Options for making pictures of the wanted sizes; sent to the worker processes."""

    fit: str
    """A key of `FITS`, or `ASPECT`."""
    resolutions: tuple[Resolution, ...]
    """Sizes of the pictures in ascending order, all of the same proportions. The largest decides the
    size of decoding, the tiles, and whether a picture is too small. With `aspect` they are sizes of
    different proportions, of which each picture gets one; see `of`."""
    exact: bool
    """Whether pictures are resampled from their full size; see `Decoded.resized`."""
    background: tuple[int, int, int]
    """The colour behind transparent pixels and of the padding, 0 to 255."""
    max_upscale: float
    """The largest factor by which a picture may be enlarged, at least 1."""
    max_pixels: int
    """Pictures of more pixels are refused."""
    salvage: bool = False
    """Accept truncated files; see `decode` for the missing part."""

    @property
    def resolution(self) -> Resolution:
        """The largest size."""
        return self.resolutions[-1]

    def of(self, width: int, height: int) -> "Fitting":
        """The options for a picture of this width and height: with `aspect`, those of the size that
        crops the least of it."""
        if self.fit != ASPECT:
            return self
        return replace(self, fit="crop", resolutions=(nearest(width, height, self.resolutions),))

    @property
    def min_side(self) -> float:
        """The least short side, in pixels of the source picture, of what becomes a picture of the
        largest size: enlarging it by `max_upscale` gives that size's short side."""
        return short_side(self.resolution) / self.max_upscale


@dataclass(frozen=True)
class Fitted:
    """A source picture at the wanted sizes."""

    pixels: dict[Resolution, np.ndarray]
    """By resolution, uint8 [K, H, W, 3]: a picture for each frame."""
    frames: list[Frame]
    width: int
    """Of the source picture, in pixels."""
    height: int
    """Of the source picture, in pixels."""
    sha256: str
    """Digest of the file's bytes, or of the pixels if it has no file."""
    fingerprint: Fingerprint
    file_bytes: int
    """Length of the file, or of the pixels if it has none."""
    salvaged: bool = False
    """Whether the file was truncated."""
    guessed_bits: int = 0
    """As in `Decoded`."""


def _short_side_of_box(width: int, height: int, how: Fitting) -> float:
    """The short side of the largest box of the wanted proportions in a picture of this size."""
    return min(_short_sides(width, height, how.resolution))


def _short_sides(width: int, height: int, resolution: Resolution) -> tuple[float, float]:
    """The short sides of boxes of these proportions: of one as wide as a picture, and one as high."""
    short, (wide, high) = short_side(resolution), width_and_height(resolution)
    return width * short / wide, height * short / high


def _largest_box(width: int, height: int, resolution: Resolution) -> tuple[float, float]:
    """Width and height of the largest box of these proportions in a picture of this size."""
    wanted, (wide, high) = short_side(resolution), width_and_height(resolution)
    short = min(_short_sides(width, height, resolution))
    # Rounding must not make it larger than the picture.
    return min(short * wide / wanted, width), min(short * high / wanted, height)


def _centre_frame(width: int, height: int, how: Fitting) -> list[Frame]:
    wide, high = _largest_box(width, height, how.resolution)
    left, top = (width - wide) / 2, (height - high) / 2
    return [Frame((left, top, left + wide, top + high))]


def _whole_frame(width: int, height: int, how: Fitting) -> list[Frame]:
    return [Frame((0, 0, width, height))]


def _render_box(picture: Decoded, box: Box, how: Fitting, resolution: Resolution) -> Image.Image:
    return picture.resized(box, width_and_height(resolution), how.exact)


def _render_padded(picture: Decoded, box: Box, how: Fitting, resolution: Resolution) -> Image.Image:
    wide, high = width_and_height(resolution)
    scale = min(wide / picture.width, high / picture.height)
    width = max(1, round(picture.width * scale))
    height = max(1, round(picture.height * scale))
    whole = Image.new("RGB", (wide, high), how.background)
    corner = ((wide - width) // 2, (high - height) // 2)
    whole.paste(picture.resized(box, (width, height), how.exact), corner)
    return whole


def tile_boxes(
    width: int, height: int, least: float, resolution: Resolution = 1
) -> list[tuple[int, int, int, int]]:
    """Overlapping boxes at several scales that cover a picture: left, top, right and bottom of each.

    Args:
        width: of the picture, in pixels.
        height: of the picture, in pixels.
        least: the smallest allowed short side of a box, in pixels.
        resolution: a size with the proportions of the boxes; 1: squares.
    """
    boxes = []
    largest_wide, largest_high = _largest_box(width, height, resolution)
    for scale in TILE_SCALES:
        wide, high = max(1, round(largest_wide * scale)), max(1, round(largest_high * scale))
        if min(wide, high) < least:
            break
        lefts, tops = _tile_starts(width, wide), _tile_starts(height, high)
        boxes += [(left, top, left + wide, top + high) for top in tops for left in lefts]
    return boxes


def _tile_starts(length: int, side: int) -> list[int]:
    """Evenly spaced starts of tiles along one axis: the first tile is at 0, the last one ends at
    `length`."""
    room = length - side
    steps = math.ceil(room / (TILE_STRIDE * side))
    if steps == 0:
        return [0]
    return list(dict.fromkeys(round(room * step / steps) for step in range(steps + 1)))


def _tile_frames(width: int, height: int, how: Fitting) -> list[Frame]:
    boxes = tile_boxes(width, height, how.min_side, how.resolution)
    return [Frame(box, mirrored) for box in boxes for mirrored in (False, True)]


def _short_side_with_padding(width: int, height: int, how: Fitting) -> float:
    return max(_short_sides(width, height, how.resolution))


def _short_side_of_smallest_tile(width: int, height: int, how: Fitting) -> float:
    sides = [_short_side_of_box(width, height, how) * scale for scale in TILE_SCALES]
    # In whole pixels, as in `tile_boxes`.
    return min((side for side in sides if round(side) >= how.min_side), default=sides[0])


@dataclass(frozen=True)
class Fit:
    """A way to make pictures of a size from a picture of any size."""

    frames: Callable[[int, int, Fitting], list[Frame]]
    """The frames of a picture of this width and height; a mirrored frame follows its original."""
    render: Callable[[Decoded, Box, Fitting, Resolution], Image.Image]
    """Render a box of a picture at this resolution."""
    usable_side: Callable[[int, int, Fitting], float]
    """The least length, in pixels of a picture of this width and height, that becomes the short side
    of a packed picture. It limits how far a JPEG is reduced, and decides whether the picture is too
    small."""
    description: str
    """What it makes, in words, for squares."""


FITS = {
    "crop": Fit(_centre_frame, _render_box, _short_side_of_box, "the square in the centre"),
    "squash": Fit(
        _whole_frame,
        _render_box,
        _short_side_of_box,
        "the whole picture, its proportions ignored",
    ),
    "pad": Fit(
        _whole_frame,
        _render_padded,
        _short_side_with_padding,
        "the whole picture on a square background",
    ),
    "tiles": Fit(
        _tile_frames,
        _render_box,
        _short_side_of_smallest_tile,
        "overlapping squares at several scales, and mirrored",
    ),
}


def describe_fit(fit: str, resolution: Resolution) -> str:
    """What a fit makes of pictures at this resolution, in words."""
    if fit == ASPECT:
        return "the centre, in the nearest of several proportions"
    description = FITS[fit].description
    if isinstance(resolution, int):
        return description
    return description.replace("squares", "rectangles").replace("square", "rectangle")


def _usable_side(width: int, height: int, how: Fitting) -> float:
    """`Fit.usable_side` of the options' fit.

    Raises:
        UnusableError: it would be enlarged by more than `max_upscale`.
    """
    how = how.of(width, height)
    side = FITS[how.fit].usable_side(width, height, how)
    least = math.ceil(how.min_side) if isinstance(how.resolution, int) else how.min_side
    if (round(side) if how.fit == "tiles" else side) < least:  # tiles are of whole pixels
        sides = [math.ceil(each / how.max_upscale) for each in width_and_height(how.resolution)]
        takes = " x ".join(map(str, dict.fromkeys(sides)))
        raise UnusableError(
            f"too small: {width} x {height} pixels; {how.resolution} px takes {takes}"
        )
    return side


def _pictures(
    picture: Decoded, frames: list[Frame], how: Fitting, resolution: Resolution
) -> np.ndarray:
    """uint8 [K, H, W, 3], a picture for each frame."""
    pictures: list[np.ndarray] = []
    for frame in frames:
        if frame.mirrored:
            pictures.append(pictures[-1][:, ::-1])
        else:
            pictures.append(np.asarray(FITS[how.fit].render(picture, frame.box, how, resolution)))
    return np.stack(pictures)


def _fitted(
    picture: Decoded, how: Fitting, sha256: str, file_bytes: int, salvaged: bool = False
) -> Fitted:
    how = how.of(picture.width, picture.height)
    frames = FITS[how.fit].frames(picture.width, picture.height, how)
    pixels = {
        resolution: _pictures(picture, frames, how, resolution) for resolution in how.resolutions
    }
    return Fitted(
        pixels=pixels,
        frames=frames,
        width=picture.width,
        height=picture.height,
        sha256=sha256,
        fingerprint=fingerprint_of(picture.thumbnail(_THUMBNAIL_SIDE), pixels[how.resolution]),
        file_bytes=file_bytes,
        salvaged=salvaged,
        guessed_bits=picture.guessed_bits,
    )


def fit_pixels(pixels: np.ndarray, how: Fitting) -> Fitted:
    """Make pictures of the wanted sizes from decoded pixels, uint8 [H, W, 3].

    Raises:
        UnusableError: the picture is too small.
    """
    height, width = pixels.shape[:2]
    _usable_side(width, height, how)
    pixels = np.ascontiguousarray(pixels)
    picture = Decoded(Image.fromarray(pixels), (0, 0, width, height), width, height)
    return _fitted(picture, how, hashlib.sha256(pixels.data).hexdigest(), pixels.nbytes)


def fit_file(path: Path, how: Fitting) -> Fitted:
    """Read a file and make its pictures of the wanted sizes.

    Raises:
        UnusableError: with the reason why the file gives no picture.
    """
    with open_picture(path) as file:
        try:
            if file.seek(0, io.SEEK_END) > _IN_MEMORY:
                file.seek(0)
                return fit_stream(file, how)
            file.seek(0)
            # Faster than reading it twice, for the digest and the pixels.
            return fit_stream(io.BytesIO(file.read()), how)
        except OSError as error:
            raise UnusableError(f"unreadable for now: {error.strerror or error}") from error


def open_picture(picture: Path | bytes) -> Stream:
    """Open a file, or its bytes, for reading.

    Raises:
        UnusableError: it cannot be read.
    """
    if isinstance(picture, bytes):
        return io.BytesIO(picture)
    try:
        if not stat.S_ISREG(picture.stat().st_mode):  # Opening a pipe would block.
            raise UnusableError("unreadable: not a file")
        return picture.open("rb")
    except OSError as error:
        raise UnusableError(f"unreadable for now: {error.strerror or error}") from error
    except ValueError as error:  # A name that no file can have.
        raise UnusableError(f"unreadable: {error}") from error


def fit_stream(file: Stream, how: Fitting) -> Fitted:
    """Read an open file, at its beginning, and make its pictures of the wanted sizes.

    Raises:
        UnusableError: with the reason why the file gives no picture; `reason_for` has the kinds.
    """
    try:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        length = file.seek(0, io.SEEK_END)
        if length == 0:
            raise UnusableError("unreadable: the file is empty")
        try:
            return _fit_bytes(file, how, digest, length, salvage=False)
        except Exception as error:
            reason = reason_for(error, file, how.max_pixels)
            if not (how.salvage and str(reason).startswith("truncated")):
                raise reason from None
        return _fit_bytes(file, how, digest, length, salvage=True)
    except UnusableError:
        raise
    except Exception as error:
        raise reason_for(error, file, how.max_pixels) from None


def _fit_bytes(file: Stream, how: Fitting, sha256: str, length: int, salvage: bool) -> Fitted:
    return _fitted(_decoded(file, how, salvage), how, sha256, length, salvage)


def _decoded(file: Stream, how: Fitting, salvage: bool) -> Decoded:
    def oversize(width: int, height: int) -> float:
        side = _usable_side(width, height, how)
        return 1 if how.exact else side / short_side(how.of(width, height).resolution)

    file.seek(0)
    return decode(file, oversize, how.max_pixels, how.background, salvage)


def picture_of(file: Stream, how: Fitting) -> np.ndarray:
    """The picture in a file at the largest wanted size, uint8 [H, W, 3], as packing makes it. With the
    fit `tiles` it is the first tile.

    Raises:
        UnusableError: with the reason why the file gives no picture.
    """
    try:
        picture = _decoded(file, how, how.salvage)
        how = how.of(picture.width, picture.height)
        frame = FITS[how.fit].frames(picture.width, picture.height, how)[0]
        return np.asarray(FITS[how.fit].render(picture, frame.box, how, how.resolution))
    except Exception as error:
        raise reason_for(error, file, how.max_pixels) from None


def size_of(file: Stream, max_pixels: int) -> tuple[int, int]:
    """Width and height of the picture in a file, from its header, without decoding.

    Raises:
        UnusableError: with the reason why the file gives no picture.
    """

    def stop(width: int, height: int) -> float:
        raise _SizeKnownError(width, height)

    try:
        if not file.read(1):
            raise UnusableError("unreadable: the file is empty")
        file.seek(0)
        decode(file, stop, max_pixels)
    except _SizeKnownError as known:
        return known.size
    except Exception as error:
        raise reason_for(error, file, max_pixels) from None
    raise AssertionError("decoding asks for the size")


class _SizeKnownError(Exception):
    """Ends decoding as soon as the size is known."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        self.size = (width, height)
