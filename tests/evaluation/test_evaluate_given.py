"""Pictures that are given: looked at first, left out with a reason or brought to size."""

import csv
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from impasto.collection import Collection, PackOptions, pack
from impasto.decoding import checking
from impasto.errors import ImpastoError
from impasto.evaluation.folders import is_given
from impasto.evaluation.given import (
    Given,
    common_size,
    look_through,
    of_collection,
    of_given,
)
from impasto.evaluation.record import EvaluationRow, read_rows
from tests.helpers.command_line import invoke
from tests.helpers.ending import ENDS, HANGS, with_faults
from tests.helpers.pictures import paint

RANDOM = np.random.default_rng(5)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Pictures of 32 pixels in the classes `warm` and `cold`, some held out."""
    folder = tmp_path_factory.mktemp("many")
    paint(folder / "pictures", 60)
    options = PackOptions(resolution=32, name="many")
    return pack(folder / "pictures", folder / "collection", options).collection


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Six pictures of 32 x 32, and what there is beside them in real folders."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for number in range(6):
        noise(32, 32).save(folder / f"{number}.png")
    noise(64, 64).save(folder / "large.png")
    noise(20, 20).save(folder / "small.png")
    noise(90, 40).save(folder / "wide.jpg")
    (folder / "text.png").write_text("no picture")
    (folder / "empty.jpg").touch()
    whole = (folder / "0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "clip.mp4").write_bytes(b"x")
    (folder / "notes.txt").write_text("not a picture, and nobody expects it")
    return folder


def pixels_of(given: Given, collection: Collection) -> np.ndarray:
    subject = of_given(given, collection)
    return subject.pixels(np.arange(len(subject))).numpy()


def test_what_cannot_be_used_is_left_out_with_its_reason(mixed: Path, many: Collection) -> None:
    given = look_through(mixed, many.resolutions)
    assert [file.name for file in given.files] == [f"{number}.png" for number in range(6)]
    assert {name: reason.partition(":")[0] for name, reason in given.left_out} == {
        "clip.mp4": "not a picture file by its name",
        "cut.png": "truncated",
        "empty.jpg": "unreadable",
        "large.png": "another size",
        "small.png": "another size",
        "text.png": "not a picture",
        "wide.jpg": "not square",
    }
    (note,) = given.notes
    assert note.startswith("7 of 13 files left out: another size (2), ")
    assert note.endswith("--fit crop, squash or pad brings them to size")
    # The others are seen pixel for pixel.
    for number, pixels in enumerate(pixels_of(given, many)):
        with Image.open(mixed / f"{number}.png") as opened:
            assert (pixels == np.asarray(opened)).all()


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_brought_to_size_as_packing_does(
    mixed: Path, many: Collection, tmp_path: Path, fit: str
) -> None:
    given = look_through(mixed, many.resolutions, fit=fit)
    used = [file.name for file in given.files]
    assert used == [*(f"{number}.png" for number in range(6)), "large.png", "wide.jpg"]
    assert dict(given.left_out)["small.png"].startswith("too small: 20 x 20 pixels; 32 px takes")
    options = PackOptions(resolution=32, fit=fit, heldout=0, duplicates="none", workers=1)
    packed = pack(mixed, tmp_path / "packed", options).collection
    rows = {row["path"]: number for number, row in enumerate(packed.source_table())}
    expected = packed.images(np.array([rows[name] for name in used]))
    assert (pixels_of(given, many) == expected).all()
    assert given.notes[0].startswith(f"2 of 8 pictures brought to 32 x 32 pixels by {fit}: ")


@pytest.mark.parametrize(
    ("sizes", "packed_at", "side"),
    [
        ([32, 32, 64], (64,), 32),
        ([32, 64], (64,), 64),
        ([48, 32], (64,), 32),
        ([32, 64, 64], None, 64),
        ([128, 64], (64,), 64),
        ([16, 16, 64], (64, 128), 16),
    ],
)
def test_the_commonest_size_that_can_be_compared(
    tmp_path: Path, sizes: list[int], packed_at: tuple[int, ...] | None, side: int
) -> None:
    for number, size in enumerate(sizes):
        noise(size, size).save(tmp_path / f"{number}.png")
    given = look_through(tmp_path, packed_at)
    assert given.size == side
    assert len(given.files) == sizes.count(side)


@pytest.mark.parametrize(
    ("sizes", "packed_at", "says"),
    [
        ([(48, 48)], (64,), "are of 48 x 48 pixels, and the collection is packed at 64 px; --fit"),
        ([(48, 48)] * 3 + [(64, 64)], (64,), r"48 pixels \(3 of 4, the rest of 1 size more\)"),
        ([(256, 256)], (64, 128), "packed at 64 and 128 px; --fit .* with --resolution 256"),
        ([(90, 40)], None, "are of 90 x 40 pixels, and squares are needed; --fit crop, squash or"),
        ([(2, 2)], None, "are of 2 x 2 pixels"),
    ],
)
def test_pictures_that_cannot_be_compared(
    tmp_path: Path, sizes: list[tuple[int, int]], packed_at: tuple[int, ...] | None, says: str
) -> None:
    for number, size in enumerate(sizes):
        noise(*size).save(tmp_path / f"{number}.png")
    with pytest.raises(ImpastoError, match=says):
        look_through(tmp_path, packed_at)


def test_a_single_file_is_told_from_an_archive(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 8, 8, 3), np.uint8))
    noise(8, 8).save(tmp_path / "a.png")
    for name in ("a.npz", "a.png"):
        with pytest.raises(
            ImpastoError, match=f"{name} is a single file; give a run, a model, a folder"
        ):
            is_given(tmp_path / name)
    assert not is_given(tmp_path / "gone")


def test_folders_without_any_picture(tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match="holds no pictures; give a run"):
        look_through(tmp_path, None)
    (tmp_path / "a.png").write_text("none")
    with pytest.raises(ImpastoError, match=r"no picture in .* can be read; a\.png: not a picture"):
        look_through(tmp_path, None)
    noise(40, 10).save(tmp_path / "a.png")
    with pytest.raises(ImpastoError, match=r"can be used at 32 px; a\.png: too small"):
        look_through(tmp_path, (32,), fit="crop")
    with pytest.raises(ImpastoError, match="--fit takes crop, squash, pad, not 'tiles'"):
        look_through(tmp_path, (32,), fit="tiles")
    with pytest.raises(ImpastoError, match="packed at 32 px, and --resolution asks for 64"):
        look_through(tmp_path, (32,), fit="crop", size=64)


def test_the_side_that_pictures_are_brought_to(tmp_path: Path) -> None:
    for number, size in enumerate([(128, 128), (128, 128), (300, 200)]):
        noise(*size).save(tmp_path / f"{number}.png")
    assert look_through(tmp_path, (64, 128, 256), fit="crop").size == 128
    assert look_through(tmp_path, (64,), fit="crop").size == 64
    assert look_through(tmp_path, None, fit="crop").size == 128
    assert look_through(tmp_path, None, fit="crop", size=32).size == 32
    for number in range(2):
        noise(130 + number, 128).save(tmp_path / f"{number}.png")
    assert look_through(tmp_path, None, fit="crop").size == 64


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes in folders are a matter of Unix")
def test_a_pipe_is_not_waited_for(mixed: Path, many: Collection) -> None:
    os.mkfifo(mixed / "pipe.png")
    given = look_through(mixed, many.resolutions)
    assert dict(given.left_out)["pipe.png"] == "unreadable: not a file"


def test_a_picture_that_changes_on_the_way_is_one_line(mixed: Path, many: Collection) -> None:
    subject = of_given(look_through(mixed, many.resolutions), many)
    (mixed / "3.png").write_text("gone")
    with pytest.raises(ImpastoError, match=r"3\.png has changed since it was looked at: not a pic"):
        subject.pixels(np.arange(6))


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_an_archive_is_read_as_its_folder(many: Collection, tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "made"
    paint(folder, 12, size=32)
    archive = tmp_path / f"made{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as opened:
            for path in sorted(folder.rglob("*.png")):
                opened.write(path, path.relative_to(tmp_path))
    else:
        with tarfile.open(archive, "w:gz") as packed:
            packed.add(folder, "made")
    plain = of_given(look_through(folder, many.resolutions), many)
    there = of_given(look_through(archive, many.resolutions), many)
    assert list(there.names) == list(plain.names)
    assert {key: list(rows) for key, rows in there.groups.items()} == {
        ("class", 0): list(range(6)),
        ("class", 1): list(range(6, 12)),
    }
    assert (there.pixels(np.arange(12)) == plain.pixels(np.arange(12))).all()


def test_folders_are_named_as_classes_however_these_are_written(tmp_path: Path) -> None:
    for folder in ("Cafe\u0301", "two  words"):
        paint(tmp_path / "all" / folder, 4, size=32)
    for picture in sorted((tmp_path / "all").glob("*/*/*.png")):
        picture.rename(picture.parent.parent / f"{picture.parent.name}-{picture.name}")
    options = PackOptions(resolution=32, duplicates="none")
    packed = pack(tmp_path / "all", tmp_path / "packed", options).collection
    assert packed.fields[0].classes == ("Café", "two words")
    subject = of_given(look_through(tmp_path / "all", (32,)), packed)
    assert {key: list(rows) for key, rows in subject.groups.items()} == {
        ("class", 0): [0, 1, 2, 3],
        ("class", 1): [4, 5, 6, 7],
    }


# A collection


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """A collection of other pictures at two resolutions, with a class that `many` does not have."""
    folder = tmp_path_factory.mktemp("made")
    paint(folder / "pictures", 20, size=64)
    (folder / "pictures" / "cold").rename(folder / "pictures" / "icy")
    options = PackOptions(resolution=64, smaller=(16,), name="made")
    return pack(folder / "pictures", folder / "collection", options).collection


def test_all_pictures_of_a_collection(many: Collection, made: Collection) -> None:
    side = common_size(made, many.resolutions)
    assert side == 32
    subject = of_collection(made, side, many, "train")
    assert len(subject) == len(made)
    assert len(made.heldout_indices) > 0
    assert subject.notes == (
        f"all pictures of made, the {len(made.heldout_indices)} that it holds out too",
        "many has no class called icy: no scores of these",
    )
    warm = made.fields[0].classes.index("warm")
    assert {key: list(rows) for key, rows in subject.groups.items()} == {
        ("class", 1): list(np.flatnonzero(made.labels[:, 0] == warm))
    }
    whole = made.images(np.array([3, 0])).astype(np.float64)
    means = whole.reshape(2, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    assert np.abs(subject.pixels(np.array([3, 0])).numpy() - means).max() <= 0.5
    assert list(subject.names) == [made.source_table()[source]["path"] for source in made.sources]


def test_the_side_that_two_collections_share(many: Collection, made: Collection) -> None:
    assert common_size(made, None) == 64
    assert common_size(made, (16, 64)) == 64
    assert common_size(many, (16, 64)) == 32
    with pytest.raises(
        ImpastoError, match=r"packed at 32 px, and the collection .* at 48 px; pack"
    ):
        common_size(many, (48,))


def test_a_collection_beside_itself(many: Collection, made: Collection) -> None:
    subject = of_collection(many, 32, many, "train")
    assert len(subject) == len(many.heldout_indices)
    expected = many.images(many.heldout_indices[:2])
    assert (subject.pixels(np.arange(2)).numpy() == expected).all()
    assert subject.notes == (
        "only its held-out pictures: the others are those that they are compared with",
    )
    assert len(of_collection(many, 32, many, "heldout")) == len(many.train_indices)
    with pytest.raises(ImpastoError, match="is the collection that it is compared with"):
        of_collection(many, 32, many, "all")


# The command


def only_row(out: Path) -> EvaluationRow:
    (row,) = read_rows(out / "metrics.jsonl")
    return row


@pytest.mark.usefixtures("quick")
def test_what_was_left_out_is_told_and_listed(
    mixed: Path, many: Collection, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, told = invoke("evaluate", mixed, "--data", many.path, "--out", out)
    assert code == 0, told
    assert "note: 7 of 13 files left out: " in told
    row = only_row(out)
    assert (row.pictures.count, row.pictures.left_out, row.pictures.fit) == (6, 7, None)
    assert row.folder is not None
    listed = out / row.folder / "left-out.csv"
    assert f"left out: {listed}" in told
    with listed.open(encoding="utf-8", newline="") as file:
        assert {each["path"] for each in csv.DictReader(file)} >= {"cut.png", "wide.jpg"}
    # The same once more, when there is nothing to leave out any more.
    for name in ("large.png", "small.png", "wide.jpg", "text.png", "empty.jpg", "cut.png"):
        (mixed / name).unlink()
    (mixed / "clip.mp4").unlink()
    assert invoke("evaluate", mixed, "--data", many.path, "--out", out)[0] == 0
    assert not listed.exists()


@pytest.mark.usefixtures("quick")
def test_how_pictures_were_brought_to_size_is_told(
    mixed: Path, many: Collection, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, told = invoke("evaluate", mixed, "--data", many.path, "--out", out, "--fit", "pad")
    assert code == 0, told
    assert "mixed: 8 pictures, brought to size by pad" in told
    row = only_row(out)
    assert (row.pictures.count, row.pictures.left_out, row.pictures.fit) == (8, 5, "pad")
    assert any("2 of 8 pictures brought to 32 x 32 pixels by pad" in note for note in row.notes)
    # Fitted otherwise, they are another evaluation.
    assert invoke("evaluate", mixed, "--data", many.path, "--out", out, "--fit", "crop")[0] == 0
    folders = {each.folder for each in read_rows(out / "metrics.jsonl")}
    assert len(folders) == 2


@pytest.mark.usefixtures("quick")
def test_collections_and_archives_by_the_command(
    many: Collection, made: Collection, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, told = invoke("evaluate", made.path, "--data", many.path, "--out", out)
    assert code == 0, told
    assert only_row(out).pictures.count == len(made)
    assert "that it holds out too" in told
    archive = tmp_path / "some.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for row, pixels in enumerate(many.images(np.arange(5))):
            Image.fromarray(pixels).save(tmp_path / "one.png")
            opened.write(tmp_path / "one.png", f"{row}.png")
    code, told = invoke("evaluate", archive, "--data", many.path, "--out", tmp_path / "zip")
    assert code == 0, told
    assert "some: 5 pictures" in told
    assert only_row(tmp_path / "zip").subject.name == "some"


def test_pictures_are_looked_at_before_anything_that_takes_long(
    many: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object, **named: object) -> None:
        raise AssertionError("too early")

    monkeypatch.setattr("impasto.features.load_network", never)
    monkeypatch.setattr("impasto.collection.open_or_pack", never)
    folder = tmp_path / "wide"
    folder.mkdir()
    noise(90, 40).save(folder / "a.png")

    def refused(*arguments: object) -> str:
        code, told = invoke("evaluate", *arguments)
        assert code == 2, told
        return told

    assert "squares are needed; --fit" in refused(folder, "--data", "masters")
    assert "squares are needed; --fit" in refused(folder, "--data", many.path)
    assert "--resolution goes with --fit" in refused(
        folder, "--data", many.path, "--resolution", 32
    )
    assert "their size already; --fit is for a folder" in refused(
        many.path, "--data", "masters", "--fit", "crop"
    )
    assert "say with --data" in refused(many.path)
    assert "there is no " in refused(folder, "--data", tmp_path / "nothing")


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_a_file_that_ends_a_decoder_is_left_out(
    tmp_path: Path, many: Collection, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(4):
        noise(32, 32).save(folder / f"{number}.png")
    (folder / "1-ends.png").write_bytes(ENDS)
    (folder / "2-hangs.png").write_bytes(HANGS)
    place = tmp_path / f"folder{suffix}"
    if suffix:
        with zipfile.ZipFile(place, "w") as archive:
            for path in folder.iterdir():
                archive.write(path, path.name)
    monkeypatch.setattr(checking, "in_order", with_faults)
    monkeypatch.setattr("impasto.evaluation.given._LIMITS", PackOptions(max_seconds=1))
    given = look_through(place, many.resolutions)
    assert [file.name for file in given.files] == [f"{number}.png" for number in range(4)]
    assert dict(given.left_out) == {
        "1-ends.png": "gave up: decoding it ended the process",
        "2-hangs.png": "gave up: it took more than 1 s",
    }
    assert pixels_of(given, many).shape == (4, 32, 32, 3)


def test_a_picture_is_seen_as_packing_decodes_it(tmp_path: Path, many: Collection) -> None:
    """Turned by its EXIF data, its profile applied, 16 bits scaled: not as plain Pillow opens it."""
    turned = noise(64, 64)
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "0-turned.png", exif=exif)
    grey = RANDOM.integers(0, 65536, (64, 64), dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / "1-deep.png")
    wide = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    noise(64, 64).convert("LAB").save(tmp_path / "2-lab.tif", icc_profile=wide)
    given = look_through(tmp_path, (64,))
    seen = pixels_of(given, many)
    assert len(seen) == 3
    assert (seen[0] == np.rot90(np.asarray(turned), -1)).all()
    assert np.abs(seen[1, ..., 0] - grey / 257).max() <= 1
    packed = pack(
        tmp_path,
        tmp_path.with_name("packed"),
        PackOptions(resolution=64, heldout=0, duplicates="none"),
    ).collection
    assert (packed.images(np.arange(3)) == seen).all()
