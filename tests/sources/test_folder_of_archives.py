"""Archives in a folder, read where they lie, and what else lies beside pictures."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from impasto.collection import PackOptions, pack
from impasto.errors import ImpastoError
from impasto.readers import read_source
from impasto.sources.listing import Listing
from tests.helpers.webdataset import picture, pixels, samples, shard


def archive(path: Path, *names: str) -> Path:
    """A zip of pictures, each that of the number its name ends with; or of other files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, content(name))
    return path


def content(name: str) -> bytes:
    stem, _, suffix = name.rpartition("/")[2].rpartition(".")
    return picture(int(stem)) if suffix == "png" else b""


def told(listing: Listing) -> dict[str, tuple[str, ...]]:
    return {entry.relative: entry.labels for entry in listing.entries}


def test_a_table_beside_its_archive(tmp_path: Path) -> None:
    folder = tmp_path / "upload"
    archive(folder / "images.zip", *(f"{n}.png" for n in range(6)))
    rows = [{"file_name": f"{n}.png", "style": "Op" if n % 2 else "Pop"} for n in range(6)]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = PackOptions(resolution=16, labels=("style",), heldout=0)
    report = pack(folder, tmp_path / "x", options)
    assert not report.left_out
    collection = report.collection
    assert np.array_equal(collection.images(np.arange(6)), [pixels(n) for n in range(6)])
    assert [row["style"] for row in collection.source_table()] == ["Pop", "Op"] * 3
    # Given again, nothing is decoded: what is in a zip has a stamp of its own.
    assert pack(folder, tmp_path / "x", options).known == 6


@pytest.mark.parametrize("listed", ["images/{}.png", "{}.png"])
def test_names_with_or_without_the_archives_folder(tmp_path: Path, listed: str) -> None:
    for inside in ("", "images/"):
        folder = tmp_path / f"in-{inside}"
        archive(folder / "images.zip", f"{inside}1.png", f"{inside}2.png")
        lines = [f"{listed.format(n)},{'ab'[n - 1]}\n" for n in (1, 2)]
        (folder / "metadata.csv").write_text("file_name,style\n" + "".join(lines))
        listing = read_source(folder, ("style",))
        assert [entry.labels for entry in listing.entries] == [("a",), ("b",)]
        assert not listing.left_out


def test_an_archive_a_class(tmp_path: Path) -> None:
    archive(tmp_path / "Cubism.zip", "0.png", "1.png")
    archive(tmp_path / "Op Art.zip", "Op Art/0.png", "Op Art/2.png")
    shard(tmp_path / "Pop.tar.gz", {"3.png": picture(3)})
    (tmp_path / "README.md").write_text("of art")
    listing = read_source(tmp_path, None)
    assert (listing.kind, listing.fields, listing.notes) == ("folders by class", ("class",), [])
    assert told(listing) == {
        "Cubism/0.png": ("Cubism",),
        "Cubism/1.png": ("Cubism",),
        "Op Art/0.png": ("Op Art",),
        "Op Art/2.png": ("Op Art",),
        "Pop/3.png": ("Pop",),
    }
    assert all(entry.stamp for entry in listing.entries)
    for numbers in ([0, 1, 2, 3, 4], [1, 4], [2]):
        assert listing.contents is not None
        expected = [picture(int(listing.entries[n].relative[-5])) for n in numbers]
        assert list(listing.contents(numbers)) == expected


def test_tars_of_classes_are_no_shards(tmp_path: Path) -> None:
    for name in ("Cubism", "Fauvism"):
        shard(tmp_path / f"{name}.tar", {"0.png": picture(0), "1.png": picture(1)})
    listing = read_source(tmp_path, ("style",))
    assert list(told(listing).values()) == [("Cubism",)] * 2 + [("Fauvism",)] * 2


def test_numbered_tars_of_class_folders_are_no_shards(tmp_path: Path) -> None:
    shard(
        tmp_path / "images_001.tar.gz", {"images/a/1.png": picture(1), "images/b/2.png": picture(2)}
    )
    shard(tmp_path / "images_002.tar.gz", {"images/a/3.png": picture(3)})
    listing = read_source(tmp_path, ("style",))
    assert [label for entry in listing.entries for label in entry.labels] == ["a", "b", "a"]
    assert (
        pack(tmp_path, tmp_path / "packed", PackOptions(resolution=8, workers=1)).source_count == 3
    )


def test_archives_of_parts(tmp_path: Path) -> None:
    archive(tmp_path / "train.zip", "a/0.png", "b/1.png")
    archive(tmp_path / "test.zip", "a/2.png", "b/3.png")
    listing = read_source(tmp_path, ("style",))
    assert [(entry.relative, entry.labels[0], entry.heldout) for entry in listing.entries] == [
        ("test/a/2.png", "a", True),
        ("test/b/3.png", "b", True),
        ("train/a/0.png", "a", False),
        ("train/b/1.png", "b", False),
    ]
    for name in ("part_1", "part_2"):
        archive(tmp_path / "parts" / f"{name}.zip", "0.png", "1.png")
    with pytest.raises(ImpastoError, match="taken for parts of the data set"):
        read_source(tmp_path / "parts", ("style",))


def test_tables_inside_archives(tmp_path: Path) -> None:
    for part, number in (("train", 1), ("test", 2)):
        path = archive(tmp_path / f"{part}.zip", f"{number}.png")
        with zipfile.ZipFile(path, "a") as file:
            file.writestr("metadata.csv", f"file_name,style\n{number}.png,{part}ed\n")
    assert told(read_source(tmp_path, ("style",))) == {
        "test/2.png": ("tested",),
        "train/1.png": ("trained",),
    }


def test_an_archive_alone_is_read_as_if_it_were_given(tmp_path: Path) -> None:
    names = [f"00000/img0000000{n}.png" for n in range(3)]
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as file:
        for name in names:
            file.writestr(name, b"")
        file.writestr("dataset.json", json.dumps({"labels": [[n, 1] for n in names]}))
    listing = read_source(tmp_path, None)
    assert listing.kind == "StyleGAN's dataset"
    assert told(listing) == dict.fromkeys(names, ("1",))


def test_archives_that_are_damaged_or_lie_beside_pictures(tmp_path: Path) -> None:
    archive(tmp_path / "Cubism.zip", "0.png", "1.png")
    (tmp_path / "Op.zip").write_bytes(b"nothing of the kind")
    listing = read_source(tmp_path, ("style",))
    assert told(listing) == dict.fromkeys(("Cubism/0.png", "Cubism/1.png"), ("Cubism",))
    assert [(name, reason[:11]) for name, reason in listing.left_out] == [("Op.zip", "unreadable:")]
    assert listing.contents is not None
    (tmp_path / "Cubism.zip").unlink()
    assert "unreadable" in str(next(listing.contents([0])))
    with pytest.raises(ImpastoError, match=r"Op\.zip is no zip archive"):
        read_source(tmp_path, None)
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "b.rar").write_bytes(b"")
    listing = read_source(tmp_path, None)
    assert told(listing) == {"a.png": ()}
    assert listing.left_out == [
        ("Op.zip", "an archive beside pictures: unpack it here, or pack it by itself"),
        ("b.rar", "an archive: .rar is not read; unpack it here"),
    ]


def test_of_two_files_of_a_name_the_first_counts(tmp_path: Path) -> None:
    archive(tmp_path / "a.zip", "1.png")
    shard(tmp_path / "a.tar", {"1.png": picture(5), "2.png": picture(2)})
    listing = read_source(tmp_path, ())
    assert list(told(listing)) == ["a/1.png", "a/2.png"]
    assert listing.contents is not None
    assert list(listing.contents([0, 1])) == [picture(5), picture(2)]
    assert listing.left_out == [("a.zip/1.png", "twice: the first of this name counts")]


def described(number: int) -> dict[str, str]:
    return {"style": "Op" if number % 2 else "Pop", "status": "success"}


def without_pictures(path: Path) -> None:
    """What img2dataset leaves beside its shards."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"url": ["https://example.org/1"], "key": ["000000001"], "exif": ["{}"]})
    parquet.write_table(table, path)


@pytest.mark.parametrize("form", ["webdataset", "files", "one"])
def test_what_img2dataset_writes(tmp_path: Path, form: str) -> None:
    for number in range(1 if form == "one" else 2):
        files = samples(range(number * 3, number * 3 + 3), json=described, txt=b"a caption")
        without_pictures(tmp_path / f"0000{number}.parquet")
        (tmp_path / f"0000{number}_stats.json").write_text('{"count": 4}')
        if form == "webdataset":
            shard(tmp_path / f"0000{number}.tar", files)
            continue
        (tmp_path / f"0000{number}").mkdir()
        for name, data in files.items():
            (tmp_path / f"0000{number}" / name).write_bytes(data)
    listing = read_source(tmp_path, ("style",))
    assert listing.kind == "WebDataset"
    assert [labels[0] for labels in told(listing).values()][:3] == ["Pop", "Op", "Pop"]
    assert len(listing.entries) == (3 if form == "one" else 6)
    assert listing.left_out == []
    assert "without pictures, such as 00000.parquet" in listing.notes[0]
    assert len(listing.notes) == 1
    assert listing.entries[0].relative == "00000/000000.png"
    assert (listing.entries[0].path is None) == (form == "webdataset")
    collection = pack(tmp_path, tmp_path / "x", PackOptions(resolution=16)).collection
    assert np.array_equal(collection.images(np.arange(3)), [pixels(n) for n in range(3)])


def test_samples_on_disk_by_parts(tmp_path: Path) -> None:
    for part, number in (("train", 1), ("test", 2)):
        (tmp_path / part / "00000").mkdir(parents=True)
        for name, data in samples([number], json=described).items():
            (tmp_path / part / "00000" / name).write_bytes(data)
    listing = read_source(tmp_path, ("style",))
    assert [(entry.labels, entry.heldout) for entry in listing.entries] == [
        (("Pop",), True),
        (("Op",), False),
    ]


def test_no_reader_takes_what_another_can_read(tmp_path: Path) -> None:
    tars = tmp_path / "tars"
    shard(tars / "00000.tar", samples(range(3), cls=b"1"))
    without_pictures(tars / "00000.parquet")
    (tars / "vectors.npy").write_bytes(b"damaged")
    (tars / "dataset.json").write_text('{"labels": 3}')
    (tars / "model.bin").write_bytes(b"")
    listing = read_source(tars, None)
    assert listing.kind == "WebDataset"
    assert listing.left_out == [("model.bin", "beside the shards: no tar archive")]
    # Nothing but such files: the reader of the one says what it lacks.
    (tars / "00000.tar").unlink()
    (tars / "vectors.npy").unlink()
    with pytest.raises(ImpastoError, match="has no column of pictures"):
        read_source(tars, None)


def test_parquet_that_names_pictures_elsewhere(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"")
    table = pyarrow.table({"file_name": ["x.png", "y.png"], "style": ["Op", "Pop"]})
    parquet.write_table(table, tmp_path / "other.parquet")
    listing = read_source(tmp_path, None)
    assert told(listing) == {"a/1.png": ("a",), "b/1.png": ("b",)}
    parquet.write_table(
        table.set_column(0, "file_name", [["a/1.png", "y.png"]]), tmp_path / "other.parquet"
    )
    assert read_source(tmp_path, ("style",)).kind == "Hugging Face parquet"
    # In an archive as well, where the table lies beside.
    (tmp_path / "zipped").mkdir()
    archive(tmp_path / "zipped" / "images.zip", "1.png", "2.png")
    table = pyarrow.table({"file_name": ["1.png", "2.png"], "style": ["Op", "Pop"]})
    parquet.write_table(table, tmp_path / "zipped" / "metadata.parquet")
    listing = read_source(tmp_path / "zipped", ("style",))
    assert [entry.labels for entry in listing.entries] == [("Op",), ("Pop",)]
    assert listing.contents is not None
    assert list(listing.contents([1])) == [picture(2)]
