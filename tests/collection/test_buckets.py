"""Packing with `--fit aspect`: buckets of different proportions, chosen from the pictures."""

import csv
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import impasto
from impasto.collection import Collection, PackOptions, open_or_pack, pack
from impasto.collection.buckets import candidate_sizes, choose_buckets, cropped_shares
from impasto.collection.duplicates.sheets import duplicate_groups, pages
from impasto.collection.overview import contact_sheet, summary
from impasto.collection.removal import forget
from impasto.decoding.fit import fit_file
from impasto.errors import ImpastoError
from impasto.resolution import Resolution, Size, area, cropped, nearest, width_and_height
from tests.helpers.command_line import Say

TALL, SQUARE, WIDE = Size(48, 80), 64, Size(80, 48)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pictures, of 60x100, 80x80 and 100x60 pixels in turn, in two classes; the last is a copy of the
    first."""
    folder = tmp_path_factory.mktemp("buckets") / "pictures"
    random = np.random.default_rng(3)
    for number in range(24):
        blocks = random.integers(0, 255, (5, 5, 3), dtype=np.uint8)
        size = [(60, 100), (80, 80), (100, 60)][number % 3]
        picture = Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC)
        path = folder / ("cubism" if number % 2 else "realism") / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    Image.open(folder / "realism" / "00.png").resize((63, 105)).save(folder / "realism" / "24.png")
    return folder


@pytest.fixture(scope="module")
def packed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    options = PackOptions(fit="aspect", labels=("style",), heldout=0.2)
    return pack(source, tmp_path_factory.mktemp("packed") / "packed", options).collection


def test_the_share_cropped_by_hand() -> None:
    assert cropped(300, 200, 64) == pytest.approx(1 / 3)
    assert cropped(200, 300, Size(48, 64)) == pytest.approx(1 / 9)  # 200 x 266.67 of 200 x 300
    assert cropped(480, 640, Size(48, 64)) == 0
    assert nearest(30, 40, [64, Size(48, 64), Size(64, 48)]) == Size(48, 64)
    shares = cropped_shares(np.array([[300, 200], [200, 300]]), [64, Size(48, 64)])
    np.testing.assert_allclose(shares, [[1 / 3, 1 / 2], [1 / 3, 1 / 9]])


@pytest.mark.parametrize("side", [32, 64, 128, 256])
def test_candidates(side: int) -> None:
    sizes = candidate_sizes(side)
    assert side in sizes
    proportions = [wide / high for wide, high in map(width_and_height, sizes)]
    assert proportions == sorted(set(proportions))
    for size in sizes:
        width, height = width_and_height(size)
        assert width % 16 == height % 16 == 0
        assert abs(area(size) / side**2 - 1) <= 1 / 8
        assert Size(height, width) in sizes if width != height else True


def test_the_choice_crops_as_little_as_any() -> None:
    """Of all choices of as many sizes, none crops less and has enough pictures in each."""
    random = np.random.default_rng(0)
    ratios = np.exp(random.normal([-0.45, 0.0, 0.3] * 40, 0.05))
    pictures = np.stack([1000 * ratios, np.full(120, 1000.0)], axis=1)
    found = choose_buckets(pictures, 64)
    assert len(found) > 1

    def cost(sizes: tuple[Resolution, ...]) -> float:
        shares = cropped_shares(pictures, sizes)
        counts = np.bincount(shares.argmin(1), minlength=len(sizes))
        return float(shares.min(1).mean()) if counts.min() >= 0.04 * 120 else np.inf

    every = itertools.combinations(candidate_sizes(64), len(found))
    assert cost(found) == pytest.approx(min(map(cost, every)))


def test_pictures_alike_get_one_size() -> None:
    pictures = np.array([[600 + number, 1000] for number in range(50)])
    assert choose_buckets(pictures, 64) == (TALL,)
    assert choose_buckets(pictures[:, ::-1], 64) == (WIDE,)
    with pytest.raises(ImpastoError, match="multiple of 16, from 32, not 100"):
        candidate_sizes(100)


def test_every_picture_is_in_its_bucket(packed: Collection, source: Path) -> None:
    assert packed.bucketed
    assert packed.resolutions == (TALL, SQUARE, WIDE)
    packed.verify(everything=True)
    seen = []
    for view in packed.views():
        width, height = width_and_height(view.resolution)
        assert len(view) == 8
        for index in view.indices:
            row = view.source_table()[view.sources[index]]
            (pixels,) = view.images(np.array([index]))
            assert pixels.shape == (height, width, 3)
            alone = PackOptions(resolution=view.resolution).fitting()
            expected = fit_file(source / row["path"], alone).pixels[view.resolution][0]
            np.testing.assert_array_equal(pixels, expected)
            label = view.labels[index, 0]
            assert view.fields[0].classes[label] == Path(row["path"]).parent.name
            assert (row["split"] == "heldout") == (index in view.heldout_indices)
            seen.append(row["path"])
        other = next(each for each in packed.views() if each.resolution != view.resolution)
        span = f"from {view.span.start} to below {view.span.stop}"
        with pytest.raises(IndexError, match=span):
            view.images(other.indices[:1].astype(np.uint8))
    assert len(set(seen)) == 24
    hashes = {view.content_hash for view in packed.views()}
    assert len(hashes) == 3
    with (packed.path / "pictures.csv").open() as file:
        assert [int(row["index"]) for row in csv.DictReader(file)] == list(range(24))


def test_a_change_in_another_bucket_shows_in_the_hash(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(source, folder)
    options = PackOptions(fit="aspect", buckets=(TALL, SQUARE, WIDE))
    before = pack(folder, tmp_path / "before", options).collection.views()
    with Image.open(folder / "realism" / "02.png") as picture:
        assert picture.size == (100, 60)
        mirrored = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    mirrored.save(folder / "realism" / "02.png")
    after = pack(folder, tmp_path / "after", options).collection.views()
    for one, other in zip(before, after, strict=True):
        assert one.content_hash != other.content_hash
        other.verify(everything=True)
    assert json.loads((tmp_path / "after" / "collection.json").read_text())["format_version"] == 3


def test_it_opens_at_the_bucket_with_the_most_pictures(source: Path, tmp_path: Path) -> None:
    options = PackOptions(fit="aspect", buckets=(SQUARE, WIDE), heldout=0)
    packed = pack(source, tmp_path / "two", options).collection
    # Tall pictures go to the square, which crops less of them.
    assert packed.resolution == SQUARE
    assert [len(view) for view in packed.views()] == [16, 8]
    assert open_or_pack(tmp_path / "two", WIDE).resolution == WIDE
    assert open_or_pack(tmp_path / "two", Size(40, 24)).resolution == WIDE
    with pytest.raises(ImpastoError, match="packed at 64 and 80x48 px, and 48x80 px is wanted"):
        open_or_pack(tmp_path / "two", TALL)


def test_packed_again_after_more_came(source: Path, tmp_path: Path) -> None:
    """The buckets stay, and only what is new is decoded: the same as packed at once."""
    options = PackOptions(fit="aspect", buckets=(TALL, SQUARE, WIDE))
    folder = tmp_path / "pictures"
    for number, path in enumerate(sorted(source.rglob("*.png"))):
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        if number != 4:
            (folder / path.relative_to(source)).write_bytes(path.read_bytes())
    first = pack(folder, tmp_path / "grown", PackOptions(fit="aspect"))
    assert first.collection.resolutions == options.buckets
    left = sorted(source.rglob("*.png"))[4]
    (folder / left.relative_to(source)).write_bytes(left.read_bytes())
    again = pack(folder, tmp_path / "grown", PackOptions(fit="aspect"))
    assert again.known == 24
    whole = pack(folder, tmp_path / "whole", options)
    for one, other in zip(again.collection.views(), whole.collection.views(), strict=True):
        assert one.content_hash == other.content_hash
    with pytest.raises(ImpastoError, match="packed with fit aspect where crop is asked for"):
        pack(folder, tmp_path / "grown", PackOptions())


def test_forgotten_in_all_buckets(source: Path, tmp_path: Path) -> None:
    options = PackOptions(fit="aspect", heldout=0.2)
    before = pack(source, tmp_path / "packed", options).collection
    held = {
        row["path"]
        for view in before.views()
        for row in (view.source_table()[view.sources[index]] for index in view.heldout_indices)
    }
    gone = before.views()[1].source_table()[before.views()[1].sources[before.views()[1].indices[0]]]
    forget(tmp_path / "packed", [gone["path"]])
    after = Collection.open(tmp_path / "packed")
    assert sorted(len(view) for view in after.views()) == [7, 8, 8]
    still = {
        row["path"]
        for view in after.views()
        for row in (view.source_table()[view.sources[index]] for index in view.heldout_indices)
    }
    assert still == held - {gone["path"]}
    after.verify(everything=True)


def test_copies_are_found_across_the_folder(packed: Collection) -> None:
    ((kept, copy),) = duplicate_groups(packed)
    assert {Path(kept.path).name, Path(copy.path).name} == {"00.png", "24.png"}
    (page,) = pages(packed, [[kept, copy]])
    assert page.width > 0


def test_seen_and_unpacked(packed: Collection, tmp_path: Path, say: Say) -> None:
    text = summary(packed)
    assert "8 of 48 x 80 pixels, 8 of 64 x 64 pixels, 8 of 80 x 48 pixels, aspect" in text
    sheet = contact_sheet(packed)
    # Cells as wide as the widest and as high as the tallest, with gaps of 2.
    assert sheet.size == (12 * 82 + 2, 2 * 82 + 2)
    code, _, err = say("unpack", str(packed.path), str(tmp_path / "all"))
    assert (code, "--resolution 48x80, 64, 80x48" in err) == (2, True), err
    assert say("unpack", str(packed.path), str(tmp_path / "wide"), "--resolution", "80x48")[0] == 0
    pictures = list((tmp_path / "wide").rglob("*.png"))
    assert len(pictures) == 8
    assert {Image.open(path).size for path in pictures} == {(80, 48)}


def test_said_on_the_command_line(source: Path, tmp_path: Path, say: Say) -> None:
    code, out, _ = say("pack", str(source), str(tmp_path / "packed"), "--fit", "aspect")
    assert code == 0
    assert "24 pictures of 3 sizes from 24 source pictures (aspect)" in out
    assert "48x80: 8 source pictures, 0.0% of each cropped on average" in out
    assert "cropped on average: 0.0%; squares would have cropped 26.7%" in out
    code, _, err = say(
        *("pack", str(source), str(tmp_path / "no"), "--fit", "aspect", "--resolution", "48x64")
    )
    assert (code, "fit aspect takes one resolution" in err) == (2, True)
    assert impasto.open(tmp_path / "packed", "80x48").resolution == WIDE
