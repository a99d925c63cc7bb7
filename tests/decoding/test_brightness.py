"""Brightness and colours as files tell them: PNG's chunks, code points, and 12 bits stored in 16.

Expected colours are worked out here by the standards' formulas: sRGB's curve by IEC 61966-2-1, from
primaries to XYZ by their chromaticities, Bradford's adaptation where the white is another.
"""

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from impasto.collection import PackOptions, job, pack, planning
from impasto.decoding import decode as decoding
from impasto.decoding.bit_depth import guessed_bits
from impasto.decoding.colour_metadata import Tones
from impasto.decoding.heif_boxes import code_points
from tests.helpers.decoded import SEEN_AT, how, result_of
from tests.helpers.hostile_files import (
    GREYS,
    QUARTERS,
    SIDE,
    chunk,
    inserted,
    jpeg,
    png,
    quarters,
    saved,
    swapped,
    tiff,
    tiff_entries,
    unswapped,
)

SRGB = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
DISPLAY_P3 = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
BT_2020 = (0.708, 0.292, 0.17, 0.797, 0.131, 0.046)
ADOBE_RGB = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
D65 = (0.3127, 0.329)

SOFT = ((150, 120, 110), (100, 130, 120), (110, 120, 150), (140, 140, 120))
"""Colours that sRGB has, also where they are of wider primaries."""


def encode(light: float) -> float:
    """sRGB's sample of light, both from 0 to 1."""
    light = min(max(light, 0.0), 1.0)
    return 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


def decode(sample: float) -> float:
    return sample / 12.92 if sample <= 0.04045 else ((sample + 0.055) / 1.055) ** 2.4


def to_xyz(primaries: Sequence[float]) -> np.ndarray:
    """The matrix from light of these primaries, white D65, to XYZ."""
    points = [
        (x / y, 1.0, (1 - x - y) / y) for x, y in zip(primaries[::2], primaries[1::2], strict=True)
    ]
    columns = np.array(points).T
    white = np.array((D65[0] / D65[1], 1.0, (1 - sum(D65)) / D65[1]))
    return columns * np.linalg.solve(columns, white)


def seen(colours: Sequence[Sequence[int]], primaries: Sequence[float]) -> list[list[float]]:
    """Samples with sRGB's curve, of these primaries, as sRGB."""
    matrix = np.linalg.solve(to_xyz(SRGB), to_xyz(primaries))
    light = [matrix @ [decode(part / 255) for part in colour] for colour in colours]
    return [[255 * encode(part) for part in colour] for colour in light]


def shown(content: bytes) -> np.ndarray:
    """The colours of a picture's quarters, [4, 3]."""
    fitted = result_of(content, how())
    assert not isinstance(fitted, str), fitted
    return np.array([fitted.pixels[16][0][place] for place in SEEN_AT]).astype(int)


def guessed(content: bytes) -> int:
    fitted = result_of(content, how())
    assert not isinstance(fitted, str), fitted
    return fitted.guessed_bits


def gamma(value: int) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", value))


def primaries(*numbers: float) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(100_000 * number) for number in numbers)))


def points(*numbers: int) -> bytes:
    return chunk(b"cICP", bytes(numbers))


def picture(*chunks: bytes, colours: Sequence[Sequence[int]] = QUARTERS) -> bytes:
    return png(quarters(colours), 8, 2, b"".join(chunks))


def near(found: np.ndarray, expected: Sequence[Sequence[float]], by: float = 1.0) -> None:
    assert np.abs(found - np.array(expected)).max() <= by, f"{found.tolist()}, not {expected}"


# --- Brightness


LINEAR = [[round(65535 * decode(part / 255)) for part in colour] for colour in QUARTERS]
"""QUARTERS as light."""
OPAQUE = [[*colour, 65535] for colour in LINEAR]


@pytest.mark.parametrize("told", [gamma(100_000), points(1, 8, 0, 1)])
def test_light_of_16_bits_is_as_bright_as_it_was(told: bytes) -> None:
    near(shown(png(quarters(LINEAR), 16, 2, told)), QUARTERS, 0.5)
    near(shown(png(quarters(OPAQUE), 16, 6, told)), QUARTERS, 0.5)
    near(shown(png(quarters(LINEAR), 16, 2, told, interlaced=True)), QUARTERS, 0.5)
    grey = [colour[0] for colour in LINEAR]
    reds = [[colour[0]] * 3 for colour in QUARTERS]
    near(shown(png(quarters(grey), 16, 0, told)), reds, 0.5)
    near(shown(png(quarters([(value, 65535) for value in grey]), 16, 4, told)), reds, 0.5)


# 188 is what half of white's light is: 255 * (1.055 * 0.5 ** (1 / 2.4) - 0.055) = 187.5.
@pytest.mark.parametrize("told", [gamma(100_000), points(1, 8, 0, 1)])
def test_half_of_the_light_is_188(told: bytes) -> None:
    half = [(128, 128, 128)] * 4
    near(shown(picture(told, colours=half)), [(188, 188, 188)] * 4, 0)
    near(shown(png(quarters([128] * 4), 8, 0, told)), [(188, 188, 188)] * 4, 0)
    palette = chunk(b"PLTE", bytes([128] * 3 * 4))
    near(shown(png(quarters((0, 1, 2, 3)), 4, 3, told + palette)), [(188, 188, 188)] * 4, 0)
    # Half of it seen through: of red, over white.
    glass = [(255, 0, 0, 128), (0, 0, 0, 255), (128, 128, 128, 255), (9, 9, 9, 0)]
    expected = [(255, 127, 127), (0, 0, 0), (188, 188, 188), (255, 255, 255)]
    near(shown(png(quarters(glass), 8, 6, told)), expected)


@pytest.mark.parametrize("value", [55_556, 62_500, 35_714, 200_000])
def test_a_gamma_is_the_exponent_of_light(value: int) -> None:
    expected = [
        [255 * encode((part / 255) ** (100_000 / value)) for part in colour] for colour in QUARTERS
    ]
    near(shown(picture(gamma(value))), expected)


def test_exponents_of_code_points() -> None:
    for transfer, exponent in ((5, 2.8), (17, 2.6)):
        light = [[255 * encode((part / 255) ** exponent) for part in each] for each in QUARTERS]
        near(shown(picture(points(1, transfer, 0, 1))), light)


def test_the_narrow_range_of_video_is_brought_to_the_full_one() -> None:
    narrow = [[round(16 + part * 219 / 255) for part in colour] for colour in QUARTERS]
    near(shown(picture(points(1, 13, 0, 0), colours=narrow)), QUARTERS)
    wide = [[256 * (16 + part * 219 / 255) for part in colour] for colour in QUARTERS]
    near(
        shown(png(quarters(np.rint(wide).astype(int).tolist()), 16, 2, points(1, 1, 0, 0))),
        QUARTERS,
        0.5,
    )


# --- What is sRGB already


SAME = {
    "sRGB": chunk(b"sRGB", b"\0"),
    "gamma 45455": gamma(45_455),
    "gamma 45000": gamma(45_000),
    "gamma and primaries": gamma(45_455) + primaries(*D65, *SRGB),
    "code points of sRGB": points(1, 13, 0, 1),
    "BT.709": points(1, 1, 0, 1),
    "unspecified": points(2, 2, 0, 1),
    "no gamma at all": gamma(0),
    "primaries that span nothing": primaries(*D65, *[0.3] * 6),
    "primaries of zeros": primaries(*[0.0] * 8),
    "code points that are cut": chunk(b"cICP", b"\1"),
}


@pytest.mark.parametrize("told", SAME.values(), ids=SAME)
def test_what_is_srgb_keeps_its_bytes(told: bytes) -> None:
    rng = np.random.default_rng(0)
    samples = rng.integers(0, 256, (SIDE, SIDE, 3))
    # By Pillow alone, as before these chunks were read.
    plain = Image.fromarray(samples.astype(np.uint8))
    expected = np.asarray(plain.resize((16, 16), Image.Resampling.LANCZOS, reducing_gap=4))
    for content in (png(samples, 8, 2, told), png(samples * 256 + 7, 16, 2, told)):
        fitted = result_of(content, how())
        assert not isinstance(fitted, str)
        assert (fitted.pixels[16][0] == expected).all()
        assert fitted.guessed_bits == 0


# --- Primaries


def test_primaries_as_chunks_tell_them() -> None:
    for told, code in ((DISPLAY_P3, 12), (BT_2020, 9)):
        expected = seen(SOFT, told)
        near(shown(picture(points(code, 13, 0, 1), colours=SOFT)), expected)
        near(shown(picture(primaries(*D65, *told), colours=SOFT)), expected)
    # One value by hand: P3's full green is beyond sRGB's, and red of 200 becomes 218.
    assert shown(picture(points(12, 13, 0, 1)))[0].tolist() == [218, 0, 27]


def test_gamma_and_primaries_together() -> None:
    # Adobe RGB (1998) as its specification has it: the exponent 563/256.
    found = shown(picture(gamma(80_000), primaries(*D65, *ADOBE_RGB), colours=SOFT))
    samples = [[255 * encode((part / 255) ** 1.25) for part in colour] for colour in SOFT]
    matrix = np.linalg.solve(to_xyz(SRGB), to_xyz(ADOBE_RGB))
    light = [matrix @ [decode(part / 255) for part in colour] for colour in samples]
    near(found, [[255 * encode(part) for part in colour] for colour in light], 1.5)


def test_another_white_is_white_all_the_same() -> None:
    white = [(255, 255, 255)] * 4
    for x, y in ((0.3457, 0.3585), (1 / 3, 1 / 3), (0.314, 0.351)):
        near(shown(picture(primaries(x, y, *DISPLAY_P3), colours=white)), white)
    near(shown(picture(points(10, 8, 0, 1), colours=white)), white)
    assert shown(png(quarters(GREYS), 8, 0, primaries(1 / 3, 1 / 3, *SRGB)))[:, 0].tolist() == [
        *GREYS
    ]


# --- Which of them counts


def test_code_points_count_before_a_profile_and_that_before_the_rest() -> None:
    profile = saved(Image.new("RGB", (1, 1)), "PNG", icc_profile=swapped())
    start = profile.index(b"iCCP") - 4
    length = int.from_bytes(profile[start : start + 4], "big")
    profile = profile[start : start + 12 + length]
    srgb = chunk(b"sRGB", b"\0")
    assert shown(picture(points(1, 13, 0, 1), profile)).tolist() == [list(c) for c in QUARTERS]
    near(shown(picture(profile, gamma(100_000))), unswapped(), 2)
    assert (shown(picture(srgb, gamma(100_000), primaries(*D65, *BT_2020))) == QUARTERS).all()
    linear = shown(picture(gamma(100_000)))
    assert (shown(picture(points(1, 8, 0, 1), srgb)) == linear).all()
    # A profile that cannot be unpacked is none.
    broken = chunk(b"iCCP", b"x\0\0no zlib")
    assert (shown(picture(broken, gamma(100_000))) == linear).all()


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ((9, 16, 0, 1), "unreadable: of high dynamic range (PQ)"),
        ((9, 18, 0, 1), "unreadable: of high dynamic range (HLG)"),
        (
            (9, 13, 9, 1),
            "unreadable: its cICP chunk says that its colours are no red, green and blue",
        ),
        ((77, 13, 0, 1), "unreadable: of colours that are not known here (code points 77, 13"),
        ((1, 9, 0, 1), "unreadable: of colours that are not known here (code points 1, 9"),
    ],
)
def test_what_srgb_cannot_show_is_left_out(told: tuple[int, ...], reason: str) -> None:
    found = result_of(picture(points(*told)), how())
    assert isinstance(found, str)
    assert found.startswith(reason)


def test_an_avif_is_of_the_colours_that_its_boxes_tell() -> None:
    content = saved(
        Image.fromarray(quarters(SOFT).astype(np.uint8)), "AVIF", quality=100, subsampling="4:4:4"
    )
    told = code_points(io.BytesIO(content))
    assert told is not None
    assert told[:2] == (1, 13)
    near(shown(content), SOFT, 2)
    at = content.index(b"colrnclx") + 8

    def with_points(*numbers: int) -> bytes:
        return content[:at] + struct.pack(">HH", *numbers) + content[at + 4 :]

    near(shown(with_points(12, 13)), seen(SOFT, DISPLAY_P3), 3)
    found = result_of(with_points(9, 16), how())
    assert isinstance(found, str)
    assert found.startswith("unreadable: of high dynamic range (PQ)")
    # Nothing after the boxes is looked through for ever, and nothing cut raises.
    for end in range(at + 20):
        code_points(io.BytesIO(content[:end]))


def of_a_camera(interoperability: str) -> bytes:
    """A JPEG without a profile whose EXIF data has this interoperability index."""
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0xA001: 0xFFFF, 0xA005: {1: interoperability}})
    return jpeg(Image.fromarray(quarters(SOFT).astype(np.uint8)), exif=exif)


def test_a_cameras_jpeg_is_of_adobe_rgb_where_its_exif_data_says_so() -> None:
    near(shown(of_a_camera("R03")), seen(SOFT, ADOBE_RGB), 3)
    near(shown(of_a_camera("R98")), SOFT, 2)
    # A profile counts before.
    told = Image.open(io.BytesIO(of_a_camera("R03")))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    near(shown(jpeg(told, exif=told.getexif(), icc_profile=srgb)), SOFT, 3)


# --- Fewer than 16 bits in 16


RISING = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) / (SIDE * SIDE - 1)
"""From black to white."""


def rising(bits: int) -> np.ndarray:
    return np.rint(RISING * (2**bits - 1)).astype(int)


def rows_of(content: bytes) -> np.ndarray:
    fitted = result_of(content, how(SIDE))
    assert not isinstance(fitted, str), fitted
    return fitted.pixels[SIDE][0].astype(int)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_bits_are_known_by_the_greatest_sample(bits: int) -> None:
    expected = 255 * RISING[:, :, None]
    samples = rising(bits)
    colours = np.dstack([samples] * 3)
    found = bits if bits < 16 else 0
    greys = {
        "grey.png": png(samples, 16, 0),
        "grey.tif": tiff(samples.astype("<u2").tobytes(), tiff_entries([16], 1)),
        "big-endian.tif": tiff(samples.astype(">u2").tobytes(), tiff_entries([16], 1), ">"),
        "in-32.tif": saved(Image.fromarray(samples.astype(np.int32)), "TIFF"),
        "white-is-zero.tif": tiff(
            (2**bits - 1 - samples).astype("<u2").tobytes(), tiff_entries([16], 0)
        ),
        "colours.png": png(colours, 16, 2),
        "interlaced.png": png(colours, 16, 2, interlaced=True),
        "glass.png": png(np.dstack([colours, np.full_like(samples, 65535)]), 16, 6),
        "glass-of-as-many-bits.png": png(
            np.dstack([colours, np.full_like(samples, 2**bits - 1)]), 16, 6
        ),
        "grey-glass.png": png(np.dstack([samples, np.full_like(samples, 65535)]), 16, 4),
        "colours.tif": tiff(colours.astype("<u2").tobytes(), tiff_entries([16] * 3, 2)),
        "colours-big-endian.tif": tiff(
            colours.astype(">u2").tobytes(), tiff_entries([16] * 3, 2), ">"
        ),
        "packed.tif": tiff(
            zlib.compress(colours.astype("<u2").tobytes()),
            tiff_entries([16] * 3, 2) | {259: (3, [8])},
        ),
    }
    for name, content in greys.items():
        off = np.abs(rows_of(content) - expected).max()
        # Samples are rounded twice; and of 16 bits in colour, Pillow takes the upper byte.
        assert off <= (1 if bits == 16 else 0.5 + 127.5 / 2**bits), name
        assert guessed(content) == found, name


def test_colours_of_16_bits_in_planes() -> None:
    for bits in (12, 16):
        planes = np.stack([rising(bits), rising(bits)[::-1], rising(bits)[:, ::-1]])
        data = planes.astype("<u2").tobytes()
        size = len(data) // 3
        content = tiff(data, tiff_entries([16] * 3, 2) | {284: (3, [2])})
        places = len(content)
        for tag, one, at in ((273, 8, places), (279, len(data), places + 12)):
            content = content.replace(
                struct.pack("<HHII", tag, 4, 1, one), struct.pack("<HHII", tag, 4, 3, at)
            )
        content += struct.pack("<6I", 8, 8 + size, 8 + 2 * size, size, size, size)
        expected = 255 * planes.transpose(1, 2, 0) / (2**bits - 1)
        assert np.abs(rows_of(content) - expected).max() <= 1


def test_bits_that_the_file_tells_are_no_guess() -> None:
    for bits in (10, 12, 14):
        # Nothing reaches white, so it could not be known by the samples.
        samples = np.rint(RISING * (2**bits - 1) * 0.7).astype(int)
        expected = np.rint(255 * 0.7 * RISING)[:, :, None]
        colours = np.dstack([samples] * 3)
        depth = {1: chunk(b"sBIT", bytes([bits])), 3: chunk(b"sBIT", bytes([bits] * 3))}
        entries = {281: (3, [2**bits - 1])}
        for content in (
            png(samples, 16, 0, depth[1]),
            png(colours, 16, 2, depth[3]),
            tiff(samples.astype("<u2").tobytes(), tiff_entries([16], 1) | entries),
            tiff(colours.astype("<u2").tobytes(), tiff_entries([16] * 3, 2) | entries),
        ):
            assert np.abs(rows_of(content) - expected).max() <= 1
            assert guessed(content) == 0


def test_12_bits_side_by_side_in_a_tiff() -> None:
    samples = rising(12)
    bits = (samples.reshape(-1, 1) >> np.arange(11, -1, -1) & 1).astype(np.uint8)
    content = tiff(np.packbits(bits.reshape(SIDE, -1), axis=1).tobytes(), tiff_entries([12], 1))
    assert np.abs(rows_of(content) - 255 * RISING[:, :, None]).max() <= 1
    assert guessed(content) == 0


def test_what_is_dark_stays_dark() -> None:
    told = chunk(b"sBIT", b"\x10")
    dark = np.rint(RISING * 4000).astype(int)
    assert rows_of(png(dark, 16, 0, told)).max() == 16
    # Spread from 8 bits to 16, and from 12 as PNG asks for.
    eight = np.rint(RISING * 15).astype(int)
    for content in (png(eight * 257, 16, 0), png(np.dstack([eight * 256] * 3), 16, 2)):
        assert rows_of(content).max() == 15
        assert guessed(content) == 0
    spread = np.rint(RISING * 4095).astype(int) << 2
    assert rows_of(png(spread, 16, 0, chunk(b"sBIT", b"\x0e"))).max() == 64
    # A night: of 16 bits, and nowhere near the white of 14.
    night = np.rint(RISING * 12_000).astype(int)
    assert rows_of(png(night, 16, 0)).max() == 47
    assert guessed(png(night, 16, 0)) == 0
    assert rows_of(png(np.zeros((SIDE, SIDE)), 16, 0)).max() == 0
    # 12 bits of which none is bright are no 10.
    assert guessed_bits(np.array([0, 700])) == 12


def test_floats_with_white_at_zero() -> None:
    data = (1 - RISING).astype("<f4").tobytes()
    content = tiff(data, tiff_entries([32], 0) | {339: (3, [3])})
    assert np.abs(rows_of(content) - 255 * RISING[:, :, None]).max() <= 0.5


# --- Packing


def test_packing_says_what_was_guessed(tmp_path: Path) -> None:
    source = tmp_path / "pictures"
    source.mkdir()
    (source / "scan.png").write_bytes(png(rising(12), 16, 0))
    (source / "plain.png").write_bytes(picture())
    report = pack(source, tmp_path / "packed", PackOptions(resolution=16, workers=1))
    note = (
        "1 picture of 16 bits a sample packed as of fewer bits, because no sample is greater, such"
    )
    assert [each for each in report.notes if each.startswith(note + " as scan.png (12 bits)")]
    again = pack(source, tmp_path / "packed", PackOptions(resolution=16, workers=1))
    assert [each for each in again.notes if each.startswith(note)]
    assert again.known == 2


def test_what_an_earlier_version_packed_wrongly_is_packed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "pictures"
    source.mkdir()
    files = {
        "linear.png": picture(gamma(100_000)),
        "photo-by-name.jpg": inserted(picture(colours=SOFT), gamma(100_000)),
        "scan.png": png(rising(12), 16, 0),
        "plain.png": picture(gamma(45_455)),
        "photo.jpg": saved(Image.fromarray(quarters(SOFT).astype(np.uint8)), "JPEG"),
        "eight.tif": tiff(rising(8).astype(np.uint8).tobytes(), tiff_entries([8], 1)),
        "camera.jpg": of_a_camera("R03"),
        "raw.jpg": b"\0\0\0\x18ftypcrx " + bytes(99),
    }
    for name, content in files.items():
        (source / name).write_bytes(content)
    options = PackOptions(resolution=16, workers=1, duplicates="none", heldout=0)
    with monkeypatch.context() as before:
        before.setattr(decoding, "_tones", lambda *_: Tones())
        before.setattr(decoding, "to_8_bits", lambda opened, *_: (opened, 0))
        for module in (job, planning):
            before.setattr(module, "DECODING_VERSION", 1)
        pack(source, tmp_path / "packed", options)
    report = pack(source, tmp_path / "packed", options)

    assert report.known == 3  # plain.png, photo.jpg and eight.tif
    fresh = pack(source, tmp_path / "fresh", options)
    everything = np.arange(len(fresh.collection))
    assert (report.collection.images(everything) == fresh.collection.images(everything)).all()
    assert pack(source, tmp_path / "packed", options).known == len(files)
