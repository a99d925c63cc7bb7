"""From files to squares: known pixels for each fit, orientation, modes, drafts, tiles, bad files."""

import io
import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from impasto.collection.packing import MASTERS
from impasto.decoding.fit import (
    FITS,
    TILE_SCALES,
    TILE_STRIDE,
    Fitted,
    Fitting,
    fit_file,
    tile_boxes,
)
from impasto.sources.trees import UnusableError

RED, GREEN, BLUE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)


def how(fit: str = "crop", resolution: int = 16, **changes: object) -> Fitting:
    values = {
        "fit": fit,
        "resolutions": (resolution,),
        "exact": False,
        "background": (255, 255, 255),
        "max_upscale": 1.25,
        "max_pixels": 10**7,
    }
    return Fitting(**{**values, **changes})  # type: ignore[arg-type]


def stripes(tmp_path: Path, colours: list[tuple[int, int, int]], name: str = "s.png") -> Path:
    """Upright stripes, each 32 px wide and 64 px high."""
    pixels = np.concatenate([np.full((64, 32, 3), colour, np.uint8) for colour in colours], axis=1)
    path = tmp_path / name
    Image.fromarray(pixels).save(path)
    return path


def all_of(path: Path, settings: Fitting) -> np.ndarray:
    """The pixels of all frames at the largest resolution."""
    return fit_file(path, settings).pixels[settings.resolution]


def only(path: Path, settings: Fitting) -> np.ndarray:
    pixels = all_of(path, settings)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (1, settings.resolution, settings.resolution, 3)
    return pixels[0]


def near(pixel: np.ndarray, colour: tuple[int, int, int], by: int = 3) -> bool:
    return bool(np.abs(pixel.astype(int) - colour).max() <= by)


def test_crop_takes_the_centre_square(tmp_path: Path) -> None:
    path = stripes(tmp_path, [BLACK, RED, GREEN, BLACK])
    pixels = only(path, how("crop"))
    assert near(pixels[8, 3], RED)
    assert near(pixels[8, 12], GREEN)
    assert fit_file(path, how("crop")).frames[0].box == (32, 0, 96, 64)


def test_squash_shows_all_of_the_picture(tmp_path: Path) -> None:
    path = stripes(tmp_path, [BLACK, RED, GREEN, BLUE])
    pixels = only(path, how("squash"))
    for x, colour in ((1, BLACK), (6, RED), (10, GREEN), (14, BLUE)):
        assert near(pixels[8, x], colour)
    assert fit_file(path, how("squash")).frames[0].box == (0, 0, 128, 64)


def test_pad_keeps_proportions_on_the_stated_background(tmp_path: Path) -> None:
    path = stripes(tmp_path, [RED, RED, GREEN, GREEN])
    pixels = only(path, how("pad", background=(10, 20, 30)))
    assert near(pixels[8, 3], RED)
    assert near(pixels[8, 12], GREEN)
    # 128 x 64 becomes 16 x 8, with four rows free above and below.
    for row in (0, 3, 12, 15):
        assert (pixels[row] == (10, 20, 30)).all()
    assert near(pixels[4, 2], RED, by=20)


def test_tiles_show_their_boxes_and_their_mirror_images(tmp_path: Path) -> None:
    path = stripes(tmp_path, [BLACK, RED, GREEN, BLUE])
    fitted = fit_file(path, how("tiles"))
    pixels = fitted.pixels[16]
    assert len(fitted.frames) == len(pixels) == 2 * len(tile_boxes(128, 64, 12.8))
    by_frame = {(frame.box, frame.mirrored): i for i, frame in enumerate(fitted.frames)}
    assert len(by_frame) == len(fitted.frames)
    first = pixels[by_frame[(0, 0, 64, 64), False]]
    assert near(first[8, 3], BLACK)
    assert near(first[8, 12], RED)
    for (box, mirrored), index in by_frame.items():
        if not mirrored:
            twin = pixels[by_frame[box, True]]
            assert (twin == pixels[index][:, ::-1]).all()


@given(
    width=st.integers(20, 900),
    height=st.integers(20, 900),
    resolution=st.sampled_from([16, 32, 64]),
)
def test_tiles_stay_within_the_picture_and_cover_it(
    width: int, height: int, resolution: int
) -> None:
    least = resolution / 1.25
    boxes = tile_boxes(width, height, least)
    if min(width, height) < least:
        assert not boxes
        return
    assert len(set(boxes)) == len(boxes)
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert right - left == bottom - top >= least
    by_side: dict[int, list[tuple[int, int, int, int]]] = {}
    for box in boxes:
        by_side.setdefault(box[2] - box[0], []).append(box)
    assert len(by_side) <= len(TILE_SCALES)
    for side, same in by_side.items():
        for axis, length in ((0, width), (1, height)):
            starts = sorted({box[axis] for box in same})
            assert starts[0] == 0
            assert starts[-1] == length - side
            # At most a quarter of a side apart, but for rounding to whole pixels.
            assert all(b - a <= TILE_STRIDE * side + 1 for a, b in itertools.pairwise(starts))


@pytest.mark.parametrize("fit", sorted(FITS))
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, fit: str) -> None:
    # The picture as it is to be seen, stored as a camera would that was held in that way.
    seen = Image.new("RGB", (180, 120), BLACK)
    seen.paste(RED, (0, 0, 90, 60))
    seen.paste(GREEN, (90, 0, 180, 60))
    seen.paste(BLUE, (0, 60, 90, 120))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = seen.transpose(undo[orientation]) if orientation in undo else seen
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.jpg", exif=exif, quality=95, subsampling=0)
    seen.save(tmp_path / "seen.jpg", quality=95, subsampling=0)
    turned = fit_file(tmp_path / "turned.jpg", how(fit, resolution=12))
    upright = fit_file(tmp_path / "seen.jpg", how(fit, resolution=12))
    assert (turned.width, turned.height) == (180, 120)
    assert turned.frames == upright.frames
    assert np.abs(turned.pixels[12].astype(int) - upright.pixels[12]).max() <= 12


def test_a_draft_at_an_odd_size_and_turned_is_not_shifted(tmp_path: Path) -> None:
    # 8 does not divide the sides: the reduced picture ends within its last pixels.
    ramp = np.add.outer(np.linspace(0, 120, 253), np.linspace(0, 120, 259))
    picture = Image.fromarray(np.repeat(ramp[:, :, None], 3, axis=2).astype(np.uint8))
    for orientation in (1, 3, 6, 8):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.jpg"
        picture.save(path, exif=exif, quality=98)
        quick = only(path, how(resolution=12))
        exact = only(path, how(resolution=12, exact=True))
        assert np.abs(quick.astype(int) - exact).max() <= 2


def psnr(pixels: np.ndarray, reference: np.ndarray) -> float:
    error = ((pixels.astype(np.float64) - reference.astype(np.float64)) ** 2).mean()
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_drafts_are_within_40_db_of_full_decoding_on_paintings(tmp_path: Path, fit: str) -> None:
    found = []
    for path in sorted(MASTERS.glob("*.jpg"))[::3]:
        # As large as a scan is, so that the draft has something to reduce.
        with Image.open(path) as opened:
            scan = opened.resize((opened.width * 2, opened.height * 2), Image.Resampling.BICUBIC)
        scan.save(tmp_path / path.name, quality=92)
        quick = all_of(tmp_path / path.name, how(fit, 64, max_pixels=10**8))
        exact = all_of(tmp_path / path.name, how(fit, 64, max_pixels=10**8, exact=True))
        assert (quick != exact).any(), "nothing was reduced, so this test shows nothing"
        found.append(psnr(quick, exact))
    assert min(found) >= 40


@pytest.mark.parametrize("fit", ["crop", "squash", "pad", "tiles"])
def test_whole_pixels_are_averaged_first_where_that_shows_little(tmp_path: Path, fit: str) -> None:
    path = tmp_path / "lion.png"
    with Image.open(MASTERS / "lion.jpg") as opened:
        opened.resize((700, 500)).save(path)
    quick, exact = (all_of(path, how(fit, 24, exact=exact)) for exact in (False, True))
    assert (quick != exact).any()
    assert psnr(quick, exact) >= 46
    # Four times the target is left alone.
    quick, exact = (all_of(path, how(fit, 100, exact=exact)) for exact in (False, True))
    assert (quick == exact).all()


@pytest.mark.parametrize("fit", sorted(FITS))
def test_several_resolutions_are_each_made_from_the_decoded_picture(
    tmp_path: Path, fit: str
) -> None:
    path = tmp_path / "lion.png"
    with Image.open(MASTERS / "lion.jpg") as opened:
        opened.resize((150, 130)).save(path)
    settings = how(fit, resolutions=(16, 24, 64))
    fitted = fit_file(path, settings)
    assert list(fitted.pixels) == [16, 24, 64]
    assert settings.resolution == 64
    # A tile that the largest has no use for is in none; the rest is as if asked for alone.
    frames = fit_file(path, how(fit, 64)).frames
    assert fitted.frames == frames
    for resolution in (16, 24, 64):
        alone = fit_file(path, how(fit, resolution))
        row_of = {frame: row for row, frame in enumerate(alone.frames)}
        expected = alone.pixels[resolution][[row_of[frame] for frame in frames]]
        assert (fitted.pixels[resolution] == expected).all()


def test_draft_leaves_twice_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import JpegImagePlugin

    sizes = []
    original = JpegImagePlugin.JpegImageFile.draft

    def spy(self: object, mode: object, size: object) -> object:
        result = original(self, mode, size)  # type: ignore[arg-type]
        sizes.append(self.size)  # type: ignore[attr-defined]
        return result

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "draft", spy)
    for side in (255, 256, 511, 512, 1023, 1024, 1500):
        Image.new("RGB", (side, side + 40), RED).save(tmp_path / f"{side}.jpg")
        fit_file(tmp_path / f"{side}.jpg", how(resolution=64))
    # 255 px are not reduced at all; half, quarter or eighth only where 128 px remain.
    assert [min(size) for size in sizes] == [128, 256, 128, 256, 128, 188]


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 100, (100, 100, 100)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (255, 0, 0, 255), (255, 0, 0)),
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
        ("LA", (0, 128), (127, 127, 127)),
        ("I;16", 25_700, (100, 100, 100)),
        ("I;16", 200, (200, 200, 200)),  # samples up to 255 only: 8 bits in 16
    ],
)
def test_modes_become_rgb(
    tmp_path: Path, mode: str, colour: object, expected: tuple[int, int, int]
) -> None:
    path = tmp_path / "picture.png"
    Image.new(mode, (20, 20), colour).save(path)  # type: ignore[arg-type]
    assert near(only(path, how())[8, 8], expected, by=1)


def test_palettes_with_and_without_a_transparent_colour(tmp_path: Path) -> None:
    picture = Image.new("P", (20, 20), 1)
    picture.putpalette([0, 0, 0, 0, 0, 255] + [0] * 762)
    picture.save(tmp_path / "plain.png")
    picture.save(tmp_path / "clear.gif", transparency=1)
    assert near(only(tmp_path / "plain.png", how())[8, 8], BLUE)
    assert near(only(tmp_path / "clear.gif", how())[8, 8], (255, 255, 255))


def test_cmyk_and_grey_jpegs(tmp_path: Path) -> None:
    Image.new("CMYK", (200, 200), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg", quality=98)
    Image.new("L", (200, 200), 77).save(tmp_path / "grey.jpg", quality=98)
    assert near(only(tmp_path / "cmyk.jpg", how())[8, 8], RED, by=6)
    assert near(only(tmp_path / "grey.jpg", how())[8, 8], (77, 77, 77))


def reason(path: Path, settings: Fitting) -> str:
    with pytest.raises(UnusableError) as caught:
        fit_file(path, settings)
    return str(caught.value)


def test_bad_files_are_named_for_what_they_are(tmp_path: Path) -> None:
    good = stripes(tmp_path, [RED, GREEN], "good.jpg").read_bytes()
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("this is no picture")
    (tmp_path / "cut.jpg").write_bytes(good[: len(good) - 60])
    (tmp_path / "folder.jpg").mkdir()
    assert reason(tmp_path / "empty.jpg", how()) == "unreadable: the file is empty"
    assert reason(tmp_path / "text.jpg", how()).startswith("not a picture: ")
    assert reason(tmp_path / "cut.jpg", how()).startswith("truncated: ")
    assert reason(tmp_path / "folder.jpg", how()).startswith("unreadable: ")
    assert reason(tmp_path / "missing.jpg", how()).startswith("unreadable for now: ")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason(tmp_path / "pipe.jpg", how()) == "unreadable: not a file"
    Image.new("F", (20, 20), 1.5).save(tmp_path / "float.tif")
    assert "floating-point" in reason(tmp_path / "float.tif", how())


def test_small_pictures_are_left_out_where_they_would_be_enlarged_too_much(tmp_path: Path) -> None:
    Image.new("RGB", (60, 13)).save(tmp_path / "a.png")
    Image.new("RGB", (60, 12)).save(tmp_path / "b.png")
    for fit in ("crop", "squash", "tiles"):
        assert all_of(tmp_path / "a.png", how(fit)).shape[1:] == (16, 16, 3)
        text = reason(tmp_path / "b.png", how(fit))
        assert text == "too small: 60 x 12 pixels; 16 px takes 13"
    # Tiles of 0.84 times 61 would have 51.2 pixels, where 64 / 1.25 is 51.2 too: one too small for
    # whole pixels does not count, and the one of 61 is there.
    Image.new("RGB", (61, 70)).save(tmp_path / "c.png")
    assert all_of(tmp_path / "c.png", how("tiles", resolution=64)).shape[1:] == (64, 64, 3)
    # Padded, the long side counts.
    assert only(tmp_path / "b.png", how("pad")).shape == (16, 16, 3)


def test_pixel_limit_stops_bombs_before_they_are_decoded(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    buffer = io.BytesIO()
    Image.new("1", (9000, 9000)).save(buffer, "PNG")
    path = tmp_path / "bomb.png"
    path.write_bytes(buffer.getvalue())
    assert path.stat().st_size < 100_000
    assert reason(path, how(max_pixels=9000 * 9000 - 1)).startswith(
        "too large: more than 80,999,999"
    )
    assert before == Image.MAX_IMAGE_PIXELS
    small = stripes(tmp_path, [RED, RED])
    assert isinstance(fit_file(small, how(max_pixels=64 * 64)), Fitted)
    assert reason(small, how(max_pixels=64 * 64 - 1)).startswith("too large")
