"""From files to rectangles: which part of a picture is taken, and what is too small."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from impasto.decoding.fit import FITS, Fitting, describe_fit, fit_file, fit_pixels, tile_boxes
from impasto.resolution import Resolution, Size, width_and_height
from impasto.sources.trees import UnusableError


def how(fit: str, *sizes: Resolution, **changes: object) -> Fitting:
    values = {
        "fit": fit,
        "resolutions": sizes or (Size(12, 16),),
        "exact": False,
        "background": (9, 9, 9),
        "max_upscale": 1.25,
        "max_pixels": 10**7,
    }
    return Fitting(**{**values, **changes})  # type: ignore[arg-type]


def ramp(width: int, height: int) -> np.ndarray:
    """uint8 [H, W, 3]: red is the column, green the row."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.arange(width)
    pixels[..., 1] = np.arange(height)[:, None]
    return pixels


def test_crop_takes_the_largest_part_of_the_proportions() -> None:
    fitted = fit_pixels(ramp(120, 80), how("crop"))
    # 3:4 of a height of 80 is 60 wide, in the middle of 120.
    assert fitted.frames[0].box == (30, 0, 90, 80)
    pixels = fitted.pixels[Size(12, 16)]
    assert pixels.shape == (1, 16, 12, 3)
    # A pixel is the mean of 5 x 5: the columns 30 to 34 and so on.
    columns = pixels[0, 8, 1:-1, 0].astype(int)
    np.testing.assert_allclose(columns, 32 + 5 * np.arange(1, 11), atol=1)
    np.testing.assert_allclose(pixels[0, 1:-1, 6, 1], 2 + 5 * np.arange(1, 15), atol=1)


def test_nothing_is_cropped_of_a_picture_of_the_proportions() -> None:
    fitted = fit_pixels(ramp(60, 80), how("crop"))
    assert fitted.frames[0].box == (0, 0, 60, 80)


def test_pad_has_the_whole_picture_on_a_rectangle() -> None:
    pixels = fit_pixels(np.full((40, 80, 3), 200, np.uint8), how("pad", Size(24, 32)))
    (picture,) = pixels.pixels[Size(24, 32)]
    # 80 x 40 becomes 24 x 12, with ten rows free above and below.
    assert (picture[:10] == 9).all()
    assert (picture[10:22] == 200).all()
    assert (picture[22:] == 9).all()


def test_squash_has_all_of_it() -> None:
    fitted = fit_pixels(ramp(120, 80), how("squash"))
    assert fitted.frames[0].box == (0, 0, 120, 80)
    assert fitted.pixels[Size(12, 16)].shape == (1, 16, 12, 3)


def test_two_sizes_show_the_same_part() -> None:
    sizes = (Size(12, 16), Size(24, 32))
    fitted = fit_pixels(ramp(120, 80), how("crop", *sizes))
    small, large = (fitted.pixels[size].astype(int) for size in sizes)
    halved = large.reshape(1, 16, 2, 12, 2, 3).mean((2, 4))
    assert np.abs(small - halved)[:, 1:-1, 1:-1].max() <= 2


@pytest.mark.parametrize(
    ("width", "height", "fits"), [(48, 64, True), (39, 60, True), (38, 60, False), (200, 51, False)]
)
def test_what_is_too_small(width: int, height: int, fits: bool) -> None:
    settings = how("crop", Size(48, 64))
    if fits:
        assert fit_pixels(ramp(width, height), settings).pixels
        return
    with pytest.raises(UnusableError) as raised:
        fit_pixels(ramp(width, height), settings)
    assert str(raised.value) == (f"too small: {width} x {height} pixels; 48x64 px takes 39 x 52")


@given(
    width=st.integers(20, 900),
    height=st.integers(20, 900),
    size=st.sampled_from([Size(48, 64), Size(64, 48), Size(112, 144), Size(16, 64)]),
)
def test_parts_lie_within_the_picture_and_have_the_proportions(
    width: int, height: int, size: Size
) -> None:
    wide, high = width_and_height(size)
    settings = how("crop", size)
    ((box, _),) = [
        (frame.box, frame.mirrored) for frame in FITS["crop"].frames(width, height, settings)
    ]
    left, top, right, bottom = box
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert (right - left) * high == pytest.approx((bottom - top) * wide)
    # It touches two opposite sides.
    assert right - left == pytest.approx(width) or bottom - top == pytest.approx(height)
    for tile in tile_boxes(width, height, 8, size):
        left, top, right, bottom = tile
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        # In whole pixels.
        assert abs((right - left) * high / wide - (bottom - top)) <= (high / wide + 1) / 2 + 1e-6


def test_words() -> None:
    assert describe_fit("crop", 64) == "the square in the centre"
    assert describe_fit("crop", Size(48, 64)) == "the rectangle in the centre"


def test_jpegs_are_reduced_for_the_tighter_side(tmp_path: Path) -> None:
    """A JPEG is never decoded to less than the wanted size."""
    path = tmp_path / "wide.jpg"
    Image.fromarray(ramp(240, 64)).resize((1920, 512)).save(path, quality=95)
    exact = fit_file(path, how("crop", Size(48, 64), exact=True)).pixels[Size(48, 64)]
    quick = fit_file(path, how("crop", Size(48, 64))).pixels[Size(48, 64)]
    assert np.abs(exact.astype(int) - quick).mean() < 1
