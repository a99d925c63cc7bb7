"""Files of every kind, damaged and made to harm: the right pixels or a reason, and never an error."""

import contextlib
import csv
import hashlib
import io
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, PngImagePlugin, features

from impasto.collection import PackOptions, pack
from impasto.collection.packing import MASTERS
from impasto.decoding import colour as colour
from impasto.decoding import decode as decoding
from impasto.decoding import fit as fitting
from impasto.decoding.fit import FITS, fit_file
from impasto.decoding.workers import DiedError, in_order
from impasto.sources.trees import UnusableError
from tests.helpers.decoded import SEEN_AT, fit_bytes, how, result_of
from tests.helpers.hostile_files import CASES, QUARTERS, Case, chunk, image, inserted, saved

KINDS = ("not a picture", "truncated", "unreadable", "too large", "too small")
"""Row and column of a pixel in the midst of each quarter, of 16."""
NEEDS = {".avif": "avif", ".jp2": "jpg_2000", ".webp": "webp"}

EACH = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def kind_of(reason: str) -> str:
    kind, colon, details = reason.partition(": ")
    assert colon
    assert details
    return kind


def known_here(case: Case) -> bool:
    """Whether this Pillow was built with what reads such files."""
    feature = NEEDS.get(Path(case.name).suffix)
    return feature is None or bool(features.check(feature))


def global_state() -> tuple[object, ...]:
    return (
        Image.MAX_IMAGE_PIXELS,
        ImageFile.LOAD_TRUNCATED_IMAGES,
        PngImagePlugin.MAX_TEXT_CHUNK,
    )


def test_there_are_enough_of_them() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 120
    assert {kind_of(case.reason + ": x") for case in CASES if case.shows is None} >= {*KINDS}


@EACH
def test_a_hostile_file_gives_the_right_pixels_or_a_reason(case: Case) -> None:
    if not known_here(case):
        pytest.skip("this Pillow does not read such files")
    before = global_state()
    if case.shows is None:
        with pytest.raises(UnusableError) as caught:
            fit_bytes(case.make(), how(**case.options))
        reason = str(caught.value)
        assert reason.startswith(case.reason)
        assert kind_of(reason) in KINDS
        assert "\n" not in reason
    else:
        fitted = fit_bytes(case.make(), how(**case.options))
        pixels = fitted.pixels[16][0].astype(int)
        found = [tuple(pixels[place].tolist()) for place in SEEN_AT]
        off = np.abs(np.array(found) - np.array(case.shows)).max()
        assert off <= case.by, f"{found}, not {case.shows}"
        # What duplicates are found by has seen the same colours.
        thumb = fitted.fingerprint.thumb.astype(int)
        seen = np.array([thumb[place] for place in SEEN_AT])
        assert np.abs(seen - np.array(case.shows)).max() <= case.by + 6
        assert fitted.salvaged == ("salvaged" in case.name)
    assert global_state() == before


# --- Real files with some bytes wrong


def a_real_file(form: str, **options: object) -> bytes:
    with Image.open(MASTERS / "lion.jpg") as opened:
        return saved(opened.resize((60, 44)), form, **options)


REAL = {
    "jpeg": a_real_file("JPEG", quality=80),
    "progressive jpeg": a_real_file("JPEG", quality=80, progressive=True),
    "png": a_real_file("PNG"),
    "webp": a_real_file("WEBP", quality=80) if features.check("webp") else b"",
    "gif": a_real_file("GIF"),
    "tiff": a_real_file("TIFF", compression="tiff_lzw"),
}


def flip(content: bytearray, at: int, size: int, value: int) -> None:
    content[at % len(content)] ^= 1 << value % 8


def replace(content: bytearray, at: int, size: int, value: int) -> None:
    content[at % len(content)] = value


def delete(content: bytearray, at: int, size: int, value: int) -> None:
    start = at % len(content)
    del content[start : start + size]


def insert(content: bytearray, at: int, size: int, value: int) -> None:
    start = at % len(content)
    content[start:start] = bytes([value]) * size


def duplicate(content: bytearray, at: int, size: int, value: int) -> None:
    start = at % len(content)
    content[start:start] = content[start : start + size]


def truncate(content: bytearray, at: int, size: int, value: int) -> None:
    del content[max(1, at % len(content)) :]


MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from([flip, replace, delete, insert, duplicate, truncate]),
        # Half of them near the beginning, where sizes and kinds are written.
        st.one_of(st.integers(0, 100), st.integers(0, 2**16)),
        st.integers(1, 40),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("form", [form for form, content in REAL.items() if content])
@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(mutations=MUTATIONS, salvage=st.booleans(), fit=st.sampled_from(sorted(FITS)))
def test_wrong_bytes_give_pixels_or_a_reason(
    form: str,
    mutations: list[tuple[Callable[[bytearray, int, int, int], None], int, int, int]],
    salvage: bool,
    fit: str,
) -> None:
    content = bytearray(REAL[form])
    for mutate, at, size, value in mutations:
        if content:
            mutate(content, at, size, value)
    result = result_of(bytes(content), how(fit=fit, salvage=salvage))
    if isinstance(result, str):
        assert kind_of(result) in KINDS
        return
    pixels = result.pixels[16]
    assert pixels.dtype == np.uint8
    assert pixels.shape == (len(result.frames), 16, 16, 3)


def test_decoders_write_nothing_to_the_error_stream(capfd: pytest.CaptureFixture[str]) -> None:
    content = bytearray(a_real_file("TIFF", compression="tiff_adobe_deflate"))
    content[20:40] = bytes(20)
    with pytest.raises(OSError, match="decoder error"), Image.open(io.BytesIO(content)) as opened:
        opened.load()
    assert capfd.readouterr().err  # So there would be something.
    with pytest.raises(UnusableError):
        fit_bytes(bytes(content), how())
    print("still there", file=sys.stderr)
    assert capfd.readouterr() == ("", "still there\n")


def test_the_real_files_are_read_as_they_are() -> None:
    with Image.open(MASTERS / "lion.jpg") as opened:
        whole = opened.resize((60, 44)).crop((8, 0, 52, 44))
    expected = np.asarray(whole.resize((16, 16), Image.Resampling.LANCZOS)).astype(int)
    for form, content in REAL.items():
        if content:
            off = np.abs(fit_bytes(content, how()).pixels[16][0] - expected).mean()
            assert off < 6, form


# --- All of them in one folder


NAMES = [
    "two  blanks and a dash - .png",
    "Ünïcödé 絵画 🖼.png",
    "e\u0301.png",  # é in two parts, and in one: two files on Linux.
    "\u00e9.png",
    'commas, "quotes"; and\ttabs.png',
    "a\nline's end.png",
    "-rf.png",
    "%2e%2e%2f.png",
    "=1+1.png",
    "x" * 251 + ".png",
    "CAPITALS.PNG",
    "dots...png",
]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_of_them_all_is_packed(tmp_path: Path) -> None:
    source = tmp_path / "pictures"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "deep" / "back").symlink_to(source, target_is_directory=True)
    written = {case.name: case for case in CASES if known_here(case)}
    for case in written.values():
        (source / case.name).write_bytes(case.make())
    plain = saved(image("RGB"), "PNG")
    names = [*NAMES, "deep/er/below.png", "linked.png"]
    for number, name in enumerate([*NAMES, "deep/er/below.png"]):
        (source / name).write_bytes(inserted(plain, chunk(b"tEXt", b"Number\0%d" % number)))
    (source / "linked.png").symlink_to(source / "deep" / "er" / "below.png")
    # Of bytes that are no text, and one that is spelt as the first of these is shown.
    for raw in (b"\xff.png", b"\xfe.png", b"\\xff.png"):
        Path(os.fsdecode(os.fsencode(source) + b"/" + raw)).write_bytes(plain)
    spelt = r"\xff.png"
    names += [spelt, r"\xfe.png"]
    bad = ["pipe.png", "socket.png", "device.png", "nowhere.png", "round.png"]
    os.mkfifo(source / "pipe.png")
    (source / "device.png").symlink_to("/dev/zero")
    (source / "nowhere.png").symlink_to(source / "is-not-there.png")
    (source / "round.png").symlink_to(source / "round.png")
    (source / "folder.png").mkdir()
    with contextlib.chdir(source), socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket.png")  # Its whole path would be too long.

    options = PackOptions(resolution=16, max_pixels=10**6, workers=2, duplicates="none")
    report = pack(source, tmp_path / "packed", options)

    collection = report.collection
    packed = {row["path"] for row in collection.source_table()}
    left_out = rows(collection.path / "left-out.csv")
    left = {row["path"]: row["reason"] for row in left_out}
    assert not packed & set(left) - {spelt}
    assert packed | set(left) == {*written, *names, *bad}
    assert packed >= {*names}
    assert {*left} >= {*bad, spelt}
    assert len(left_out) == len(left)
    for name, reason in left.items():
        if name in written:
            wanted = written[name].reason or "truncated"
            assert reason.startswith(wanted), f"{name}: {reason}"
        else:
            assert kind_of(reason) == "unreadable"
    for name in written:
        if "salvaged" not in name:
            assert (name in packed) == (written[name].shows is not None), name


@pytest.mark.parametrize(
    "name", ["pipe.png", "device.png", "nowhere.png", "round.png", ".", "a\0b.png", "x" * 300]
)
def test_what_is_no_file_is_never_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "is-not-there.png")
    (tmp_path / "round.png").symlink_to(tmp_path / "round.png")
    with pytest.raises(UnusableError, match=r"^unreadable( for now)?: "):
        fit_file(tmp_path / name, how())


def dawdle(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_what_takes_too_long_costs_itself_alone() -> None:
    results = list(in_order(dawdle, [0.0, 60.0, 0.01, 0.0], processes=2, ahead=4, seconds=0.5))
    assert isinstance(results[1], DiedError)
    assert [results[0], *results[2:]] == [0.0, 0.01, 0.0]


# --- Huge ones, made small here by moving the limits


def psnr(pixels: np.ndarray, reference: np.ndarray) -> float:
    error = ((pixels.astype(np.float64) - reference.astype(np.float64)) ** 2).mean()
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def painting(mode: str) -> Image.Image:
    """A picture of odd sides, so that whole factors leave something over."""
    with Image.open(MASTERS / "lion.jpg") as opened:
        picture = opened.crop((0, 0, 691, 493))
    if mode in ("RGBA", "LA"):
        picture = picture.convert(mode)
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
        return picture
    if mode == "I;16":
        grey = np.asarray(picture.convert("L")).astype(np.uint16) * 257
        return Image.fromarray(grey)
    return picture.convert(mode)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P", "I;16", "CMYK", "1"])
def test_huge_pictures_are_reduced_by_bands(
    monkeypatch: pytest.MonkeyPatch, mode: str, turned: bool
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    form = "TIFF" if mode == "CMYK" else "PNG"
    content = saved(painting(mode), form, exif=exif)
    exact = fit_bytes(content, how(32, "squash", exact=True))
    monkeypatch.setattr(colour, "_BAND", 50 * 691)
    # Bands alone change nothing.
    by_bands = fit_bytes(content, how(32, "squash", exact=True))
    assert (by_bands.pixels[32] == exact.pixels[32]).all()
    sizes = []
    prepare = colour.prepare

    def spy(image: Image.Image, factor: int = 1) -> Image.Image:
        made = prepare(image, factor)
        sizes.append(made.size)
        return made

    monkeypatch.setattr(decoding, "prepare", spy)
    monkeypatch.setattr(decoding, "_LARGE", 10_000)
    quick = fit_bytes(content, how(32, "squash"))
    assert sizes == [(231, 165) if form == "PNG" or not turned else (165, 231)]
    assert (quick.width, quick.height) == (exact.width, exact.height)
    assert psnr(quick.pixels[32], exact.pixels[32]) >= 40


def test_a_large_file_is_read_bit_by_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lion.png").write_bytes(REAL["png"])
    whole = fit_file(tmp_path / "lion.png", how())
    monkeypatch.setattr(fitting, "_IN_MEMORY", 100)
    bit_by_bit = fit_file(tmp_path / "lion.png", how())
    assert bit_by_bit.sha256 == whole.sha256 == hashlib.sha256(REAL["png"]).hexdigest()
    assert (bit_by_bit.pixels[16] == whole.pixels[16]).all()


def test_a_jpeg_too_large_after_its_draft_is_reduced_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = saved(painting("RGB"), "JPEG", quality=95)
    exact = fit_bytes(content, how(16, exact=True))
    monkeypatch.setattr(decoding, "_LARGE", 10_000)
    monkeypatch.setattr(decoding, "_draft_factor", lambda oversize: 2)
    assert psnr(fit_bytes(content, how(16)).pixels[16], exact.pixels[16]) >= 40


# --- Colour profiles


def test_a_profile_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    contents = [case.make() for case in CASES if case.name in ("profile.jpg", "profile.png")]
    colour._transform.cache_clear()
    for content in contents * 3:
        fit_bytes(content, how())
    found = colour._transform.cache_info()
    assert found.misses == 1
    assert found.hits >= 5


def test_what_is_clear_does_not_colour_its_neighbours() -> None:
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, :, 0] = 255  # Red that nobody can see,
    pixels[20:44, 20:44] = (0, 0, 255, 255)  # and blue.
    shown = fit_bytes(saved(Image.fromarray(pixels), "PNG"), how()).pixels[16][0].astype(int)
    # Between white and blue, red and green are the same.
    assert np.abs(shown[:, :, 0] - shown[:, :, 1]).max() <= 1
    assert shown[0, 0].tolist() == [255, 255, 255]


def test_quarters_are_quarters() -> None:
    """The corpus's own picture."""
    pixels = np.asarray(image("RGB"))
    assert [tuple(pixels[place].tolist()) for place in ((0, 0), (0, 63), (63, 0), (63, 63))] == [
        *QUARTERS
    ]
