"""Any picture as RGB for the screen: modes, 16 bits, transparency, colour profiles.

In two steps. `prepare` makes what is loaded a picture that can be resampled, its colours still its
own; `finish` makes those sRGB, and is given the small picture: colours take time by the pixel.
"""

import functools
import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms

from impasto.sources.trees import UnusableError

WHITE = (255, 255, 255)

_BAND = 2**22
"""Pixels of a picture that are changed at once, so that a huge one is never in memory twice."""
_SAME = 1
"""A profile whose colours differ from sRGB's by no more than this, of 255, is taken for sRGB."""
_PROFILES = 8
"""Transforms kept, one a colour profile: most pictures of a collection share a few."""

Change = Callable[[Image.Image], Image.Image]


def _change(image: Image.Image) -> tuple[str, Change] | None:
    """The mode in which an image can be resampled, and how it gets there; None: it can be already.

    Raises:
        UnusableError: its numbers are no brightness that a screen could show.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        return "L", _grey(image)
    if image.mode in ("La", "RGBa"):
        return None
    if image.mode == "LA":
        return "La", lambda band: band.convert("La")
    if image.has_transparency_data:
        # Premultiplied, so that what cannot be seen does not colour what lies beside it.
        return "RGBa", lambda band: band.convert("RGBA").convert("RGBa")
    if image.mode == "1":
        return "L", lambda band: band.convert("L")
    if image.mode in ("L", "RGB", "CMYK", "YCbCr", "LAB"):
        return None
    return "RGB", lambda band: band.convert("RGB")


def _grey(image: Image.Image) -> Change:
    """How grey of 16 or 32 bits or of floating-point numbers becomes grey of 8."""
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
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise UnusableError("unreadable: some of its pixels are no numbers (NaN)")
    return Image.fromarray(np.rint(values / np.float32(divisor)).astype(np.uint8))


def prepare(image: Image.Image, factor: int = 1) -> Image.Image:
    """A picture that is loaded, in a mode that can be resampled: L, La, RGB, RGBa, CMYK, YCbCr, LAB.

    Args:
        image: in any mode.
        factor: averages so many pixels to the side to one; what is left over at the right and at
            the bottom becomes a column and a row of their own.

    Raises:
        UnusableError: its numbers are no brightness that a screen could show.
    """
    changed = _change(image)
    if changed is None:
        return image.reduce(factor) if factor > 1 else image
    mode, change = changed
    width, height = image.size
    rows = max(1, _BAND // width // factor) * factor
    if rows >= height:
        whole = change(image)
        return whole.reduce(factor) if factor > 1 else whole
    made = Image.new(mode, (-(-width // factor), -(-height // factor)))
    for top in range(0, height, rows):
        band = change(image.crop((0, top, width, min(top + rows, height))))
        made.paste(band.reduce(factor) if factor > 1 else band, (0, top // factor))
    return made


@functools.lru_cache(maxsize=_PROFILES)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile's colours to sRGB; None where it is damaged, of another kind of colours or sRGB.

    The intent is relative colorimetric with black point compensation: what the screen can show is
    left as it is, and paper's white and black become the screen's.
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
        if mode in ("L", "RGB") and _changes_nothing(transform, mode):
            return None
    except Exception:
        # Whatever may be wrong with a profile, the picture is still to be seen without it.
        return None
    return transform


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    shown = ImageCms.applyTransform(image, transform)
    assert shown is not None
    return shown


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether it leaves colours alone, tried on a grid of them."""
    if mode == "L":
        colours = np.arange(256, dtype=np.uint8)[None]
    else:
        steps = np.arange(0, 256, 15, dtype=np.uint8)
        colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    image = Image.fromarray(colours)
    before = np.asarray(image.convert("RGB")).astype(int)
    after = np.asarray(_apply(transform, image))
    return bool(np.abs(after - before).max() <= _SAME)


def _on_screen(image: Image.Image, profile: bytes) -> Image.Image:
    """A picture without transparency as sRGB."""
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
    """A picture that `prepare` has made, perhaps since reduced, as sRGB (mode RGB).

    Args:
        image: in one of `prepare`'s modes.
        profile: the ICC profile that its colours are of; empty where it has none.
        background: what is seen where it is transparent.
    """
    if image.mode not in ("La", "RGBa"):
        return _on_screen(image, profile)
    whole, opaque = ("LA", "L") if image.mode == "La" else ("RGBA", "RGB")
    image = image.convert(whole)
    shown = Image.new("RGB", image.size, background)
    shown.paste(_on_screen(image.convert(opaque), profile), mask=image.getchannel("A"))
    return shown


def profile_of(image: Image.Image) -> bytes:
    """The ICC profile in a picture, empty where there is none."""
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) else b""


def to_rgb(image: Image.Image, background: tuple[int, int, int] = WHITE) -> Image.Image:
    """A picture of any mode as sRGB, at its own size.

    Raises:
        UnusableError: its numbers are no brightness that a screen could show.
    """
    profile = profile_of(image)
    return finish(prepare(image), profile, background)
