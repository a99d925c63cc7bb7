"""From a file to square pictures: decoding (quickly, by JPEG draft), and the four ways to fit."""

import hashlib
import io
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from impasto.collection.trees import UnusableError

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels of the source picture as it is shown (EXIF applied)."""

TILE_SCALES = (1.0, 0.84, 0.71, 0.59, 0.5)
"""Sides of the tiles as shares of the picture's short side: from all of it, by steps, to half."""
TILE_STRIDE = 0.25
"""Neighbouring tiles lie at most this share of their side apart."""

_EXIF_ORIENTATION = 0x0112
# Orientation: are the axes swapped, then is the result mirrored left to right, then top to bottom.
_ORIENTATIONS = {
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}


@dataclass(frozen=True)
class Frame:
    """What of a source picture a packed one shows."""

    box: Box
    mirrored: bool = False


@dataclass(frozen=True)
class Fitting:
    """How source pictures become square ones; travels to the worker processes."""

    fit: str
    resolutions: tuple[int, ...]
    """Sides of the square pictures, rising. The largest decides how finely a picture is decoded, which
    tiles it gives and whether it is too small."""
    exact: bool
    background: tuple[int, int, int]
    max_upscale: float
    max_pixels: int

    @property
    def resolution(self) -> int:
        """The largest."""
        return self.resolutions[-1]


@dataclass(frozen=True)
class Fitted:
    """A source picture, fitted."""

    pixels: dict[int, np.ndarray]
    """By resolution R, uint8 [K, R, R, 3]: one for each frame, all from one decoding."""
    frames: list[Frame]
    width: int
    height: int
    sha256: str


@dataclass(frozen=True)
class Decoded:
    """RGB pixels that show a picture of `width` by `height`, perhaps at a reduced size.

    `extent` is where exactly in `image` the picture lies: a reduced JPEG ends within its last
    pixels, and taking them as whole shifts everything by up to half a pixel.
    """

    image: Image.Image
    extent: Box
    width: int
    height: int

    def within(self, box: Box) -> Box:
        """A box in the picture's own pixels as one in `image`."""
        left, top, right, bottom = self.extent
        x_scale = (right - left) / self.width
        y_scale = (bottom - top) / self.height
        return (
            max(left, left + box[0] * x_scale),
            max(top, top + box[1] * y_scale),
            min(right, left + box[2] * x_scale),
            min(bottom, top + box[3] * y_scale),
        )

    def shrink(self, box: Box, size: tuple[int, int]) -> Image.Image:
        """The part of the picture in `box`, at `size`, by Lanczos resampling."""
        return self.image.resize(size, Image.Resampling.LANCZOS, box=self.within(box))


def _centre_square(width: int, height: int) -> Box:
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return (left, top, left + side, top + side)


def _square_frame(width: int, height: int, how: Fitting) -> list[Frame]:
    return [Frame(_centre_square(width, height))]


def _whole_frame(width: int, height: int, how: Fitting) -> list[Frame]:
    return [Frame((0, 0, width, height))]


def _filling(picture: Decoded, box: Box, how: Fitting, resolution: int) -> Image.Image:
    return picture.shrink(box, (resolution, resolution))


def _padded(picture: Decoded, box: Box, how: Fitting, resolution: int) -> Image.Image:
    scale = resolution / max(picture.width, picture.height)
    width = max(1, round(picture.width * scale))
    height = max(1, round(picture.height * scale))
    square = Image.new("RGB", (resolution, resolution), how.background)
    corner = ((resolution - width) // 2, (resolution - height) // 2)
    square.paste(picture.shrink(box, (width, height)), corner)
    return square


def tile_boxes(width: int, height: int, least: float) -> list[tuple[int, int, int, int]]:
    """Square boxes at several scales that cover a picture with overlap, whole pixels.

    Args:
        width: of the picture.
        height: of the picture.
        least: smallest side of a box that is allowed, in pixels.
    """
    boxes = []
    short = min(width, height)
    for scale in TILE_SCALES:
        side = max(1, round(short * scale))
        if side < least:
            break
        lefts, tops = _starts(width, side), _starts(height, side)
        boxes += [(left, top, left + side, top + side) for top in tops for left in lefts]
    return boxes


def _starts(length: int, side: int) -> list[int]:
    """Evenly spaced starts of tiles along one side, the first at 0, the last reaching the end."""
    room = length - side
    steps = math.ceil(room / (TILE_STRIDE * side))
    if steps == 0:
        return [0]
    return list(dict.fromkeys(round(room * step / steps) for step in range(steps + 1)))


def _tile_frames(width: int, height: int, how: Fitting) -> list[Frame]:
    boxes = tile_boxes(width, height, how.resolution / how.max_upscale)
    return [Frame(box, mirrored) for box in boxes for mirrored in (False, True)]


def _whole_side(width: int, height: int, how: Fitting) -> float:
    return min(width, height)


def _pad_side(width: int, height: int, how: Fitting) -> float:
    return max(width, height)


def _smallest_tile(width: int, height: int, how: Fitting) -> float:
    sides = [min(width, height) * scale for scale in TILE_SCALES]
    return min(
        (side for side in sides if side >= how.resolution / how.max_upscale), default=sides[0]
    )


@dataclass(frozen=True)
class Fit:
    """A way to make squares of a picture."""

    frames: Callable[[int, int, Fitting], list[Frame]]
    """What is taken of a picture of this width and height; a mirrored frame follows its twin."""
    show: Callable[[Decoded, Box, Fitting, int], Image.Image]
    """A box of a picture as a square one of this resolution."""
    smallest: Callable[[int, int, Fitting], float]
    """The shortest length in a picture of this width and height that is shown at full resolution;
    it decides how far a JPEG may be reduced, and whether the picture is too small."""
    says: str


FITS = {
    "crop": Fit(_square_frame, _filling, _whole_side, "the square in the centre"),
    "squash": Fit(
        _whole_frame, _filling, _whole_side, "the whole picture, its proportions ignored"
    ),
    "pad": Fit(_whole_frame, _padded, _pad_side, "the whole picture on a square background"),
    "tiles": Fit(
        _tile_frames,
        _filling,
        _smallest_tile,
        "overlapping squares at several scales, and mirrored",
    ),
}


@contextmanager
def _pixel_limit(limit: int) -> Iterator[None]:
    """Pillow's guard against decompression bombs, set to `limit` pixels and made an error."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = limit
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _reduction(side: float, resolution: int) -> int:
    """How many times a JPEG may be reduced while decoding: twice the target must remain."""
    return next((factor for factor in (8, 4, 2) if side / factor >= 2 * resolution), 1)


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB: what is transparent over white, 16 bits as 8."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "F":
        raise UnusableError("not a picture of 8 or 16 bits: its pixels are floating-point numbers")
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.max(initial=0) > 255 or image.mode != "I":
            values = values // 257
        return Image.fromarray(values.clip(0, 255).astype(np.uint8)).convert("RGB")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where there is none or the EXIF data is damaged."""
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:
        return 1


def _upright(image: Image.Image, extent: Box, orientation: int) -> tuple[Image.Image, Box]:
    """Turn a picture, and the box that says where it lies, as its EXIF orientation says."""
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


def _usable_side(width: int, height: int, how: Fitting) -> float:
    """The shortest length that is shown at full resolution; see `Fit.smallest`.

    Raises:
        UnusableError: it would have to be enlarged by more than is allowed.
    """
    side = FITS[how.fit].smallest(width, height, how)
    least = math.ceil(how.resolution / how.max_upscale)
    if side < least:
        raise UnusableError(
            f"too small: {width} x {height} pixels; {how.resolution} px takes {least}"
        )
    return side


def _decode(file: io.BufferedReader | io.BytesIO, how: Fitting) -> Decoded:
    """Decode a picture, a JPEG only as finely as it takes."""
    with Image.open(file) as opened:
        width, height = opened.size
        side = _usable_side(width, height, how)
        extent: Box = (0, 0, width, height)
        factor = 1 if how.exact else _reduction(side, how.resolution)
        if factor > 1:
            reduced = opened.draft(None, (max(1, width // factor), max(1, height // factor)))
            if reduced is not None:
                extent = reduced[1]
        opened.load()
        # Read after loading: there, a TIFF turns itself upright and then says so.
        orientation = _orientation(opened)
        image, extent = _upright(to_rgb(opened), extent, orientation)
    if orientation in _ORIENTATIONS and _ORIENTATIONS[orientation][0]:
        width, height = height, width
    return Decoded(image, extent, width, height)


def _squares(picture: Decoded, frames: list[Frame], how: Fitting, resolution: int) -> np.ndarray:
    """uint8 [K, R, R, 3], one for each frame."""
    squares: list[np.ndarray] = []
    for frame in frames:
        if frame.mirrored:
            squares.append(squares[-1][:, ::-1])
        else:
            squares.append(np.asarray(FITS[how.fit].show(picture, frame.box, how, resolution)))
    return np.stack(squares)


def _fitted(picture: Decoded, how: Fitting, sha256: str) -> Fitted:
    frames = FITS[how.fit].frames(picture.width, picture.height, how)
    return Fitted(
        pixels={
            resolution: _squares(picture, frames, how, resolution) for resolution in how.resolutions
        },
        frames=frames,
        width=picture.width,
        height=picture.height,
        sha256=sha256,
    )


def fit_pixels(pixels: np.ndarray, how: Fitting) -> Fitted:
    """Make the square pictures of one that is decoded already, uint8 [H, W, 3].

    Raises:
        UnusableError: it is too small.
    """
    height, width = pixels.shape[:2]
    _usable_side(width, height, how)
    pixels = np.ascontiguousarray(pixels)
    picture = Decoded(Image.fromarray(pixels), (0, 0, width, height), width, height)
    return _fitted(picture, how, hashlib.sha256(pixels.tobytes()).hexdigest())


def fit_file(path: Path, how: Fitting) -> Fitted:
    """Read a file and make its square pictures.

    Raises:
        UnusableError: with the reason why there is no picture in it.
    """
    if path.exists() and not path.is_file():
        # A pipe, say: reading it would wait for ever.
        raise UnusableError("unreadable: not a file")
    try:
        with path.open("rb") as file:
            return fit_stream(file, how)
    except OSError as error:
        raise UnusableError(f"unreadable: {error.strerror or error}") from error


def fit_stream(file: io.BufferedReader | io.BytesIO, how: Fitting) -> Fitted:
    """Read a file's bytes, from its beginning, and make its square pictures.

    Raises:
        UnusableError: with the reason why there is no picture in it.
    """
    try:
        with _pixel_limit(how.max_pixels):
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if file.tell() == 0:
                raise UnusableError("unreadable: the file is empty")
            file.seek(0)
            return _fitted(_decode(file, how), how, digest)
    except UnusableError:
        raise
    except UnidentifiedImageError:
        raise UnusableError("unreadable: not a picture in a format that Pillow knows") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnusableError(
            f"too large: more than {how.max_pixels:,} pixels; --max-pixels allows more"
        ) from None
    except MemoryError:
        raise UnusableError("too large: there was not enough memory to decode it") from None
    except Exception as error:
        # Damaged files make decoders raise almost anything; none of it may stop the others.
        text = " ".join(str(error).split()) or type(error).__name__
        text = text.encode("utf-8", "replace").decode()  # It may name a file in other bytes.
        raise UnusableError(f"unreadable: {text}") from None
