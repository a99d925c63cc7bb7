"""Convert any picture to sRGB: modes, 16 bits, transparency, colour profiles.

There are two steps. `prepare` converts a loaded picture to a mode that can be resampled, in its own
colours. `finish` converts the resampled picture to sRGB. This takes time for every pixel, so it is done
last, when the picture is smaller.
"""

import functools
import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms

from impasto.sources.trees import UnusableError

WHITE = (255, 255, 255)

_BAND = 2**22
"""Most pixels converted at once, so that there is never a second copy of a huge picture in memory."""
_SRGB_TOLERANCE = 1
"""A profile whose colours differ from sRGB's by at most this, of 255, counts as sRGB."""
_PROFILES = 8
"""Number of cached transforms, one for each profile; most pictures of a collection share a few."""

Conversion = Callable[[Image.Image], Image.Image]


def _conversion(image: Image.Image) -> tuple[str, Conversion] | None:
    """The mode in which an image can be resampled, and the conversion to it; None: it needs none.

    Raises:
        UnusableError: its numbers are not known to be brightness.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        return "L", _grey(image)
    if image.mode in ("La", "RGBa"):
        return None
    if image.mode == "LA":
        return "La", lambda band: band.convert("La")
    if image.has_transparency_data:
        # Premultiplied, so that transparent pixels do not colour their neighbours.
        return "RGBa", lambda band: band.convert("RGBA").convert("RGBa")
    if image.mode == "1":
        return "L", lambda band: band.convert("L")
    if image.mode in ("L", "RGB", "CMYK", "YCbCr", "LAB"):
        return None
    return "RGB", lambda band: band.convert("RGB")


def _grey(image: Image.Image) -> Conversion:
    """The conversion of 16-bit, 32-bit or floating-point grey to 8 bits.

    Raises:
        UnusableError: its numbers are not known to be brightness.
    """
    if image.mode.startswith("I;16"):
        return lambda band: _as_grey(np.asarray(band), 257)
    low, high = image.getextrema()
    assert isinstance(low, float | int)
    assert isinstance(high, float | int)
    if image.mode == "F":
        if low < 0 or high > 1:
            raise UnusableError(
                f"unreadable: its pixels are floating-point numbers from {low:g} to {high:g}, and "
                "only those from 0 to 1 are known to mean black to white"
            )
        return lambda band: _as_grey(np.asarray(band), 1 / 255)
    if low < 0 or high > 65535:
        raise UnusableError(
            f"unreadable: its pixels are numbers from {low} to {high}, and only those of 8 or 16 "
            "bits are known to mean black to white"
        )
    return lambda band: _as_grey(np.asarray(band), 257)


def _as_grey(values: np.ndarray, divisor: float) -> Image.Image:
    """Grey of 8 bits from numbers [H, W], divided by `divisor`."""
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise UnusableError("unreadable: some of its pixels are no numbers (NaN)")
    return Image.fromarray(np.rint(values / np.float32(divisor)).astype(np.uint8))


def prepare(image: Image.Image, factor: int = 1) -> Image.Image:
    """Convert a loaded picture to a mode that can be resampled: L, La, RGB, RGBa, CMYK, YCbCr or LAB.

    Args:
        image: in any mode.
        factor: side of the blocks of pixels that are averaged to one. Incomplete blocks at the right and
            bottom edges become a column and a row, too.

    Raises:
        UnusableError: its numbers are not known to be brightness.
    """
    conversion = _conversion(image)
    if conversion is None:
        return image.reduce(factor) if factor > 1 else image
    mode, convert = conversion
    width, height = image.size
    rows = max(1, _BAND // width // factor) * factor
    if rows >= height:
        whole = convert(image)
        return whole.reduce(factor) if factor > 1 else whole
    made = Image.new(mode, (-(-width // factor), -(-height // factor)))
    for top in range(0, height, rows):
        band = convert(image.crop((0, top, width, min(top + rows, height))))
        made.paste(band.reduce(factor) if factor > 1 else band, (0, top // factor))
    return made


@functools.lru_cache(maxsize=_PROFILES)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform from a profile to sRGB; None if the profile is damaged, of another colour model than
    `mode`, or sRGB.

    The intent is relative colorimetric with black point compensation: colours inside sRGB stay the
    same, and the profile's white and black become sRGB's.
    """
    try:
        source = (
            ImageCms.createProfile("LAB")
            if mode == "LAB"
            else ImageCms.ImageCmsProfile(io.BytesIO(profile))
        )
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if mode in ("L", "RGB") and _is_identity(transform, mode):
            return None
    except Exception:
        # A damaged profile is ignored.
        return None
    return transform


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    shown = ImageCms.applyTransform(image, transform)
    assert shown is not None
    return shown


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a transform changes the colours of a grid by no more than `_SRGB_TOLERANCE`."""
    if mode == "L":
        colours = np.arange(256, dtype=np.uint8)[None]
    else:
        steps = np.arange(0, 256, 15, dtype=np.uint8)
        colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    image = Image.fromarray(colours)
    before = np.asarray(image.convert("RGB")).astype(int)
    after = np.asarray(_apply(transform, image))
    return bool(np.abs(after - before).max() <= _SRGB_TOLERANCE)


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert a picture without transparency to sRGB (mode RGB)."""
    if image.mode == "YCbCr":
        image = image.convert("RGB")
    if profile or image.mode == "LAB":
        transform = _transform(profile, image.mode)
        if transform is not None:
            return _apply(transform, image)
    return image.convert("RGB")


def finish(
    image: Image.Image, profile: bytes = b"", background: tuple[int, int, int] = WHITE
) -> Image.Image:
    """Convert a picture from `prepare` to sRGB (mode RGB).

    Args:
        image: in one of `prepare`'s modes, of any size.
        profile: its ICC profile; empty if it has none.
        background: the colour behind transparent pixels, 0 to 255.
    """
    if image.mode not in ("La", "RGBa"):
        return _to_srgb(image, profile)
    whole, opaque = ("LA", "L") if image.mode == "La" else ("RGBA", "RGB")
    image = image.convert(whole)
    shown = Image.new("RGB", image.size, background)
    shown.paste(_to_srgb(image.convert(opaque), profile), mask=image.getchannel("A"))
    return shown


def profile_of(image: Image.Image) -> bytes:
    """The ICC profile in a picture; empty if there is none."""
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) else b""


def to_rgb(image: Image.Image, background: tuple[int, int, int] = WHITE) -> Image.Image:
    """Convert a picture of any mode to sRGB (mode RGB), at its own size.

    Args:
        image: in any mode.
        background: the colour behind transparent pixels, 0 to 255.

    Raises:
        UnusableError: its numbers are not known to be brightness.
    """
    profile = profile_of(image)
    return finish(prepare(image), profile, background)
