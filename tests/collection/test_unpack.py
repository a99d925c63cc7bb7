"""Collections written out: what others' tools find, read back by impasto itself, whole or not at all."""

import csv
import errno
import io
import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from impasto.cli import app
from impasto.collection import Collection, PackOptions, pack, unpacking
from impasto.collection.unpacking import folder, formats, parquet, unpack
from impasto.errors import ImpastoError
from impasto.sources.trees import is_litter


def pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        return np.asarray(image)


def classes(collection: Collection, index: int) -> list[str]:
    """The class of a picture in each field, blank where unknown."""
    labels = collection.labels[index].tolist()
    return [
        field.classes[number] if number >= 0 else ""
        for field, number in zip(collection.fields, labels, strict=True)
    ]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def nothing_left(place: Path, *expected: str) -> bool:
    return sorted(path.name for path in place.iterdir()) == sorted(expected)


def test_stylegans_zip(labelled: Collection, tmp_path: Path) -> None:
    out = tmp_path / "out.zip"
    report = unpack(labelled, out, "stylegan", ("style",))
    train = labelled.train_indices
    known = train[labelled.labels[train, 0] >= 0]
    assert report.pictures == len(known) < len(train)
    assert report.notes == [
        "left out: 3 pictures held out; --split all takes them along",
        f"left out: {len(train) - len(known)} pictures of unknown style, since each must have a "
        "class; --labels '' takes them along, without classes",
    ]
    with zipfile.ZipFile(out) as archive:
        names = archive.namelist()
        assert names == [f"00000/img{n:08}.png" for n in range(len(known))] + ["dataset.json"]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        told = json.loads(archive.read("dataset.json"))
        found = np.stack([pixels(archive.read(name)) for name in names[:-1]])
    np.testing.assert_array_equal(found, labelled.images(known))
    numbers = labelled.labels[known, 0].tolist()
    assert told["labels"] == [[name, number] for name, number in zip(names, numbers, strict=False)]
    assert told["class_names"] == list(labelled.fields[0].classes)
    again = tmp_path / "again.zip"
    unpack(labelled, again, "stylegan", ("style",))
    assert again.read_bytes() == out.read_bytes()


def test_stylegans_zip_without_classes(labelled: Collection, tmp_path: Path) -> None:
    report = unpack(labelled, tmp_path / "out.zip", "stylegan", (), "all")
    assert report.pictures == 30
    assert report.notes == ["which pictures are held out is not written in it: they are the last 3"]
    assert unpack(labelled, tmp_path / "test.zip", "stylegan", (), "heldout").notes == [
        "left out: 27 pictures for training; --split all takes them along"
    ]
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert json.loads(archive.read("dataset.json")) == {"labels": None}
        order = [*labelled.train_indices, *labelled.heldout_indices]
        last = pixels(archive.read("00000/img00000029.png"))
        np.testing.assert_array_equal(last, labelled.images(np.array(order[29:]))[0])


def test_a_folder_by_class(labelled: Collection, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = unpack(labelled, out, "folder", ("style",))
    assert (report.pictures, report.notes) == (30, [])
    rows = table(out / "metadata.csv")
    assert list(rows[0]) == [
        *("file_name", "split", "style", "genre", "path", "sha256", "width", "height")
    ]
    files = {path.relative_to(out).as_posix() for path in out.rglob("*.png")}
    assert files == {row["file_name"] for row in rows}
    sources = labelled.source_table()
    for row in rows:
        path = Path(row["file_name"])
        index = int(path.stem)
        style, genre = classes(labelled, index)
        part = "test" if index in labelled.heldout_indices else "train"
        assert path.parent == Path(part, style or "unknown")
        assert (row["split"], row["style"], row["genre"]) == (part, style, genre)
        assert row["path"] == sources[labelled.sources[index]]["path"]
        np.testing.assert_array_equal(
            pixels((out / path).read_bytes()), labelled.images(np.array([index]))[0]
        )
    unpack(labelled, tmp_path / "plain", "folder", (), "heldout")
    assert nothing_left(tmp_path / "plain", "metadata.csv", "test")
    assert len(list((tmp_path / "plain" / "test").glob("*.png"))) == 3


@given(st.lists(st.text(min_size=1, max_size=300), unique=True, max_size=8))
@settings(max_examples=100)
def test_classes_have_folders_of_their_own_on_every_system(labels: list[str]) -> None:
    names = folder.folder_names(labels)
    assert len({name.casefold() for name in names}) == len(labels)
    for name in names:
        assert name == Path(name).name
        assert not is_litter(name)
        assert name.strip(" .") == name
        assert not set(name) & set('<>:"/\\|?*\0\n')
        assert len(name.encode("utf-8", "surrogatepass")) < 255


def test_folders_of_classes_stay_readable() -> None:
    labels = ["Ukiyo-e", "ukiyo-E", "a/b", "..", "CON", ".git", "Naïve Art (Primitivism)"]
    assert folder.folder_names(labels) == [
        *("Ukiyo-e", "ukiyo-E-2", "a_b", "_", "_CON", "git", "Naïve Art (Primitivism)")
    ]


def test_parquet(labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_GROUP_ROWS", 4)
    monkeypatch.setattr(parquet, "_FILE_BYTES", 20_000)
    report = unpack(labelled, tmp_path / "out", "parquet")
    assert (report.pictures, report.notes) == (30, [])
    files = sorted((tmp_path / "out" / "data").iterdir())
    names = [path.name for path in files]
    count = len(names) - 1
    assert count > 1
    assert names == ["test-00000-of-00001.parquet"] + [
        f"train-{number:05}-of-{count:05}.parquet" for number in range(count)
    ]
    rows: list[dict[str, Any]] = []
    for path in files:
        file = pq.ParquetFile(path)
        groups = [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)]
        assert all(0 < rows <= 4 for rows in groups)
        features = json.loads(file.schema_arrow.metadata[b"huggingface"])["info"]["features"]
        assert features["style"]["names"] == list(labelled.fields[0].classes)
        assert features["width"] == {"dtype": "int32", "_type": "Value"}
        rows += file.read().to_pylist()
    order = np.concatenate([labelled.heldout_indices, labelled.train_indices])
    found = np.stack([pixels(row["image"]["bytes"]) for row in rows])
    np.testing.assert_array_equal(found, labelled.images(order))
    assert [[row["style"], row["genre"]] for row in rows] == labelled.labels[order].tolist()
    assert [row["image"]["path"] for row in rows] == [f"{index:08}.png" for index in order]
    sources = labelled.source_table()
    assert [row["path"] for row in rows] == [
        sources[source]["path"] for source in labelled.sources[order]
    ]
    assert {row["width"] for row in rows} == {40}


def test_parquet_of_a_table_that_was_edited(labelled: Collection, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(labelled.path, tmp_path / "copy"))

    def edit(change: Callable[[list[str]], None]) -> None:
        with (labelled.path / "sources.csv").open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        column = header.index("width")
        for row in rows:
            row[column] += ".0"  # as spreadsheets do
        change(rows[1])
        with (copy / "sources.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])

    edit(lambda row: None)
    unpack(Collection.open(copy), tmp_path / "out", "parquet")
    widths = {
        width
        for file in (tmp_path / "out" / "data").iterdir()
        for width in pq.read_table(file)["width"].to_pylist()
    }
    assert widths == {int(row["width"]) for row in labelled.source_table()}

    edit(
        lambda row: row.__setitem__(slice(None), ["much" if "." in cell else cell for cell in row])
    )
    with pytest.raises(ImpastoError, match=r"sources\.csv has 'much' in its column width"):
        unpack(Collection.open(copy), tmp_path / "not", "parquet")
    edit(lambda row: row.append("more"))
    with pytest.raises(ImpastoError, match="row 2 has more cells than there are columns"):
        unpack(Collection.open(copy), tmp_path / "not", "folder", ("style",))
    assert not (tmp_path / "not").exists()


def test_a_label_called_as_the_pictures_are(tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / "in" / name).mkdir(parents=True)
        Image.new("RGB", (16, 16), {"x": "red", "y": "blue"}[name]).save(
            tmp_path / "in" / name / "1.png"
        )
    packed = pack(
        tmp_path / "in", tmp_path / "packed", PackOptions(resolution=16, labels=("image",))
    ).collection
    with pytest.raises(ImpastoError, match="second column of that name"):
        unpack(packed, tmp_path / "out", "parquet")
    assert unpack(packed, tmp_path / "out", "parquet", ()).pictures == 2


@pytest.mark.parametrize("form", ["folder", "parquet"])
def test_read_back_it_is_the_same_collection(
    form: str, labelled: Collection, tmp_path: Path
) -> None:
    labels = ("style",) if form == "folder" else None
    unpack(labelled, tmp_path / "out", form, labels)
    options = PackOptions(resolution=32, labels=("style", "genre"), heldout=0.5)
    again = pack(tmp_path / "out", tmp_path / "again", options).collection
    assert [field.name for field in again.fields] == ["style", "genre"]
    order = [int(Path(row["path"]).stem) for row in again.source_table()]
    np.testing.assert_array_equal(again.images(np.arange(30)), labelled.images(np.array(order)))
    assert [classes(again, at) for at in range(30)] == [classes(labelled, at) for at in order]
    held = {order[source] for source in again.sources[again.heldout_indices]}
    assert held == set(labelled.heldout_indices.tolist())


def test_stylegans_zip_read_back_has_the_names_of_its_classes(
    labelled: Collection, tmp_path: Path
) -> None:
    unpack(labelled, tmp_path / "out.zip", "stylegan", ("genre",))
    again = pack(tmp_path / "out.zip", tmp_path / "again", PackOptions(resolution=32)).collection
    known = [index for index in labelled.train_indices if labelled.labels[index, 1] >= 0]
    np.testing.assert_array_equal(
        again.images(np.arange(len(again))), labelled.images(np.array(known))
    )
    assert [field.name for field in again.fields] == ["genre"]
    assert [classes(again, at)[0] for at in range(len(again))] == [
        classes(labelled, index)[1] for index in known
    ]


def test_any_of_several_resolutions(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(6):
        noise = Image.fromarray(random.integers(0, 256, (40, 40, 3), dtype=np.uint8))
        noise.save(tmp_path / f"{number}.png")
    options = PackOptions(resolution=32, smaller=(8,), heldout=0.0)
    packed = pack(tmp_path, tmp_path / "packed", options).collection
    done = CliRunner().invoke(
        app, ["unpack", str(packed.path), str(tmp_path / "out.zip"), "--resolution", "8"]
    )
    assert done.exit_code == 0
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        found = np.stack([pixels(archive.read(name)) for name in archive.namelist()[:-1]])
    np.testing.assert_array_equal(found, packed.at(8).images(np.arange(6)))


def test_few_pictures_are_in_memory_at_once(
    labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "_CHUNK", 4)
    asked: list[int] = []
    images = Collection.images

    def counted(self: Collection, indices: np.ndarray) -> np.ndarray:
        asked.append(len(indices))
        return images(self, indices)

    monkeypatch.setattr(Collection, "images", counted)
    seen: list[tuple[int, int]] = []
    for form in formats():
        out = tmp_path / f"{form}.zip"
        unpack(labelled, out, form, (), "all", lambda done, total: seen.append((done, total)))
    assert max(asked) == 4
    assert seen[:3] == [(0, 30), (4, 30), (8, 30)]
    assert seen[-1] == (30, 30)


@pytest.mark.parametrize("form", formats())
@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(errno.ENOSPC, "No space left on device"), ImpastoError),
    ],
)
def test_interrupted_it_leaves_nothing(
    form: str,
    error: BaseException,
    shown: type[BaseException],
    labelled: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encode = unpacking._png
    left = [error]

    def stopping(picture: np.ndarray) -> bytes:
        if (picture == last).all() and left:
            raise left.pop()
        return encode(picture)

    monkeypatch.setattr(unpacking, "_CHUNK", 4)
    last = labelled.images(labelled.train_indices[20:21])[0]
    monkeypatch.setattr(unpacking, "_png", stopping)
    with pytest.raises(shown, match=r"the disk is full|^$"):
        unpack(labelled, tmp_path / "out.zip", form, ())
    assert nothing_left(tmp_path)
    assert unpack(labelled, tmp_path / "out.zip", form, ()).pictures > 20


def test_what_cannot_be_written_is_one_line(labelled: Collection, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for out in ("there", "link"):
        with pytest.raises(ImpastoError, match="exists already"):
            unpack(labelled, tmp_path / out, "folder", ("style",))
    for form in ("stylegan", "folder"):
        with pytest.raises(
            ImpastoError, match=r"one class a picture: add --labels style or --labels genre$"
        ):
            unpack(labelled, tmp_path / "x.zip", form)
    with pytest.raises(ImpastoError, match=r"called \.zip; write to x\.zip"):
        unpack(labelled, tmp_path / "x", "stylegan", ())
    with pytest.raises(ImpastoError, match=r"folder's name, such as .*/x, with --as parquet$"):
        unpack(labelled, tmp_path / "x.parquet", "parquet")
    with pytest.raises(ImpastoError, match="there is folder, parquet, stylegan"):
        unpack(labelled, tmp_path / "x", "tfrecord")
    with pytest.raises(ImpastoError, match=r"no label field 'mood' .* there is genre, style"):
        unpack(labelled, tmp_path / "x", "parquet", ("mood",))
    with pytest.raises(ImpastoError, match="there is all, heldout, train"):
        unpack(labelled, tmp_path / "x", "parquet", None, "test")
    assert nothing_left(tmp_path, "there", "link")


def test_nothing_to_write(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "1.png")
    packed = pack(tmp_path, tmp_path / "packed", PackOptions(resolution=16, heldout=0.0)).collection
    with pytest.raises(ImpastoError, match="nothing to write: left out: 1 picture for training"):
        unpack(packed, tmp_path / "out", "folder", split="heldout")


def test_without_pyarrow_it_says_what_to_install(
    labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ImpastoError, match=r"pip install 'impasto\[parquet\]'"):
        unpack(labelled, tmp_path / "out", "parquet")
    assert nothing_left(tmp_path)


def test_the_command(labelled: Collection, tmp_path: Path) -> None:
    def say(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["unpack", str(labelled.path), *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    out = tmp_path / "out.zip"
    assert say(str(out), "--labels", "", "--split", "all") == (
        f"labelled: 30 pictures of 32 px in {out}, StyleGAN's zip with dataset.json\n"
        "note: which pictures are held out is not written in it: they are the last 3\n"
    )
    assert "a folder by class" in say(str(tmp_path / "folder"), "--labels", "genre")
    assert "note: left out: 27 pictures for training" in say(
        *(str(tmp_path / "hf"), "--as", "parquet", "--resolution", "32", "--split", "heldout")
    )
    for arguments in ([str(tmp_path / "x"), "--resolution", "48"], [str(tmp_path / "x.parquet")]):
        wrong = CliRunner().invoke(app, ["unpack", str(labelled.path), *arguments])
        assert isinstance(wrong.exception, ImpastoError)
    assert nothing_left(tmp_path, "out.zip", "folder", "hf")
