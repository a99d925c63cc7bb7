"""Files as they come from the net, from cameras, scanners and printers, and from nobody good.

Each is made here, of four flat quarters, so that what should be seen of it can be said without
decoding it: colours worked out by hand or by the formula of a standard, or the kind of the reason why
there is nothing to be seen.
"""

import functools
import io
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageCms

Colour = tuple[int, int, int]

SIDE = 64
"""Pixels to the side of each picture, unless its name says otherwise."""
QUARTERS: tuple[Colour, ...] = ((200, 30, 40), (30, 160, 60), (40, 60, 190), (240, 220, 80))
"""Top left, top right, bottom left, bottom right."""
GREYS = (20, 90, 160, 230)
WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Case:
    """A file and what it should give."""

    name: str
    make: Callable[[], bytes]
    shows: tuple[Colour, ...] | None = None
    """What its quarters look like; None: nothing is to be seen of it."""
    reason: str = ""
    """How the reason begins where there is nothing to be seen."""
    by: int = 2
    """How far, of 255, a colour may be off."""
    options: dict[str, Any] = field(default_factory=dict)
    """Of `Fitting`, where others than usual."""


CASES: list[Case] = []


def case(
    name: str,
    shows: Sequence[Colour] | None = None,
    reason: str = "",
    by: int = 2,
    **options: Any,
) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
    """Enter a function that makes a file's bytes as one more case."""

    def enter(make: Callable[[], bytes]) -> Callable[[], bytes]:
        make = functools.cache(make)
        seen = None if shows is None else tuple(shows)
        CASES.append(Case(name, make, seen, reason, by, options))
        return make

    return enter


# --- Pictures of four quarters


def quarters(values: Sequence[Any], side: int = SIDE) -> np.ndarray:
    """uint8 [side, side] or [side, side, C]: each quarter of one value."""
    top_left, top_right, bottom_left, bottom_right = (np.asarray(v) for v in values)
    half = side // 2

    def tile(value: np.ndarray) -> np.ndarray:
        return np.broadcast_to(value, (half, half, *value.shape))

    rows = [
        np.concatenate([tile(top_left), tile(top_right)], axis=1),
        np.concatenate([tile(bottom_left), tile(bottom_right)], axis=1),
    ]
    return np.concatenate(rows)


def image(mode: str, values: Sequence[Any] = QUARTERS) -> Image.Image:
    """A picture of a mode with as many channels as the values have, its quarters of those."""
    pixels = quarters(values).astype(np.uint8)
    if pixels.ndim == 2:
        return Image.fromarray(pixels)
    bands = [Image.fromarray(pixels[:, :, channel]) for channel in range(pixels.shape[2])]
    return Image.merge(mode, bands)


def rgb() -> Image.Image:
    return image("RGB")


def saved(picture: Image.Image, form: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **how)
    return buffer.getvalue()


def jpeg(picture: Image.Image, **how: Any) -> bytes:
    return saved(picture, "JPEG", **{"quality": 95, "subsampling": 0, **how})


def grey(values: Sequence[int]) -> list[Colour]:
    return [(value, value, value) for value in values]


def over(colours: Sequence[tuple[int, int, int, int]], background: Colour) -> list[Colour]:
    """Red, green, blue, opacity on a background."""
    made = []
    for *colour, alpha in colours:
        share = alpha / 255
        made.append(
            tuple(
                round(c * share + b * (1 - share)) for c, b in zip(colour, background, strict=True)
            )
        )
    return made  # type: ignore[return-value]


# --- Colours by the formulas of their standards


def from_cmyk(inks: Sequence[tuple[int, int, int, int]]) -> list[Colour]:
    """Inks without a profile: each takes its share away."""
    return [
        tuple(round((255 - ink) * (255 - black) / 255) for ink in inks)  # type: ignore[misc]
        for *inks, black in inks
    ]


def to_srgb(light: float) -> int:
    """Linear light, 0 to 1, as one of 256 levels: IEC 61966-2-1."""
    light = min(1.0, max(0.0, light))
    coded = 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055
    return round(coded * 255)


# From D50 to linear sRGB, by Bradford's adaptation (B. Lindbloom's tables).
_FROM_D50 = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)
_D50 = np.array([0.9642, 1.0, 0.8249])


def from_lab(lab: tuple[float, float, float]) -> Colour:
    """CIELAB of D50 as sRGB: CIE 15, section 8.2.1."""
    fy = (lab[0] + 16) / 116
    steps = np.array([fy + lab[1] / 500, fy, fy - lab[2] / 200])
    limit = 6 / 29
    light = np.where(steps > limit, steps**3, 3 * limit**2 * (steps - 4 / 29)) * _D50
    red, green, blue = (to_srgb(part) for part in _FROM_D50 @ light)
    return red, green, blue


LABS = ((60, 40, 30), (80, -30, 50), (40, 10, -40), (95, 0, 0))
INKS = ((0, 200, 150, 20), (180, 0, 220, 10), (200, 150, 0, 60), (0, 0, 180, 0))


# --- Colour profiles (ICC.1:2022)


def fixed(*numbers: float) -> bytes:
    """s15Fixed16Number."""
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def profile(kind: bytes, colours: bytes, space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 4.2 with these tags."""
    table, data = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content
    header = struct.pack(">I4s", start + len(data), b"") + bytes.fromhex("04200000")
    header += kind + colours + space + bytes(12) + b"acsp" + bytes(28) + fixed(*_D50) + bytes(48)
    assert len(header) == 128
    return header + struct.pack(">I", len(tags)) + table + data


def _xyz(*numbers: float) -> bytes:
    return b"XYZ \0\0\0\0" + fixed(*numbers)


_SRGB_CURVE = b"para" + bytes(4) + b"\0\3\0\0"
_SRGB_CURVE += fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_LINEAR_CURVE = b"curv" + bytes(4) + struct.pack(">I", 0)
# The primaries of sRGB, adapted to D50 (IEC 61966-2-1 and Bradford, by B. Lindbloom's tables).
_RED, _GREEN, _BLUE = (
    (0.4360747, 0.2225045, 0.0139322),
    (0.3850649, 0.7168786, 0.0971045),
    (0.1430804, 0.0606169, 0.7141733),
)


def rgb_profile(*primaries: tuple[float, float, float]) -> bytes:
    tags = {
        name: _xyz(*primary)
        for name, primary in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)
    }
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _SRGB_CURVE)
    return profile(b"mntr", b"RGB ", b"XYZ ", tags)


@functools.cache
def swapped() -> bytes:
    """A profile by which the first number is green and the second is red."""
    return rgb_profile(_GREEN, _RED, _BLUE)


def unswapped(colours: Sequence[Colour] = QUARTERS) -> list[Colour]:
    """What is seen of colours by `swapped`."""
    return [(green, red, blue) for red, green, blue in colours]


def linear_grey() -> bytes:
    return profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _LINEAR_CURVE})


CYAN_LOOKS = (55.0, 48.0, 32.0)


@functools.cache
def odd_inks() -> bytes:
    """A printer whose cyan, alone and in full, is a red of `CYAN_LOOKS`; no ink at all is white and
    everything else black."""
    nodes: dict[tuple[int, ...], tuple[float, float, float]] = {
        (0, 0, 0, 0): (100.0, 0.0, 0.0),
        (1, 0, 0, 0): CYAN_LOOKS,
    }
    grid = b""
    for number in range(16):
        ink = tuple(number >> shift & 1 for shift in (3, 2, 1, 0))
        lightness, a, b = nodes.get(ink, (0.0, 0.0, 0.0))
        grid += bytes([round(lightness * 2.55), round(a) + 128, round(b) + 128])
    ramp = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table += ramp * 4 + grid + ramp * 3
    return profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


# --- PNG by hand (W3C PNG, third edition), for what Pillow does not write


def chunk(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def png(
    samples: np.ndarray,
    depth: int,
    colour_type: int,
    before: bytes = b"",
    interlaced: bool = False,
    declared: tuple[int, int] | None = None,
) -> bytes:
    """A PNG of samples [H, W] or [H, W, C], each of `depth` bits; `before` are chunks of its own."""
    samples = samples.reshape(*samples.shape[:2], -1)
    height, width = samples.shape[:2]
    passes = [samples]
    if interlaced:
        starts = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4)]
        starts += [(1, 0, 2, 2), (0, 1, 1, 2)]
        passes = [samples[y::down, x::across] for x, y, across, down in starts]
    data = b"".join(b"\0" + _packed(row, depth) for part in passes for row in part)
    width, height = declared or (width, height)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)
    body = chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def _packed(row: np.ndarray, depth: int) -> bytes:
    if depth == 16:
        return row.astype(">u2").tobytes()
    if depth == 8:
        return row.astype(np.uint8).tobytes()
    bits = (row.reshape(-1, 1) >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()


def inserted(content: bytes, *chunks: bytes) -> bytes:
    """A PNG with more chunks after its header."""
    return content[:33] + b"".join(chunks) + content[33:]


def bomb(size: int) -> bytes:
    """A few kilobytes that unpack to `size` bytes."""
    packer = zlib.compressobj(9)
    block = bytes(2**20)
    packed = b"".join(packer.compress(block) for _ in range(size // len(block)))
    return packed + packer.flush()


# --- TIFF by hand (TIFF 6.0), for what Pillow does not write


def tiff(
    data: bytes, entries: dict[int, tuple[int, list[int]]], order: str = "<", next_at: int = 0
) -> bytes:
    """A TIFF of one strip: its tags with their kinds (3: 16 bits, 4: 32) and values."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8 + len(data))
    entries = {**entries, 273: (4, [8]), 279: (4, [len(data)])}
    table, extra = struct.pack(order + "H", len(entries)), b""
    end = 8 + len(data) + 2 + 12 * len(entries) + 4
    for tag, (kind, values) in sorted(entries.items()):
        packed = b"".join(struct.pack(order + (" HI"[kind - 2]), value) for value in values)
        table += struct.pack(order + "HHI", tag, kind, len(values))
        if len(packed) <= 4:
            table += packed.ljust(4, b"\0")
        else:
            table += struct.pack(order + "I", end + len(extra))
            extra += packed
    return head + data + table + struct.pack(order + "I", next_at) + extra


def tiff_entries(bits: Sequence[int], photometric: int) -> dict[int, tuple[int, list[int]]]:
    return {
        256: (3, [SIDE]),
        257: (3, [SIDE]),
        258: (3, list(bits)),
        259: (3, [1]),
        262: (3, [photometric]),
        277: (3, [len(bits)]),
        278: (3, [SIDE]),
    }


# --- JPEG


@case("jpeg.jpg", QUARTERS, by=4)
@case("wrong-name.png", QUARTERS, by=4)
def _() -> bytes:
    return jpeg(rgb())


@case("progressive.jpg", QUARTERS, by=4)
def _() -> bytes:
    return jpeg(rgb(), progressive=True)


@case("grey.jpg", grey(GREYS), by=4)
def _() -> bytes:
    return jpeg(image("L", GREYS))


@case("cmyk-adobe.jpg", from_cmyk(INKS), by=4)
def cmyk_jpeg() -> bytes:
    content = jpeg(image("CMYK", INKS))
    assert b"Adobe" in content
    return content


@case("cmyk-no-marker.jpg", from_cmyk(INKS), by=4)
def _() -> bytes:
    # Browsers, too, take it for inverted as Adobe's are.
    content = cmyk_jpeg()
    start = content.index(b"\xff\xee")
    return content[:start] + content[start + 16 :]


@case("ycck.jpg", from_cmyk(INKS), by=5)
def _() -> bytes:
    # Adobe's "YCCK": the inks but black as if they were red, green and blue, in Y, Cb and Cr.
    made = []
    for cyan, magenta, yellow, black in INKS:
        luma = 0.299 * cyan + 0.587 * magenta + 0.114 * yellow
        blue, red = 128 + (yellow - luma) / 1.772, 128 + (cyan - luma) / 1.402
        # Pillow inverts what it writes, and only black is stored inverted.
        made.append((255 - round(luma), 255 - round(blue), 255 - round(red), black))
    content = jpeg(image("CMYK", made))
    transform = content.index(b"Adobe") + 11
    return content[:transform] + b"\x02" + content[transform + 1 :]


@case("cmyk-profile.jpg", [from_lab(CYAN_LOOKS), WHITE, (0, 0, 0), (0, 0, 0)], by=4)
def _() -> bytes:
    inks = [(255, 0, 0, 0), (0, 0, 0, 0), (0, 255, 0, 0), (0, 0, 0, 255)]
    return jpeg(image("CMYK", inks), icc_profile=odd_inks())


@case("profile.jpg", unswapped(), by=4)
def _() -> bytes:
    return jpeg(rgb(), icc_profile=swapped())


@case("profile-srgb.jpg", QUARTERS, by=4)
def _() -> bytes:
    return jpeg(rgb(), icc_profile=srgb())


@case("profile-srgb-by-hand.jpg", QUARTERS, by=4)
def _() -> bytes:
    return jpeg(rgb(), icc_profile=rgb_profile(_RED, _GREEN, _BLUE))


@case("profile-grey.jpg", grey([to_srgb(value / 255) for value in GREYS]), by=4)
def _() -> bytes:
    return jpeg(image("L", GREYS), icc_profile=linear_grey())


@case("profile-noise.jpg", QUARTERS, by=4)
def _() -> bytes:
    return jpeg(rgb(), icc_profile=bytes(range(256)) * 20)


@case("profile-cut.jpg", QUARTERS, by=4)
def _() -> bytes:
    return jpeg(rgb(), icc_profile=swapped()[:150])


@case("profile-empty-tags.jpg", QUARTERS, by=4)
def _() -> bytes:
    return jpeg(rgb(), icc_profile=swapped()[:128] + b"\xff\xff\xff\xff")


@case("profile-of-inks.jpg", QUARTERS, by=4)
def _() -> bytes:
    return jpeg(rgb(), icc_profile=odd_inks())


@case("profile-of-colours-in-grey.jpg", grey(GREYS), by=4)
def _() -> bytes:
    return jpeg(image("L", GREYS), icc_profile=swapped())


@case("profile-of-colours-in-inks.jpg", from_cmyk(INKS), by=4)
def _() -> bytes:
    return jpeg(image("CMYK", INKS), icc_profile=swapped())


def turned(value: int = 6) -> bytes:
    """EXIF data that says: to be turned a quarter to the right (6)."""
    exif = Image.Exif()
    exif[0x0112] = value
    return exif.tobytes()


def lying() -> Image.Image:
    """The picture turned a quarter to the left."""
    return rgb().transpose(Image.Transpose.ROTATE_90)


@case("orientation.jpg", QUARTERS, by=4)
def _() -> bytes:
    return jpeg(lying(), exif=turned())


@case("orientation-unknown.jpg", QUARTERS, by=4)
def _() -> bytes:
    return jpeg(rgb(), exif=turned(77))


@case("exif-damaged.jpg", QUARTERS, by=4)
def _() -> bytes:
    return jpeg(rgb(), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + bytes(20))


@case("two-pictures.mpo", QUARTERS, by=4)
def _() -> bytes:
    content = saved(
        rgb(), "MPO", save_all=True, append_images=[Image.new("RGB", (SIDE, SIDE))], quality=95
    )
    assert content.count(b"\xff\xd8\xff") == 2
    return content


@case("junk-behind.jpg", QUARTERS, by=4)
def _() -> bytes:
    return jpeg(rgb()) + b"<html>" * 50


@case("cut.jpg", reason="truncated")
@case("cut-salvaged.jpg", (*QUARTERS[:2], (128, 128, 128), (128, 128, 128)), by=6, salvage=True)
def _() -> bytes:
    content = jpeg(rgb(), restart_marker_rows=1)
    # All of the upper half's rows of blocks and no more: 64 px are eight of them.
    return content[: content.index(b"\xff\xd3") + 2]


@case("cut-in-the-header.jpg", reason="truncated")
@case("cut-in-the-header-salvaged.jpg", reason="truncated", salvage=True)
def _() -> bytes:
    return jpeg(rgb())[:100]


def resized(content: bytes, width: int, height: int) -> bytes:
    """A JPEG that says it is of another size."""
    start = content.index(b"\xff\xc0") + 5
    return content[:start] + struct.pack(">HH", height, width) + content[start + 4 :]


@case("says-it-is-huge.jpg", reason="too large")
def _() -> bytes:
    return resized(jpeg(rgb()), 65500, 65500)


@case("says-it-is-flat.jpg", reason="unreadable")
def _() -> bytes:
    return resized(jpeg(rgb()), SIDE, 0)


@case("of-12-bits.jpg", reason="unreadable")
def _() -> bytes:
    content = jpeg(rgb())
    start = content.index(b"\xff\xc0") + 4
    return content[:start] + b"\x0c" + content[start + 1 :]


# --- PNG


@case("grey.png", grey(GREYS))
def _() -> bytes:
    return saved(image("L", GREYS), "PNG")


@case("grey-of-2-bits.png", grey((0, 85, 170, 255)))
def _() -> bytes:
    return png(quarters((0, 1, 2, 3)), 2, 0)


@case("grey-of-1-bit.png", grey((0, 255, 255, 0)))
def _() -> bytes:
    return png(quarters((0, 1, 1, 0)), 1, 0)


WIDE = (0, 12850, 40000, 65535)


@case("grey-of-16-bits.png", grey([round(value / 257) for value in WIDE]), by=0)
def _() -> bytes:
    return png(quarters(WIDE), 16, 0)


# Pillow takes the upper byte of colours of 16 bits, so they may be one level off.
@case("colours-of-16-bits.png", QUARTERS, by=1)
def _() -> bytes:
    return png(quarters(QUARTERS).astype(int) * 257, 16, 2)


GLASS = ((200, 30, 40, 255), (30, 160, 60, 0), (40, 60, 190, 128), (240, 220, 80, 51))


@case("glass-of-16-bits.png", over(GLASS, WHITE), by=2)
def _() -> bytes:
    return png(quarters(GLASS).astype(int) * 257, 16, 6)


@case("glass.png", over(GLASS, WHITE), by=2)
@case("glass-over-blue.png", over(GLASS, (10, 20, 200)), by=2, background=(10, 20, 200))
def _() -> bytes:
    return saved(image("RGBA", GLASS), "PNG")


@case("glass-and-profile.png", over([(g, r, b, a) for r, g, b, a in GLASS], WHITE), by=3)
def _() -> bytes:
    return saved(image("RGBA", GLASS), "PNG", icc_profile=swapped())


GREY_GLASS = ((20, 255), (90, 0), (160, 128), (230, 51))


@case("grey-glass.png", over([(v, v, v, a) for v, a in GREY_GLASS], WHITE), by=2)
def _() -> bytes:
    return saved(image("LA", GREY_GLASS), "PNG")


@case("grey-glass-of-16-bits.png", over([(v, v, v, a) for v, a in GREY_GLASS], WHITE), by=2)
def _() -> bytes:
    return png(quarters(GREY_GLASS).astype(int) * 257, 16, 4)


def painted(values: Sequence[int] = (0, 1, 2, 3)) -> Image.Image:
    """A picture of a palette that holds the quarters' colours."""
    picture = Image.fromarray(quarters(values).astype(np.uint8)).convert("P")
    picture.putdata(quarters(values).ravel().tolist())
    picture.putpalette([part for colour in QUARTERS for part in colour])
    return picture


@case("palette.png", QUARTERS)
def _() -> bytes:
    return saved(painted(), "PNG")


@case("palette-of-4-bits.png", QUARTERS)
def _() -> bytes:
    palette = bytes(part for colour in QUARTERS for part in colour)
    return png(quarters((0, 1, 2, 3)), 4, 3, chunk(b"PLTE", palette))


@case("palette-one-clear.png", (QUARTERS[0], QUARTERS[1], WHITE, QUARTERS[3]))
def _() -> bytes:
    return saved(painted(), "PNG", transparency=2)


@case("palette-glass.png", over(GLASS, WHITE))
def _() -> bytes:
    return saved(painted(), "PNG", transparency=bytes(alpha for *_, alpha in GLASS))


@case("palette-too-short.png", (QUARTERS[0], QUARTERS[1], (0, 0, 0), (0, 0, 0)))
def _() -> bytes:
    palette = bytes(part for colour in QUARTERS[:2] for part in colour)
    return png(quarters((0, 1, 2, 3)), 8, 3, chunk(b"PLTE", palette))


@case("one-colour-clear.png", (QUARTERS[0], WHITE, QUARTERS[2], QUARTERS[3]))
def _() -> bytes:
    return saved(rgb(), "PNG", transparency=QUARTERS[1])


@case("one-grey-clear.png", grey((20, 255, 160, 230)))
def _() -> bytes:
    return saved(image("L", GREYS), "PNG", transparency=90)


@case("interlaced.png", QUARTERS)
def _() -> bytes:
    return png(quarters(QUARTERS), 8, 2, interlaced=True)


@case("profile.png", unswapped())
def _() -> bytes:
    return saved(rgb(), "PNG", icc_profile=swapped())


@case("profile-of-3-mb.png", QUARTERS)
def _() -> bytes:
    # More than Pillow by itself would allow; nothing is wrong with the picture.
    return saved(rgb(), "PNG", icc_profile=bytes(3 * 2**20))


@case("text-of-3-mb.png", QUARTERS)
def _() -> bytes:
    return inserted(saved(rgb(), "PNG"), chunk(b"zTXt", b"Comment\0\0" + bomb(3 * 2**20)))


@case("text-bomb.png", reason="too large")
def _() -> bytes:
    return inserted(saved(rgb(), "PNG"), chunk(b"zTXt", b"Comment\0\0" + bomb(70 * 2**20)))


@case("many-texts-bomb.png", reason="too large")
def _() -> bytes:
    text = chunk(b"zTXt", b"Comment\0\0" + bomb(20 * 2**20))
    return inserted(saved(rgb(), "PNG"), *([text] * 4))


@case("profile-bomb.png", reason="too large")
def _() -> bytes:
    return inserted(saved(rgb(), "PNG"), chunk(b"iCCP", b"Big\0\0" + bomb(70 * 2**20)))


@case("orientation.png", QUARTERS)
def _() -> bytes:
    return saved(lying(), "PNG", exif=turned())


@case("animated.png", QUARTERS)
def _() -> bytes:
    later = [Image.new("RGB", (SIDE, SIDE), colour) for colour in ((0, 0, 0), (9, 9, 9))]
    return saved(rgb(), "PNG", save_all=True, append_images=later)


def rows_of_png() -> bytes:
    """A PNG without compression, so that half its bytes are half its rows."""
    return saved(rgb(), "PNG", compress_level=0)


@case("cut.png", reason="truncated")
@case("cut-salvaged.png", (*QUARTERS[:2], (0, 0, 0), (0, 0, 0)), salvage=True)
def _() -> bytes:
    return rows_of_png()[: SIDE * (SIDE * 3 + 1) // 2 + 60]


@case("cut-before-its-pixels.png", reason="truncated")
@case("cut-before-its-pixels-salvaged.png", reason="truncated", salvage=True)
def _() -> bytes:
    return saved(rgb(), "PNG")[:43]


@case("no-end.png", QUARTERS)
def _() -> bytes:
    return saved(rgb(), "PNG")[:-12]


@case("wrong-checksum.png", reason="unreadable")
def _() -> bytes:
    content = bytearray(saved(rgb(), "PNG"))
    content[30] ^= 255
    return bytes(content)


@case("damaged-inside.png", reason="unreadable")
def _() -> bytes:
    content = bytearray(saved(rgb(), "PNG"))
    middle = content.index(b"IDAT") + 4
    content[middle : middle + 2] = b"\xff\xff"
    return bytes(content)


@case("of-no-size.png", reason="unreadable")
def _() -> bytes:
    return png(quarters(QUARTERS), 8, 2, declared=(0, SIDE))


@case("says-it-is-huge.png", reason="too large")
def _() -> bytes:
    return png(quarters(QUARTERS), 8, 2, declared=(2**31 - 1, 2**31 - 1))


@case("is-huge.png", reason="too large")
def _() -> bytes:
    return saved(Image.new("1", (3000, 1000)), "PNG")


@case("says-it-is-larger.png", reason="unreadable")
def _() -> bytes:
    return png(quarters(QUARTERS), 8, 2, declared=(SIDE * 4, SIDE * 4))


# --- GIF


@case("palette.gif", QUARTERS)
def _() -> bytes:
    return saved(painted(), "GIF")


@case("animated.gif", QUARTERS)
def _() -> bytes:
    return saved(painted(), "GIF", save_all=True, append_images=[Image.new("P", (SIDE, SIDE), 3)])


@case("one-clear.gif", (QUARTERS[0], QUARTERS[1], WHITE, QUARTERS[3]))
def _() -> bytes:
    return saved(painted(), "GIF", transparency=2)


@case("interlaced.gif", QUARTERS)
def _() -> bytes:
    return saved(painted(), "GIF", interlace=1)


@case("cut.gif", reason="truncated")
def _() -> bytes:
    content = saved(painted(), "GIF")
    return content[: len(content) * 3 // 4]


# --- WebP


@case("lossless.webp", QUARTERS)
def _() -> bytes:
    return saved(rgb(), "WEBP", lossless=True)


@case("lossy.webp", QUARTERS, by=6)
def _() -> bytes:
    return saved(rgb(), "WEBP", quality=95)


@case("glass.webp", over(GLASS, WHITE))
def _() -> bytes:
    return saved(image("RGBA", GLASS), "WEBP", lossless=True)


@case("animated.webp", QUARTERS)
def _() -> bytes:
    later = [Image.new("RGB", (SIDE, SIDE))]
    return saved(rgb(), "WEBP", lossless=True, save_all=True, append_images=later)


@case("profile.webp", unswapped())
def _() -> bytes:
    return saved(rgb(), "WEBP", lossless=True, icc_profile=swapped())


@case("orientation.webp", QUARTERS)
def _() -> bytes:
    return saved(lying(), "WEBP", lossless=True, exif=turned())


@case("cut.webp", reason="truncated")
@case("cut-salvaged.webp", reason="truncated", salvage=True)
def _() -> bytes:
    content = saved(rgb(), "WEBP", quality=95)
    return content[: len(content) // 2]


@case("says-it-is-huge.webp", reason="too large")
def _() -> bytes:
    content = bytearray(saved(image("RGBA", GLASS), "WEBP", lossless=True, exif=turned(1)))
    place = content.index(b"VP8X") + 12
    content[place : place + 6] = b"\xff\x3f\x00" * 2
    return bytes(content)


# --- TIFF


@case("packed.tif", QUARTERS)
def _() -> bytes:
    return saved(rgb(), "TIFF", compression="tiff_lzw")


@case("inks.tif", from_cmyk(INKS))
def _() -> bytes:
    return saved(image("CMYK", INKS), "TIFF")


@case("inks-and-profile.tif", [from_lab(CYAN_LOOKS), WHITE, (0, 0, 0), (0, 0, 0)])
def _() -> bytes:
    inks = [(255, 0, 0, 0), (0, 0, 0, 0), (0, 255, 0, 0), (0, 0, 0, 255)]
    return saved(image("CMYK", inks), "TIFF", icc_profile=odd_inks())


@case("lab.tif", [from_lab(lab) for lab in LABS], by=3)
def _() -> bytes:
    coded = [(round(light * 2.55), a + 128, b + 128) for light, a, b in LABS]
    return saved(image("LAB", coded), "TIFF")


@case("ycbcr.tif", QUARTERS, by=3)
def _() -> bytes:
    # ITU-R BT.601 as JFIF has it.
    coded = []
    for red, green, blue in QUARTERS:
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        parts = luma, 128 + (blue - luma) / 1.772, 128 + (red - luma) / 1.402
        coded.append(tuple(round(part) for part in parts))
    return saved(image("YCbCr", coded), "TIFF")


@case("jpeg-inside.tif", QUARTERS, by=4)
def _() -> bytes:
    return saved(rgb(), "TIFF", compression="jpeg", quality=95)


@case("grey-of-16-bits.tif", grey([round(value / 257) for value in WIDE]), by=0)
def _() -> bytes:
    return tiff(quarters(WIDE).astype("<u2").tobytes(), tiff_entries([16], 1))


@case("grey-of-16-bits-big-endian.tif", grey([round(value / 257) for value in WIDE]), by=0)
def _() -> bytes:
    return tiff(quarters(WIDE).astype(">u2").tobytes(), tiff_entries([16], 1), ">")


@case("colours-of-16-bits.tif", QUARTERS, by=1)
def _() -> bytes:
    wide = (quarters(QUARTERS).astype(int) * 257).astype("<u2")
    return tiff(wide.tobytes(), tiff_entries([16, 16, 16], 2))


@case("grey-of-32-bits.tif", grey(GREYS), by=0)
def _() -> bytes:
    return saved(Image.fromarray(quarters(GREYS).astype(np.int32)), "TIFF")


@case("16-bits-in-32.tif", grey([round(value / 257) for value in WIDE]), by=0)
def _() -> bytes:
    return saved(Image.fromarray(quarters(WIDE).astype(np.int32)), "TIFF")


@case("beyond-16-bits.tif", reason="unreadable: its pixels are numbers from -5 to 70000")
def _() -> bytes:
    return saved(Image.fromarray(quarters((-5, 0, 9, 70_000)).astype(np.int32)), "TIFF")


SHARES = (0.0, 0.25, 0.4, 1.0)


@case("floats.tif", grey([round(share * 255) for share in SHARES]), by=0)
def _() -> bytes:
    return saved(Image.fromarray(quarters(SHARES).astype(np.float32)), "TIFF")


@case("floats-beyond-1.tif", reason="unreadable: its pixels are floating-point numbers from 0 to 9")
def _() -> bytes:
    return saved(Image.fromarray(quarters((0.0, 1.0, 2.0, 9.0)).astype(np.float32)), "TIFF")


@case("floats-and-none.tif", reason="unreadable: some of its pixels are no numbers")
def _() -> bytes:
    return saved(Image.fromarray(quarters((0.0, 1.0, np.nan, 0.5)).astype(np.float32)), "TIFF")


@case("white-is-zero.tif", grey([255 - value for value in GREYS]))
def _() -> bytes:
    return tiff(quarters(GREYS).astype(np.uint8).tobytes(), tiff_entries([8], 0))


@case("fax.tif", grey((0, 255, 255, 0)))
def _() -> bytes:
    picture = Image.fromarray(quarters((0, 255, 255, 0)).astype(np.uint8)).convert("1")
    return saved(picture, "TIFF", compression="group4")


@case("planes.tif", QUARTERS)
def _() -> bytes:
    planes = quarters(QUARTERS).astype(np.uint8).transpose(2, 0, 1).tobytes()
    entries = tiff_entries([8, 8, 8], 2) | {284: (3, [2])}
    # A strip a plane, one after the other.
    content = tiff(planes, entries)
    size = SIDE * SIDE
    strips = struct.pack("<III", 8, 8 + size, 8 + 2 * size)
    places = content.replace(
        struct.pack("<HHII", 273, 4, 1, 8), struct.pack("<HHII", 273, 4, 3, len(content))
    ).replace(
        struct.pack("<HHII", 279, 4, 1, 3 * size),
        struct.pack("<HHII", 279, 4, 3, len(content) + 12),
    )
    return places + strips + struct.pack("<III", size, size, size)


@case("premultiplied.tif", over(GLASS, WHITE), by=3)
def _() -> bytes:
    multiplied = [(*(round(part * a / 255) for part in colour), a) for *colour, a in GLASS]
    entries = tiff_entries([8] * 4, 2) | {338: (3, [1])}
    return tiff(quarters(multiplied).astype(np.uint8).tobytes(), entries)


@case("pages.tif", QUARTERS)
def _() -> bytes:
    return saved(rgb(), "TIFF", save_all=True, append_images=[Image.new("RGB", (SIDE, SIDE))])


@case("page-without-end.tif", QUARTERS)
def _() -> bytes:
    data = quarters(QUARTERS).astype(np.uint8).tobytes()
    # The page after the first is the first.
    return tiff(data, tiff_entries([8] * 3, 2), next_at=8 + len(data))


@case("orientation.tif", QUARTERS)
def _() -> bytes:
    data = np.asarray(lying()).tobytes()
    return tiff(data, tiff_entries([8] * 3, 2) | {274: (3, [6])})


@case("cut.tif", reason="truncated")
def _() -> bytes:
    return saved(rgb(), "TIFF", compression="tiff_lzw")[:200]


@case("says-it-is-huge.tif", reason="too large")
def _() -> bytes:
    entries = tiff_entries([8], 1) | {256: (4, [2**31 - 1]), 257: (4, [2**31 - 1])}
    return tiff(bytes(64), entries)


def in_one_tile(side: int) -> bytes:
    """Grey quarters in a tile of this side, of which there are only the first rows."""
    tile = np.zeros((SIDE, side), np.uint8)
    tile[:, :SIDE] = quarters(GREYS)
    data = zlib.compress(tile.tobytes() + bytes(max(0, min(side, 256) - SIDE) * side))
    entries = tiff_entries([8], 1) | {259: (3, [8]), 322: (4, [side]), 323: (4, [side])}
    del entries[278]
    content = tiff(data, entries)
    # Places and lengths of tiles, not of strips.
    for strip, tile_tag in ((273, 324), (279, 325)):
        content = content.replace(
            struct.pack("<HHI", strip, 4, 1), struct.pack("<HHI", tile_tag, 4, 1)
        )
    return content


@case("tile.tif", grey(GREYS))
def _() -> bytes:
    return in_one_tile(256)


@case("tile-of-a-gigabyte.tif", reason="too large: in tiles of 32,768 x 32,768 pixels")
def _() -> bytes:
    return in_one_tile(32768)


# --- Others


@case("runs.bmp", grey(GREYS))
def _() -> bytes:
    return saved(image("L", GREYS), "BMP")


@case("colours.bmp", QUARTERS)
def _() -> bytes:
    return saved(rgb(), "BMP")


@case("cut.bmp", reason="truncated")
def _() -> bytes:
    content = saved(rgb(), "BMP")
    return content[: len(content) // 2]


@case("glass.tga", over(GLASS, WHITE))
def _() -> bytes:
    return saved(image("RGBA", GLASS), "TGA", compression="tga_rle")


@case("glass.ico", over(GLASS, WHITE))
def _() -> bytes:
    return saved(image("RGBA", GLASS), "ICO", sizes=[(SIDE, SIDE)])


@case("grey-of-16-bits.pgm", grey([round(value / 257) for value in WIDE]), by=0)
def _() -> bytes:
    return b"P5 %d %d 65535\n" % (SIDE, SIDE) + quarters(WIDE).astype(">u2").tobytes()


@case("dark-of-16-bits.pgm", grey((0, 0, 1, 1)), by=0)
def _() -> bytes:
    return b"P5 %d %d 65535\n" % (SIDE, SIDE) + quarters((0, 100, 200, 255)).astype(">u2").tobytes()


@case("plain-text.ppm", QUARTERS)
def _() -> bytes:
    numbers = " ".join(str(part) for part in quarters(QUARTERS).ravel())
    return b"P3\n# by hand\n%d %d 255\n%s\n" % (SIDE, SIDE, numbers.encode())


@case("lossless.jp2", QUARTERS)
def _() -> bytes:
    return saved(rgb(), "JPEG2000", irreversible=False)


@case("colours.avif", QUARTERS, by=8)
def _() -> bytes:
    return saved(rgb(), "AVIF", quality=95, subsampling="4:4:4")


# --- Too small, just large enough


@case("of-one-pixel.png", reason="too small: 1 x 1 pixels")
def _() -> bytes:
    return saved(Image.new("RGB", (1, 1)), "PNG")


@case("a-line.png", reason="too small: 3000 x 1 pixels")
def _() -> bytes:
    return saved(Image.new("RGB", (3000, 1)), "PNG")


@case("enlarged-too-much.png", reason="too small: 12 x 12 pixels")
def _() -> bytes:
    return saved(rgb().resize((12, 12), Image.Resampling.NEAREST), "PNG")


@case("enlarged.png", QUARTERS, by=12)
def _() -> bytes:
    return saved(rgb().resize((14, 14), Image.Resampling.NEAREST), "PNG")


# --- No pictures at all


def _is_no_picture(name: str, content: bytes, reason: str) -> None:
    CASES.append(Case(name, lambda: content, None, reason))


_is_no_picture("empty.jpg", b"", "unreadable: the file is empty")
_is_no_picture("zeros.jpg", bytes(5000), "not a picture: zeros only")
_is_no_picture("text.jpg", b"Not found", "not a picture")
_is_no_picture("page.jpg", b"\n<!DOCTYPE HTML><title>404</title>", "not a picture: a web page")
_is_no_picture(
    "pointer.png", b"version https://git-lfs.github.com/spec/v1\n", "not a picture: a Git"
)
_is_no_picture("drawing.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not a picture: an SVG")
_is_no_picture("paper.jpg", b"%PDF-1.7\n" + bytes(99), "not a picture: a PDF")
_is_no_picture("raw.jpg", b"\0\0\0\x18ftypcrx " + bytes(99), "not a picture: a camera raw file")
_is_no_picture("film.jpg", b"\0\0\0\x18ftypisom" + bytes(99), "not a picture: a video")
_is_no_picture("archive.jpg", b"PK\x03\x04" + bytes(99), "not a picture: a zip archive")
_is_no_picture("pickle.jpg", b"\x80\x04\x95\x0a\0\0\0\0\0\0\0\x8c\x02os\x94.", "not a picture")
_is_no_picture("noise.jpg", np.random.default_rng(0).bytes(4000), "not a picture")
_is_no_picture("only-a-mark.jpg", b"\xff\xd8\xff", "truncated")
_is_no_picture("only-a-mark.png", b"\x89PNG\r\n\x1a\n", "truncated")
_is_no_picture("only-a-mark.gif", b"GIF89a", "truncated")
# Pillow would start Ghostscript for it.
_is_no_picture(
    "program.jpg",
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n",
    "not a picture: a PostScript file",
)
