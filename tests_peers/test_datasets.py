"""Hugging Face's `datasets` opens what impasto writes, and impasto reads what `datasets` writes."""

import io
import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from impasto.collection import Collection, PackOptions, pack
from impasto.collection.packing import MASTERS
from impasto.collection.unpacking import unpack
from impasto.readers import read_source
from impasto.sources.listing import Listing

GENRES = ["landscape", "portrait", "Unknown Genre"]
FEATURES = datasets.Features(
    {
        "image": datasets.Image(),
        "genre": datasets.ClassLabel(names=GENRES),
        "year": datasets.Value("int32"),
        "tags": datasets.List(datasets.Value("string")),
    }
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """The 21 paintings with three label fields, two of them held out."""
    options = PackOptions(resolution=48, labels=("style", "genre", "artist"))
    return pack(MASTERS, tmp_path_factory.mktemp("masters") / "packed", options).collection


def check(loaded: Any, collection: Collection, indices: np.ndarray) -> None:
    """That rows of a data set are pictures of a collection, pixel by pixel and class by class."""
    assert len(loaded) == len(indices)
    sources = collection.source_table()
    for row, index in zip(loaded, indices.tolist(), strict=True):
        image = row["image"]
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(image), collection.images(np.array([index]))[0])
        for column, field in enumerate(collection.fields):
            assert row[field.name] == collection.labels[index, column]
        source = sources[collection.sources[index]]
        assert (row["title"], row["licence"]) == (source["title"], source["licence"])
        assert (row["width"], row["year"]) == (int(source["width"]), source["year"] or None)


@pytest.mark.parametrize("how", ["its folder", "its files"])
def test_load_dataset_opens_what_we_write(how: str, masters: Collection, tmp_path: Path) -> None:
    out = tmp_path / "out"
    unpack(masters, out, "parquet")
    if how == "its folder":
        loaded = datasets.load_dataset(str(out))
    else:
        files = {part: str(out / "data" / f"{part}-*.parquet") for part in ("train", "test")}
        loaded = datasets.load_dataset("parquet", data_files=files)
    assert set(loaded) == {"train", "test"}
    for part, indices in (
        ("train", masters.train_indices),
        ("test", masters.heldout_indices),
    ):
        assert isinstance(loaded[part].features["image"], datasets.Image)
        for field in masters.fields:
            assert loaded[part].features[field.name].names == list(field.classes)
        check(loaded[part], masters, indices)


def test_unknown_classes_are_numbers_below_0_as_datasets_has_them(
    tmp_path: Path,
) -> None:
    for number in range(6):
        Image.new("RGB", (16, 16), (40 * number, 0, 0)).save(tmp_path / f"{number}.png")
    rows = [f"{number}.png,{('a', 'b', '')[number % 3]}" for number in range(6)]
    (tmp_path / "metadata.csv").write_text("\n".join(["file,style", *rows]) + "\n")
    options = PackOptions(resolution=16, labels=("style",), heldout=0.0)
    packed = pack(tmp_path, tmp_path / "packed", options).collection
    unpack(packed, tmp_path / "out", "parquet")
    loaded = datasets.load_dataset(str(tmp_path / "out"), split="train")
    assert loaded["style"][:] == [0, 1, -1, 0, 1, -1]
    assert loaded.features["style"].int2str(1) == "b"
    # Through `datasets` and back, they are unknown again.
    loaded.to_parquet(str(tmp_path / "back.parquet"))
    listing = read_source(tmp_path / "back.parquet", None)
    assert [entry.labels[0] for entry in listing.entries] == ["a", "b", "", "a", "b", ""]


def test_imagefolder_opens_a_folder_by_class(masters: Collection, tmp_path: Path) -> None:
    unpack(masters, tmp_path / "out", "folder", ("style",))
    loaded = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "out"))
    assert {part: len(loaded[part]) for part in loaded} == {
        "train": len(masters.train_indices),
        "test": len(masters.heldout_indices),
    }
    names = loaded["train"].features["label"].names
    for part, indices in (("train", masters.train_indices), ("test", masters.heldout_indices)):
        images = {np.asarray(row["image"]).tobytes(): names[row["label"]] for row in loaded[part]}
        for index in indices:
            style = masters.fields[0].classes[masters.labels[index, 0]]
            assert images[masters.images(np.array([index]))[0].tobytes()] == style


def made(numbers: range) -> datasets.Dataset:
    rows: dict[str, list[Any]] = {
        "image": [Image.new("RGB", (8, 6), (number, 0, 0)) for number in numbers],
        "genre": [number % 4 if number % 4 < 3 else None for number in numbers],
        "year": [1800 + number for number in numbers],
        "tags": [["x", str(number)] for number in numbers],
    }
    return datasets.Dataset.from_dict(rows, features=FEATURES)


def check_listing(listing: Listing, numbers: list[int]) -> None:
    assert listing.fields == ("genre",)
    assert [entry.labels[0] for entry in listing.entries] == [
        ("landscape", "portrait", "", "")[number % 4] for number in numbers
    ]
    assert [entry.about for entry in listing.entries] == [
        {"year": str(1800 + number)} for number in numbers
    ]
    assert listing.contents is not None
    for number, content in zip(numbers, listing.contents(range(len(numbers))), strict=True):
        assert isinstance(content, bytes)
        with Image.open(io.BytesIO(content)) as image:
            assert image.size == (8, 6)
            assert image.getpixel((0, 0)) == (number, 0, 0)


def test_we_read_what_to_parquet_writes(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    made(range(230)).to_parquet(str(tmp_path / "data" / "train-00000-of-00001.parquet"))
    made(range(230, 250)).to_parquet(str(tmp_path / "data" / "validation-00000-of-00001.parquet"))
    listing = read_source(tmp_path, None)
    check_listing(listing, list(range(250)))
    assert [entry.heldout for entry in listing.entries] == [False] * 230 + [True] * 20


@pytest.mark.parametrize("file", ["README.md", "dataset_infos.json"])
def test_we_read_features_from_the_descriptions_that_datasets_writes(
    file: str, tmp_path: Path
) -> None:
    """As of data sets from before features were in the files: the descriptions are its own."""
    dataset = made(range(10))
    dataset.to_parquet(str(tmp_path / "bare.parquet"))
    import pyarrow.parquet as pq

    table = pq.read_table(tmp_path / "bare.parquet").replace_schema_metadata(None)
    (tmp_path / "bare.parquet").unlink()
    (tmp_path / "hub" / "data").mkdir(parents=True)
    pq.write_table(table, tmp_path / "hub" / "data" / "train-00000-of-00001.parquet")
    infos = datasets.info.DatasetInfosDict({"default": dataset.info})
    infos["default"].config_name = "default"
    infos.write_to_directory(str(tmp_path / "hub"))
    if file == "dataset_infos.json":
        told = {"default": {"features": FEATURES.to_dict()}}
        (tmp_path / "hub" / file).write_text(json.dumps(told))
        (tmp_path / "hub" / "README.md").unlink()
    assert (tmp_path / "hub" / file).is_file()
    check_listing(read_source(tmp_path / "hub", None), list(range(10)))
