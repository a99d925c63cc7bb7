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
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from impasto.collection import Collection, PackOptions, open_or_pack, pack, writer
from impasto.errors import ImpastoError

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


@settings(deadline=None)
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


def test_pickled_arrays_are_refused(copy: Path) -> None:
    np.save(copy / "labels.npy", np.array([{"code": 1}] * COUNT, dtype=object))
    with pytest.raises(ImpastoError, match=r"labels\.npy"):
        Collection.open(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "something else"}, "is not of an impasto collection"),
        ({"format_version": 3}, "collection format 3, and this impasto reads 1 and 2; update"),
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


def test_data_of_another_resolution(collection: Collection) -> None:
    assert open_or_pack(str(collection.path), SIDE).content_hash == collection.content_hash
    with pytest.raises(ImpastoError, match=r"packed at 8 px, and 64 px is wanted.*--resolution 64"):
        open_or_pack(str(collection.path), 64)


def test_nothing_here_imports_torch() -> None:
    code = (
        "import sys, impasto.collection, impasto.collection.overview, impasto.cli.pack, "
        "impasto.cli.inspect; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
