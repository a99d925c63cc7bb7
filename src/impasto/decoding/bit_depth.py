"""Convert pictures with more than 8 bits a sample to 8, also if 16-bit samples use fewer bits.

Cameras, scanners and microscopes give 10, 12 or 14 bits, which many programs store unscaled in 16.
Read as 16 bits, such a picture is almost black. The file may declare the number of significant bits
(`declared_bits`). If it does not, the number is guessed from the greatest sample (`guessed_bits`), and
the guess is reported.
"""

import sys
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from impasto.decoding.colour_metadata import Curve
from impasto.sources.trees import UnusableError

_BITS_PER_SAMPLE, _PHOTOMETRIC, _MAX_SAMPLE_VALUE = 258, 262, 281
_WHITE_IS_ZERO = 0
_WHITE = 0.98
"""A picture is taken for 10 or 14 bits only if its greatest sample is at least this share of their
maximum, as where a sensor is saturated."""
_OPPOSITE_ORDER = {
    ";16B": ";16L",
    ";16L": ";16B",
    ";16N": ";16B" if sys.byteorder == "little" else ";16L",
}
"""Pillow's names for byte orders, each with its opposite."""


def stored_bits(opened: ImageFile.ImageFile, header: bytes) -> int:
    """The number of stored bits of a PNG's or TIFF's samples; 8 for other files.

    Args:
        opened: the picture, as Pillow has opened it.
        header: a PNG's chunk IHDR; empty for other files.
    """
    if isinstance(opened, TiffImagePlugin.TiffImageFile):
        return max(_numbers(opened, _BITS_PER_SAMPLE), default=1)
    return header[8] if len(header) > 8 else 8


def _numbers(opened: TiffImagePlugin.TiffImageFile, tag: int) -> list[int]:
    """The integers in a TIFF's tag."""
    value = opened.tag_v2.get(tag, ())
    each = value if isinstance(value, tuple) else (value,)
    return [number for number in each if isinstance(number, int)]


def declared_bits(opened: ImageFile.ImageFile, significant: bytes) -> int:
    """The number of significant bits of a sample that the file declares; 0 if it declares none.

    A TIFF's MaxSampleValue counts only if it is the maximum of a number of bits, since it may also be
    the picture's own maximum.

    Args:
        opened: the picture, as Pillow has opened it.
        significant: a PNG's chunk sBIT; empty if there is none.
    """
    if isinstance(opened, TiffImagePlugin.TiffImageFile):
        greatest = max(_numbers(opened, _MAX_SAMPLE_VALUE), default=0)
        bits = greatest.bit_length()
        return bits if 8 <= bits <= 16 and greatest == 2**bits - 1 else 0
    return max(significant, default=0)


def significant_bits(samples: np.ndarray, declared: int) -> int:
    """The number of significant bits of 16-bit samples, given the declared number.

    It is below 16 only if all samples fit in the declared bits and are not scaled to 16 bits already, as
    PNG requires.
    """
    if not 8 <= declared < 16 or samples.max() >= 2**declared or _is_scaled(samples):
        return 16
    # Scaled from 14 bits, a dark picture has multiples of 4.
    return declared if declared <= 12 or (samples % 2 ** (16 - declared)).any() else 16


def guessed_bits(samples: np.ndarray) -> int:
    """Guess the number of significant bits of 16-bit samples: 8, 10, 12, 14 or 16.

    A 16-bit picture without a sample above 4,095 would nowhere be brighter than 16 of 255, so it
    has 12 bits, or 8 if no sample is above 255. A 14-bit picture may be a dark 16-bit one, and a
    10-bit one a dark 12-bit one, so 14 and 10 are guessed only if samples reach their white.
    Samples that were scaled from 8 bits to 16 count as 16 bits, however dark they are.
    """
    greatest = int(samples.max())
    if greatest >= 2**14 or _is_scaled(samples):
        return 16
    if greatest < 2**8:
        return 8
    for bits in (10, 14):
        if _WHITE * (2**bits - 1) <= greatest < 2**bits:
            return bits
    return 12 if greatest < 2**12 else 16


def _is_scaled(samples: np.ndarray) -> bool:
    """Whether 16-bit samples are scaled from 8 bits: each byte is repeated, or followed by a zero."""
    return not (samples % 257).any() or not (samples % 256).any()


def _may_be_fewer(highest: int) -> bool:
    """Whether samples whose upper bytes are at most `highest` may have fewer than 16 significant
    bits."""
    return highest < 2**4 or int(_WHITE * (2**14 - 1)) >> 8 <= highest < 2**6


def to_8_bits(
    opened: ImageFile.ImageFile,
    again: Callable[[], ImageFile.ImageFile],
    stored: int,
    declared: int,
    curve: Curve | None,
) -> tuple[Image.Image, int]:
    """A loaded picture converted to 8 bits a sample, with its curve applied.

    Most pictures have 8 bits already and are returned unchanged.

    Args:
        opened: the picture.
        again: opens the file again. Of 16-bit colours Pillow reads 8 bits at a time.
        stored: from `stored_bits`.
        declared: from `declared_bits`.
        curve: from `colour_metadata.Tones`.

    Returns:
        The picture, and the guessed number of significant bits; 0 if none was guessed.

    Raises:
        UnusableError: its samples have fewer than 16 significant bits, and Pillow cannot give all of
            them.
    """
    if opened.mode.startswith("I;16") and opened.format in ("PNG", "TIFF"):
        return _grey(opened, stored, declared, curve)
    if opened.mode == "I" and opened.format == "TIFF":
        samples = np.asarray(opened)
        if samples.min() >= 0 and samples.max() < 2**16:  # `prepare` reports other ranges.
            bits, guessed = _bits(samples, declared)
            return Image.fromarray(_table(bits, curve)[samples]), guessed
    if opened.mode == "F" and _is_inverted(opened):
        return Image.fromarray(1 - np.asarray(opened)), 0
    if stored == 16 and opened.mode in ("RGB", "RGBA"):
        return _colours(opened, again, declared, curve)
    return (opened if curve is None else _curved(opened, curve)), 0


def _is_inverted(opened: ImageFile.ImageFile) -> bool:
    """Whether zero is white in a TIFF; Pillow inverts only up to 8 bits."""
    return isinstance(opened, TiffImagePlugin.TiffImageFile) and (
        opened.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    )


def _bits(samples: np.ndarray, declared: int) -> tuple[int, int]:
    """The number of significant bits, and that number again if it is a guess below 16, else 0."""
    if declared:
        return significant_bits(samples, declared), 0
    bits = guessed_bits(samples)
    return bits, bits if bits < 16 else 0


def _table(bits: int, curve: Curve | None, inverted: bool = False) -> np.ndarray:
    """uint8 [65536]: the 8-bit value of each sample."""
    shares = np.minimum(np.arange(2**16) / (2**bits - 1), 1)
    if inverted:
        shares = 1 - shares
    return np.rint(255 * (shares if curve is None else curve(shares))).astype(np.uint8)


def _grey(
    opened: ImageFile.ImageFile, stored: int, declared: int, curve: Curve | None
) -> tuple[Image.Image, int]:
    samples = np.asarray(opened)
    bits, guessed = (stored, 0) if stored < 16 else _bits(samples, declared)
    inverted = _is_inverted(opened)
    if bits == 16 and curve is None and not inverted:
        return opened, 0
    return Image.fromarray(_table(bits, curve, inverted)[samples]), guessed


def _colours(
    opened: ImageFile.ImageFile,
    again: Callable[[], ImageFile.ImageFile],
    declared: int,
    curve: Curve | None,
) -> tuple[Image.Image, int]:
    upper = np.asarray(opened)
    highest = int(upper[:, :, :3].max())
    fewer = (
        highest < 2 ** (declared - 8)
        if 8 <= declared < 16
        else not declared and _may_be_fewer(highest)
    )
    if not fewer and curve is None:
        return opened, 0
    whole = _all_bits(upper, again)
    if whole is None:
        if fewer and highest < 2**4:
            raise UnusableError(
                "unreadable: fewer than 16 bits in 16, in an order that is not known here; save it as a "
                "PNG or TIFF of 8 bits"
            )
        return (opened if curve is None else _curved(opened, curve)), 0
    bits, guessed = _bits(whole[:, :, :3], declared) if fewer else (16, 0)
    if bits == 16 and curve is None:
        return opened, 0
    made = _table(bits, curve)[whole]
    if whole.shape[2] == 4:
        opacity = whole[:, :, 3]
        made[:, :, 3] = _table(bits if opacity.max() < 2**bits else 16, None)[opacity]
    return Image.fromarray(made), guessed


def _all_bits(upper: np.ndarray, again: Callable[[], ImageFile.ImageFile]) -> np.ndarray | None:
    """The samples, uint16 [H, W, 3 or 4], from their upper bytes and the lower ones in the file;
    None if the file's byte order is unknown."""
    with again() as opened:
        orders = {_byte_order(tile) for tile in opened.tile}
        if orders == {"LA;16B"}:
            # Read as four 8-bit samples, a pixel is the two bytes of its grey and of its opacity.
            opened.tile = [_with_byte_order(tile, "RGBA") for tile in opened.tile]
            opened.load()
            pairs = np.asarray(opened).astype(np.uint16)
            both = pairs[:, :, ::2] << 8 | pairs[:, :, 1::2]
            return both[:, :, [0, 0, 0, 1]]
        if not all(order[-4:] in _OPPOSITE_ORDER for order in orders):
            return None
        # In the opposite byte order, Pillow takes the lower byte for the upper one.
        opened.tile = [
            _with_byte_order(tile, _byte_order(tile)[:-4] + _OPPOSITE_ORDER[_byte_order(tile)[-4:]])
            for tile in opened.tile
        ]
        opened.load()
        lower = np.asarray(opened)
    whole = upper.astype(np.uint16)
    whole <<= 8
    whole |= lower
    return whole


def correct_planar_tiff(opened: ImageFile.ImageFile) -> None:
    """Correct how Pillow reads a 16-bit TIFF with planar colours, of which it would take each byte for a
    pixel."""
    if isinstance(opened, TiffImagePlugin.TiffImageFile) and stored_bits(opened, b"") == 16:
        order = ";16L" if opened.tag_v2.prefix == b"II" else ";16B"
        opened.tile = [
            _with_byte_order(tile, _byte_order(tile) + order)
            if _byte_order(tile) in tuple("RGBA")
            else tile
            for tile in opened.tile
        ]


def _byte_order(tile: ImageFile._Tile) -> str:
    """Pillow's name for the byte order of a tile, such as `RGB;16B`."""
    declared = tile.args if isinstance(tile.args, str) else (tile.args or ("",))[0]
    return declared if isinstance(declared, str) else ""


def _with_byte_order(tile: ImageFile._Tile, order: str) -> ImageFile._Tile:
    """The tile with another byte order."""
    args = order if isinstance(tile.args, str) else (order, *(tile.args or ("",))[1:])
    return tile._replace(args=args)


def _curved(image: Image.Image, curve: Curve) -> Image.Image:
    """A picture of 8 bits a sample with a curve applied to its colours."""
    table = np.rint(255 * curve(np.arange(256) / 255)).astype(int).tolist()
    if image.has_transparency_data or image.mode in ("La", "RGBa"):
        return image.convert("RGBA").point(table * 3 + list(range(256)))
    if image.mode in ("1", "L"):
        return image.convert("L").point(table)
    return image.convert("RGB").point(table * 3)
