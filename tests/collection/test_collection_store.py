"""An opened collection: gathering, labels, hash, damage, and what is said where there is none."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from impasto.collection import Collection, PackOptions, encoding, open_or_pack, pack, writer
from impasto.collection.overview import summary
from impasto.errors import ImpastoError
from impasto.sources.remote.addresses import place_at
from tests.helpers.lfs import POINTER

COUNT, SIDE = 24, 8


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pictures, each of one grey of its own, in three classes; `~z` has its class unknown."""
    folder = tmp_path_factory.mktemp("store") / "pictures"
    folder.mkdir()
    rows = ["file,kind,mood,title"]
    for number in range(COUNT):
        name = f"{number:02}.png"
        Image.new("RGB", (SIDE, SIDE), (number * 10,) * 3).save(folder / name)
        rows.append(f"{name},{'cab'[number % 3]},{'' if number % 2 else 'calm'},Number {number}")
    (folder / "metadata.csv").write_text("\n".join(rows))
    return folder


def make(source: Path, destination: Path, **changes: Any) -> Collection:
    options = PackOptions(**{"resolution": SIDE, "labels": ("kind", "mood"), **changes})
    return pack(source, destination, options).collection


@pytest.fixture(scope="module")
def collection(source: Path) -> Collection:
    return make(source, source.parent / "packed")


@pytest.fixture(scope="module")
def sharded(source: Path) -> Collection:
    """The same in shards of five pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "SHARD_BYTES", 5 * SIDE**2 * 3)
        return make(source, source.parent / "sharded")


@pytest.fixture
def copy(collection: Collection, tmp_path: Path) -> Path:
    return Path(shutil.copytree(collection.path, tmp_path / "copy"))


def test_what_it_says_of_itself(collection: Collection) -> None:
    assert len(collection) == COUNT
    assert (collection.name, collection.resolution, collection.fit) == ("packed", SIDE, "crop")
    kind, mood = collection.fields
    assert (kind.name, kind.classes, mood.classes) == ("kind", ("a", "b", "c"), ("calm",))
    assert collection.labels.dtype == np.int64
    # Sorted by name: "cab" in the table is 2, 0, 1.
    assert collection.labels[:4].tolist() == [[2, 0], [0, -1], [1, 0], [2, -1]]
    assert collection.field("mood") == 1
    for column, field in enumerate(collection.fields):
        train = collection.labels[collection.train_indices, column]
        assert field.counts == tuple((train == index).sum() for index in range(len(field.classes)))
    both = np.concatenate([collection.train_indices, collection.heldout_indices])
    assert sorted(both.tolist()) == list(range(COUNT))
    assert len(collection.heldout_indices) == 2
    assert collection.sources.tolist() == list(range(COUNT))
    row = collection.source_table()[7]
    assert (row["path"], row["title"], row["kind"]) == ("07.png", "Number 7", "a")
    assert (row["width"], row["height"]) == (str(SIDE), str(SIDE))


def test_unknown_field_names_the_valid_ones(collection: Collection) -> None:
    with pytest.raises(ImpastoError, match="no label field 'style' in packed; there is kind, mood"):
        collection.field("style")


@given(st.lists(st.integers(0, COUNT - 1), max_size=40), st.booleans())
def test_any_pictures_in_any_order(
    collection: Collection, sharded: Collection, indices: list[int], many: bool
) -> None:
    opened = sharded if many else collection
    pixels = opened.images(np.array(indices, dtype=np.int64))
    assert pixels.dtype == np.uint8
    assert pixels.shape == (len(indices), SIDE, SIDE, 3)
    assert pixels[:, 0, 0, 0].tolist() == [index * 10 for index in indices]
    assert type(pixels) is np.ndarray


def test_shards_hold_the_same(collection: Collection, sharded: Collection) -> None:
    assert [path.name for path in sorted(sharded.path.glob("images-*.npy"))] == [
        f"images-{number:05}.npy" for number in range(5)
    ]
    everything = np.arange(COUNT)
    assert (sharded.images(everything) == collection.images(everything)).all()
    # Each is a plain NumPy file that anything can read.
    parts = [np.load(path) for path in sorted(sharded.path.glob("images-*.npy"))]
    assert (np.concatenate(parts) == collection.images(everything)).all()
    sharded.verify()


@pytest.mark.parametrize("bad", [[-1], [COUNT], [0.5], [[0, 1]], [True]])
def test_indices_that_are_none(collection: Collection, bad: list[Any]) -> None:
    with pytest.raises(IndexError):
        collection.images(np.array(bad))


def test_what_is_read_cannot_change_the_files(collection: Collection) -> None:
    pixels = collection.images(np.array([3]))
    pixels[:] = 0
    assert collection.images(np.array([3]))[0, 0, 0, 0] == 30
    with pytest.raises(ValueError, match="read-only"):
        collection.labels[0, 0] = 1


def test_it_pickles_as_its_path(collection: Collection) -> None:
    pickled = pickle.dumps(collection)
    assert len(pickled) < 500
    again = pickle.loads(pickled)
    assert again.content_hash == collection.content_hash
    assert (again.images(np.array([5])) == collection.images(np.array([5]))).all()


def test_the_hash_is_of_the_contents(source: Path, collection: Collection, tmp_path: Path) -> None:
    def packed(folder: Path, name: str, **changes: Any) -> str:
        return make(folder, tmp_path / name, **changes).content_hash

    assert packed(source, "same") == collection.content_hash
    hashes = {
        "as it was": collection.content_hash,
        "another split": packed(source, "split", seed=5),
        "fewer fields": packed(source, "fields", labels=("kind",)),
        "another size": packed(source, "size", resolution=4),
    }
    other = Path(shutil.copytree(source, tmp_path / "other"))
    table = (other / "metadata.csv").read_text()
    (other / "metadata.csv").write_text(table.replace("calm", "wild"))
    hashes["another class name"] = packed(other, "renamed")
    (other / "metadata.csv").write_text(table)
    with Image.open(other / "05.png") as opened:
        changed = opened.convert("RGB")
    changed.putpixel((0, 0), (51, 50, 50))
    changed.save(other / "05.png")
    hashes["another pixel"] = packed(other, "pixel")
    assert len(set(hashes.values())) == len(hashes)


@pytest.mark.parametrize("file", ["images-00000.npy", "labels.npy", "split.npy", "source.npy"])
def test_verify_notices_a_flipped_bit(copy: Path, file: str) -> None:
    Collection.open(copy).verify()
    content = bytearray((copy / file).read_bytes())
    content[-8] ^= 1
    (copy / file).write_bytes(content)
    # A flipped label may be out of range and found at once; if not, verify() finds it.
    with pytest.raises(ImpastoError, match=r"has changed since it was packed|is damaged"):
        Collection.open(copy).verify()


def test_verify_notices_another_hash(copy: Path) -> None:
    edit(copy, name="b", content_hash="0" * 64)
    with pytest.raises(ImpastoError, match="content hash is not that of its files"):
        Collection.open(copy).verify()


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "collection.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("file", ["images-00000.npy", "labels.npy", "split.npy", "source.npy"])
@pytest.mark.parametrize("damage", ["missing", "short", "empty", "other"])
def test_missing_or_short_files(copy: Path, file: str, damage: str) -> None:
    path = copy / file
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "other":
        np.save(path, np.zeros((3, 3)))
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "short" else b"")
    with pytest.raises(ImpastoError, match=file) as caught:
        Collection.open(copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "file", ["images-00000.npy", "labels.npy", "source.npy", "collection.json", "sources.csv"]
)
def test_files_that_git_has_left_pointers_of(copy: Path, file: str) -> None:
    (copy / file).write_bytes(POINTER)
    with pytest.raises(ImpastoError, match=f"{file} is a Git LFS pointer; .* git lfs pull$"):
        Collection.open(copy).source_table()


def test_tables_and_description_saved_by_an_editor(copy: Path) -> None:
    whole = Collection.open(copy)
    rows = whole.source_table()
    for file in ("collection.json", "sources.csv"):
        content = (copy / file).read_bytes().replace(b"\n", b"\r\n")
        (copy / file).write_bytes(b"\xef\xbb\xbf" + content)
    opened = Collection.open(copy)
    assert opened.content_hash == whole.content_hash
    assert opened.source_table() == rows


def test_pickled_arrays_are_refused(copy: Path) -> None:
    np.save(copy / "labels.npy", np.array([{"code": 1}] * COUNT, dtype=object))
    with pytest.raises(ImpastoError, match=r"labels\.npy"):
        Collection.open(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixels": None}, "is damaged"),
        ({"pixels": []}, "is damaged"),
        ({"resolution": 16}, "is damaged .*largest pictures are of 8 px, not 16"),
        (
            {"pixels": [{"resolution": 8, "encoding": "zip", "shards": [{"file": "a"}]}]},
            "is damaged",
        ),
        ({"format": "something else"}, "is not of an impasto collection"),
        (
            {"format_version": 4},
            "collection format 4, and this impasto reads 1 and 2 and 3; update",
        ),
        ({"count": 23}, "is damaged .*24 pictures, not 23"),
        ({"fields": []}, "labels.npy is int64"),
        (
            {"fields": [{"name": "kind", "classes": [{"name": "a"}]}] * 2},
            "labels.npy holds a class",
        ),
    ],
)
def test_descriptions_that_do_not_fit(copy: Path, changes: dict[str, Any], message: str) -> None:
    edit(copy, **changes)
    with pytest.raises(ImpastoError, match=message):
        Collection.open(copy)


def test_a_description_that_is_no_json(copy: Path) -> None:
    (copy / "collection.json").write_text("{")
    with pytest.raises(ImpastoError, match="is damaged"):
        Collection.open(copy)


@pytest.mark.parametrize("address", ["s3://bucket/art", "https://host/art/"])
def test_a_collection_at_an_address(address: str) -> None:
    with pytest.raises(ImpastoError, match="is an address, and a collection lies on disk"):
        open_or_pack(address, 64)


def test_where_there_is_no_collection(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match=r"there is no .*or the word masters"):
        Collection.open(tmp_path / "nowhere")
    with pytest.raises(ImpastoError, match="is not a collection"):
        Collection.open(tmp_path)
    with pytest.raises(ImpastoError, match=r"folder of pictures.*`impasto pack .*--resolution 64`"):
        Collection.open(source)
    with pytest.raises(ImpastoError, match=r"`impasto pack .*pictures-128 --resolution 128`"):
        open_or_pack(str(source), 128)
    with pytest.raises(ImpastoError, match="is not a collection"):
        Collection.open(source / "00.png")


def test_the_home_folder_of_an_unknown_user() -> None:
    with pytest.raises(ImpastoError, match=r"there is no ~nobody-of-this-name/paintings"):
        Collection.open("~nobody-of-this-name/paintings")
    assert str(place_at("~nobody-of-this-name/paintings")) == "~nobody-of-this-name/paintings"


def test_data_of_another_resolution(collection: Collection) -> None:
    assert open_or_pack(str(collection.path), SIDE).content_hash == collection.content_hash
    with pytest.raises(ImpastoError, match=r"packed at 8 px, and 64 px is wanted.*--resolution 64"):
        open_or_pack(str(collection.path), 64)


# Several resolutions, raw and compressed

RESOLUTIONS = {8: "raw", 16: "raw", 32: "webp"}


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve soft pictures of 32 px in two classes, no two alike."""
    folder = tmp_path_factory.mktemp("several") / "pictures"
    coarse = np.random.default_rng(3).integers(0, 256, (12, 4, 4, 3), np.uint8)
    for number, blocks in enumerate(coarse):
        (folder / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(blocks).resize((32, 32), Image.Resampling.BICUBIC)
        picture.save(folder / "ab"[number % 2] / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def several(painted: Path) -> Collection:
    """Those at 8, 16 and 32 px, of which the last are compressed."""
    destination = painted.parent / "several"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "COMPRESSED_FROM", 32)
        options = PackOptions(resolution=32, smaller=(16, 8))
        return pack(painted, destination, options).collection


@pytest.fixture
def several_copy(several: Collection, tmp_path: Path) -> Path:
    return Path(shutil.copytree(several.path, tmp_path / "copy"))


def test_each_resolution_shows_the_same_pictures(several: Collection) -> None:
    assert several.resolutions == (8, 16, 32)
    assert several.resolution == 32
    everything = np.arange(12)
    means = several.images(everything).mean(axis=(1, 2))
    for side, stored in RESOLUTIONS.items():
        view = several.at(side)
        assert (view.resolution, view.encoding, len(view)) == (side, stored, 12)
        assert view.resolutions == several.resolutions
        assert (view.labels == several.labels).all()
        assert (view.train_indices == several.train_indices).all()
        pixels = view.images(everything)
        assert pixels.shape == (12, side, side, 3)
        assert np.abs(pixels.mean(axis=(1, 2)) - means).max() < 3
        assert Collection.open(several.path, side).content_hash == view.content_hash
        view.verify()
    assert several.at(32) is several
    assert len({several.at(side).content_hash for side in RESOLUTIONS}) == 3
    assert "16 px" in repr(several.at(16))


def test_how_it_is_stored_is_told(several: Collection, collection: Collection) -> None:
    stored = several.stored()
    assert {side: name for side, (name, _) in stored.items()} == RESOLUTIONS
    assert stored[8][1] == (several.path / "images-8-00000.npy").stat().st_size
    assert stored[32][1] == (several.path / "images-32-00000.webp.bin").stat().st_size
    assert "stored      raw, 0.0 MB" in summary(collection)
    assert "at 8 px raw, 0.0 MB; at 16 px raw, 0.0 MB; at 32 px WebP without" in summary(several)


def test_a_resolution_has_its_hash_whatever_others_there_are(
    several: Collection, painted: Path, tmp_path: Path
) -> None:
    alone = pack(painted, tmp_path / "alone", PackOptions(resolution=16)).collection
    assert alone.content_hash == several.at(16).content_hash
    assert [path.name for path in alone.path.glob("images*")] == ["images-00000.npy"]


def test_a_resolution_that_is_not_there(several: Collection) -> None:
    message = r"packed at 8, 16 and 32 px, not at 64 px; .*--resolution 64"
    with pytest.raises(ImpastoError, match=message):
        several.at(64)
    with pytest.raises(ImpastoError, match=message):
        Collection.open(several.path, 64)


@pytest.mark.parametrize(("wanted", "opened"), [(8, 8), (16, 16), (32, 32), (4, 8), (2, 8), (1, 8)])
def test_data_of_several_resolutions(several: Collection, wanted: int, opened: int) -> None:
    assert open_or_pack(str(several.path), wanted).resolution == opened


def test_the_smallest_multiple_will_do(several_copy: Path) -> None:
    description = json.loads((several_copy / "collection.json").read_text())
    edit(several_copy, pixels=[each for each in description["pixels"] if each["resolution"] != 16])
    assert open_or_pack(str(several_copy), 16).resolution == 32
    with pytest.raises(ImpastoError, match="packed at 8 and 32 px, and 12 px is wanted; pack"):
        open_or_pack(str(several_copy), 12)


def test_a_view_pickles_as_its_path_and_resolution(several: Collection) -> None:
    for side in RESOLUTIONS:
        view = several.at(side)
        view.images(np.array([0]))  # Threads and maps do not travel.
        pickled = pickle.dumps(view)
        assert len(pickled) < 500
        again = pickle.loads(pickled)
        assert (again.resolution, again.content_hash) == (side, view.content_hash)
        assert (again.images(np.arange(12)) == view.images(np.arange(12))).all()


@pytest.mark.parametrize("bad", [[-1], [12], [0.5], [[0, 1]], [True]])
def test_indices_that_are_none_of_compressed_pictures(several: Collection, bad: list[Any]) -> None:
    with pytest.raises(IndexError):
        several.images(np.array(bad))


def test_a_damaged_picture_is_one_line(several_copy: Path) -> None:
    (blob,) = several_copy.glob("*.bin")
    offsets = np.load(several_copy / blob.name.replace(".bin", ".offsets.npy"))
    content = bytearray(blob.read_bytes())
    content[offsets[7] : offsets[7] + 16] = bytes(16)
    blob.write_bytes(content)
    collection = Collection.open(several_copy)
    assert collection.images(np.array([0, 6, 8])).shape == (3, 32, 32, 3)
    with pytest.raises(ImpastoError, match=rf"{blob.name} is damaged: picture 7 cannot") as caught:
        collection.images(np.arange(12))
    assert "\n" not in str(caught.value)
    with pytest.raises(ImpastoError, match=f"{blob.name} has changed since it was packed"):
        collection.verify()
    # The other resolutions are what they were, unless all are asked about.
    collection.at(16).verify()
    with pytest.raises(ImpastoError, match=f"{blob.name} has changed since it was packed"):
        collection.at(16).verify(everything=True)


def test_every_file_has_its_fingerprint(several: Collection) -> None:
    names = {str(row[0]) for row in several.fingerprint()}
    assert names == {
        "images-32-00000.webp.bin",
        "images-32-00000.webp.offsets.npy",
        "labels.npy",
        "split.npy",
        "source.npy",
    }
    assert "images-8-00000.npy" in {str(row[0]) for row in several.at(8).fingerprint()}


def test_offsets_are_verified(several_copy: Path) -> None:
    (path,) = several_copy.glob("*.offsets.npy")
    offsets = np.load(path)
    offsets[3] += 1
    np.save(path, offsets)
    with pytest.raises(ImpastoError, match=f"{path.name} has changed since it was packed"):
        Collection.open(several_copy).verify()


def test_format_1_still_opens(collection: Collection, copy: Path) -> None:
    path = copy / "collection.json"
    description = json.loads(path.read_text())
    (pixels,) = description.pop("pixels")
    for key in ("aside", "set_aside", "forgotten", "tables"):
        description.pop(key, None)
    path.write_text(json.dumps({**description, "format_version": 1, "shards": pixels["shards"]}))
    for name in ("duplicates.csv", "forgotten.csv"):
        (copy / name).unlink(missing_ok=True)
    opened = Collection.open(copy)
    assert opened.content_hash == collection.content_hash
    assert (opened.resolutions, opened.encoding) == ((SIDE,), "raw")
    everything = np.arange(COUNT)
    assert (opened.images(everything) == collection.images(everything)).all()
    opened.verify(everything=True)
    assert opened.duplicates_table() == opened.forgotten_table() == []
    assert len(opened.excluded()) == 0
    for shards in (None, [{"file": "../x", "pictures": 1, "bytes": 1, "sha256": ""}]):
        edit(copy, shards=shards)
        with pytest.raises(ImpastoError, match=r"collection.json is damaged"):
            Collection.open(copy)


def test_what_was_set_aside(several: Collection, several_copy: Path) -> None:
    assert len(several.excluded()) == 0
    aside, names = [], set()
    for side, stored in RESOLUTIONS.items():
        with writer.ShardWriter(several_copy, side, stored, f"aside-{side}") as out:
            out.append(several.at(side).images(np.array([5, 2])))
        aside.append({"resolution": side, "encoding": stored, "shards": out.describe()})
        names.add(out.describe()[0]["file"])
    edit(several_copy, aside=aside, tables={})
    (several_copy / "duplicates.csv").write_text("group,path,kept\n0,a/x.png,1\n0,b/y.png,0\n")
    (several_copy / "forgotten.csv").write_text("path,sha256,when\nb/z.png,00,now\n")
    opened = Collection.open(several_copy)
    assert opened.content_hash == several.content_hash
    for side in RESOLUTIONS:
        found = opened.at(side).excluded().pixels(np.arange(2))
        assert (found == several.at(side).images(np.array([5, 2]))).all()
    assert [row["kept"] for row in opened.duplicates_table()] == ["1", "0"]
    assert [row["path"] for row in opened.forgotten_table()] == ["b/z.png"]
    opened.verify(everything=True)
    for name in names:
        content = bytearray((several_copy / name).read_bytes())
        content[-1] ^= 1
        (several_copy / name).write_bytes(content)
        opened.verify()
        with pytest.raises(ImpastoError, match=f"{name} has changed"):
            opened.verify(everything=True)
        content[-1] ^= 1
        (several_copy / name).write_bytes(content)
    edit(several_copy, aside=aside[:1])
    with pytest.raises(ImpastoError, match=r"collection.json is damaged"):
        Collection.open(several_copy).excluded()


def test_the_hash_of_raw_pictures_stays_what_it_is(source: Path, tmp_path: Path) -> None:
    # All held in, for who is held out goes by the bytes of the files, which the encoder decides.
    collection = make(source, tmp_path / "packed", heldout=0.0)
    assert collection.content_hash == (
        "571558a6699d56f7256221e2424fa3424ebed8a56360a23e769cd9e7ad87f224"
    )


def test_nothing_here_imports_torch_or_the_http_client() -> None:
    code = (
        "import sys, impasto.collection.overview, impasto.api.collections, impasto.cli.pack, "
        "impasto.cli.inspect; sys.exit(bool({'torch', 'urllib3'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
