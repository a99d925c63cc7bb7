"""Collections of rectangles: packed, packed again, opened, converted."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import impasto
from impasto.collection import Collection, PackOptions, open_or_pack, pack
from impasto.collection.overview import contact_sheet, summary
from impasto.collection.removal import forget
from impasto.collection.unpacking import unpack
from impasto.decoding.fit import fit_file
from impasto.errors import ImpastoError
from impasto.resolution import Size

SIZES = (Size(24, 32), Size(48, 64))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tall")
    random = np.random.default_rng(3)
    for number in range(12):
        blocks = random.integers(0, 255, (5, 4, 3), dtype=np.uint8)
        size = (60 + number, 90)
        Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC).save(
            folder / f"{number:02}.png"
        )
    return folder


@pytest.mark.parametrize("encoding", ["raw", "webp"])
def test_packed_and_opened(source: Path, tmp_path: Path, encoding: str) -> None:
    options = PackOptions(resolution=SIZES[1], smaller=SIZES[:1], encoding=encoding)
    packed = pack(source, tmp_path / "packed", options).collection
    assert packed.resolutions == SIZES
    assert packed.resolution == Size(48, 64)
    packed.verify(everything=True)
    for size in SIZES:
        there = Collection.open(tmp_path / "packed", size)
        pixels = there.images(np.arange(len(there)))
        assert pixels.shape == (12, size.height, size.width, 3)
        for place, row in enumerate(there.source_table()):
            expected = fit_file(source / row["path"], options.fitting()).pixels[size]
            np.testing.assert_array_equal(pixels[there.sources == place], expected)
    assert Collection.open(tmp_path / "packed", SIZES[0]).content_hash != packed.content_hash


def test_what_was_packed_is_known_again(source: Path, tmp_path: Path) -> None:
    options = PackOptions(resolution=Size(48, 64))
    first = pack(source, tmp_path / "packed", options)
    again = pack(source, tmp_path / "packed", options)
    assert (first.known, again.known) == (0, 12)
    assert again.collection.content_hash == first.collection.content_hash
    with pytest.raises(ImpastoError, match="packed with resolution 48x64 where 64x48 is asked for"):
        pack(source, tmp_path / "packed", PackOptions(resolution=Size(64, 48)))


def test_sizes_of_other_proportions_are_refused() -> None:
    with pytest.raises(ImpastoError, match="have other proportions"):
        PackOptions(resolution=Size(48, 64), smaller=(32,))
    with pytest.raises(ImpastoError, match="from 4 to 4096 pixels, not 2x64"):
        PackOptions(resolution=Size(2, 64))


def test_texts_of_the_library(source: Path, tmp_path: Path) -> None:
    report = impasto.pack(source, tmp_path / "packed", resolution="24x32, 48x64")
    assert report.collection.resolutions == SIZES
    assert impasto.open(tmp_path / "packed", "24x32").resolution == SIZES[0]
    assert impasto.open(tmp_path / "packed").resolution == SIZES[1]
    with pytest.raises(ImpastoError, match="resolution: 'wide' is no size"):
        impasto.open(tmp_path / "packed", "wide")
    with pytest.raises(ImpastoError, match="or width x height such as 192x256"):
        impasto.pack(source, tmp_path / "other", resolution="48x")


def test_opened_at_a_whole_part(source: Path, tmp_path: Path) -> None:
    pack(source, tmp_path / "packed", PackOptions(resolution=Size(48, 64)))
    assert open_or_pack(tmp_path / "packed", Size(12, 16)).resolution == Size(48, 64)
    with pytest.raises(ImpastoError, match="packed at 48x64 px, and 64 px is wanted"):
        open_or_pack(tmp_path / "packed", 64)


def test_seen_forgotten_and_converted(source: Path, tmp_path: Path) -> None:
    packed = pack(source, tmp_path / "packed", PackOptions(resolution=Size(48, 64))).collection
    assert "12 of 48 x 64 pixels, crop" in summary(packed)
    sheet = contact_sheet(packed)
    # Eleven training pictures in a row, in cells of 48 x 64 with gaps of 2.
    assert len(packed.train_indices) == 11
    assert sheet.size == (11 * 50 + 2, 64 + 2 * 2)
    with pytest.raises(ImpastoError, match="reads squares, and these pictures are of 48x64 px"):
        unpack(packed, tmp_path / "out.zip", "stylegan")
    unpack(packed, tmp_path / "out", "folder")
    with Image.open(next((tmp_path / "out").rglob("*.png"))) as image:
        assert image.size == (48, 64)
    forget(tmp_path / "packed", ["03.png"])
    left = Collection.open(tmp_path / "packed")
    assert (len(left), left.resolution) == (11, Size(48, 64))
